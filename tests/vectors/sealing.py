"""What the generator needs to seal: deterministic keys, ML-KEM encapsulation, HPKE, certificates.

Written apart from the program, so that a mistake has to be made twice. Every random byte comes from `random_bytes`,
which is public: nothing here protects anything but the format from regressions.
"""

import base64
import datetime
import hashlib
import hmac

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, mlkem, utils, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def random_bytes(label, length):
    """The same bytes for the same label, for ever."""
    return hashlib.shake_256(b"colis test vectors\0" + label.encode()).digest(length)


def b64(data):
    return base64.b64encode(data).decode()


# HKDF (RFC 5869), for one block.


def hkdf_extract(salt, key):
    return hmac.digest(salt or bytes(32), key, "sha256")


def hkdf_expand(prk, info, length):
    return hmac.digest(prk, info + b"\x01", "sha256")[:length]


def hkdf(key, info):
    return hkdf_expand(hkdf_extract(b"colis/v1", key), info, 32)


# ML-KEM-768 encapsulation (FIPS 203) with given randomness, which no library offers.

Q = 3329


def _bit_reversed(i):
    return int(f"{i:07b}"[::-1], 2)


ZETAS = [pow(17, _bit_reversed(i), Q) for i in range(128)]
GAMMAS = [pow(17, 2 * _bit_reversed(i) + 1, Q) for i in range(128)]


def _ntt(f):
    f, i, length = list(f), 1, 128
    while length >= 2:
        for start in range(0, 256, 2 * length):
            for j in range(start, start + length):
                t = ZETAS[i] * f[j + length] % Q
                f[j + length], f[j] = (f[j] - t) % Q, (f[j] + t) % Q
            i += 1
        length //= 2
    return f


def _inverse_ntt(f):
    f, i, length = list(f), 127, 2
    while length <= 128:
        for start in range(0, 256, 2 * length):
            for j in range(start, start + length):
                t = f[j]
                f[j], f[j + length] = (t + f[j + length]) % Q, ZETAS[i] * (f[j + length] - t) % Q
            i -= 1
        length *= 2
    return [x * 3303 % Q for x in f]


def _multiply(a, b):
    out = []
    for i in range(128):
        a0, a1, b0, b1 = a[2 * i], a[2 * i + 1], b[2 * i], b[2 * i + 1]
        out += [(a0 * b0 + a1 * b1 * GAMMAS[i]) % Q, (a0 * b1 + a1 * b0) % Q]
    return out


def _add(*polynomials):
    return [sum(column) % Q for column in zip(*polynomials)]


def _sample_ntt(seed):
    stream, out, at = hashlib.shake_128(seed).digest(3 * 512), [], 0
    while len(out) < 256:
        b0, b1, b2 = stream[at : at + 3]
        out += [d for d in (b0 + 256 * (b1 % 16), b1 // 16 + 16 * b2) if d < Q]
        at += 3
    return out[:256]


def _sample_small(seed, n):
    bits = int.from_bytes(hashlib.shake_256(seed + bytes([n])).digest(128), "little")
    nibbles = [bits >> (4 * i) & 15 for i in range(256)]
    return [((x & 1) + (x >> 1 & 1) - (x >> 2 & 1) - (x >> 3 & 1)) % Q for x in nibbles]


def _pack(values, width):
    number = sum(value << (width * i) for i, value in enumerate(values))
    return number.to_bytes(32 * width, "little")


def _compress(values, width):
    return _pack([((x << width) + Q // 2) // Q % (1 << width) for x in values], width)


_expanded = {}


def _expand_public(public):
    if public not in _expanded:
        number = [int.from_bytes(public[384 * i : 384 * (i + 1)], "little") for i in range(3)]
        t = [[n >> (12 * i) & 0xFFF for i in range(256)] for n in number]
        rho = public[1152:]
        matrix = [[_sample_ntt(rho + bytes([j, i])) for j in range(3)] for i in range(3)]
        _expanded[public] = t, matrix
    return _expanded[public]


def mlkem_encapsulate(public, m):
    t, matrix = _expand_public(public)
    g = hashlib.sha3_512(m + hashlib.sha3_256(public).digest()).digest()
    shared, r = g[:32], g[32:]
    y = [_ntt(_sample_small(r, n)) for n in range(3)]
    u = [
        _add(_inverse_ntt(_add(*(_multiply(matrix[j][i], y[j]) for j in range(3)))), _sample_small(r, 3 + i))
        for i in range(3)
    ]
    bits = int.from_bytes(m, "little")
    message = [(bits >> i & 1) * ((Q + 1) // 2) for i in range(256)]
    product = _inverse_ntt(_add(*(_multiply(t[j], y[j]) for j in range(3))))
    v = _add(product, _sample_small(r, 6), message)
    return shared, b"".join(_compress(x, 10) for x in u) + _compress(v, 4)


# X-Wing (draft-connolly-cfrg-xwing-kem) and HPKE base mode over it (RFC 9180).


class SealKey:
    """A private seal key from its 32-byte seed."""

    def __init__(self, seed):
        self.seed = seed
        expanded = hashlib.shake_256(seed).digest(96)
        kem = mlkem.MLKEM768PrivateKey.from_seed_bytes(expanded[:64])
        self._curve = x25519.X25519PrivateKey.from_private_bytes(expanded[64:])
        self.public = kem.public_key().public_bytes_raw() + self._curve.public_key().public_bytes_raw()
        self.kid = hashlib.sha256(self.public).digest()


def xwing_encapsulate(public, randomness):
    kem_public, curve_public = public[:1184], public[1184:]
    kem_shared, kem_ct = mlkem_encapsulate(kem_public, randomness[:32])
    ephemeral = x25519.X25519PrivateKey.from_private_bytes(randomness[32:])
    curve_ct = ephemeral.public_key().public_bytes_raw()
    curve_shared = ephemeral.exchange(x25519.X25519PublicKey.from_public_bytes(curve_public))
    label = b"\\.//^\\"
    shared = hashlib.sha3_256(kem_shared + curve_shared + curve_ct + curve_public + label).digest()
    return shared, kem_ct + curve_ct


SUITE = b"HPKE" + bytes.fromhex("647a00010002")


def _labeled_extract(salt, label, key):
    return hkdf_extract(salt, b"HPKE-v1" + SUITE + label + key)


def _labeled_expand(prk, label, info, length):
    return hkdf_expand(prk, length.to_bytes(2, "big") + b"HPKE-v1" + SUITE + label + info, length)


def hpke_seal(public, info, plain, randomness):
    shared, enc = xwing_encapsulate(public, randomness)
    context = b"\x00" + _labeled_extract(b"", b"psk_id_hash", b"") + _labeled_extract(b"", b"info_hash", info)
    secret = _labeled_extract(shared, b"secret", b"")
    key = _labeled_expand(secret, b"key", context, 32)
    nonce = _labeled_expand(secret, b"base_nonce", context, 12)
    return enc, AESGCM(key).encrypt(nonce, plain, b"")


# Identities.


def signing_key(label):
    scalar = int.from_bytes(random_bytes(label + "/identity", 48), "big") % (P256_ORDER - 1) + 1
    return ec.derive_private_key(scalar, ec.SECP256R1())


def sign(key, message):
    """ECDSA with the nonce of RFC 6979, as r || s with low s."""
    r, s = utils.decode_dss_signature(key.sign(message, ec.ECDSA(hashes.SHA256(), deterministic_signing=True)))
    return r.to_bytes(32, "big") + min(s, P256_ORDER - s).to_bytes(32, "big")


def _date(text):
    return datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.timezone.utc)


class Circle:
    """A certificate authority."""

    def __init__(self, label):
        self.key = signing_key(label)
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, label)])
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        builder = self._builder(self.name, self.key.public_key(), 1, "2024-01-01", "2099-01-01")
        builder = builder.add_extension(x509.BasicConstraints(True, 0), True).add_extension(usage, True)
        self.certificate = self._sign(builder)

    def _builder(self, subject, public, serial, begin, end):
        builder = x509.CertificateBuilder(self.name, subject, public, serial, _date(begin), _date(end))
        identifier = x509.SubjectKeyIdentifier.from_public_key(public)
        return builder.add_extension(identifier, False)

    def _sign(self, builder):
        return builder.sign(self.key, hashes.SHA256(), ecdsa_deterministic=True)

    def issue(self, name, key, serial, begin="2024-06-01", end="2098-01-01", usages=("SERVER_AUTH", "CLIENT_AUTH")):
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = self._builder(subject, key.public_key(), serial, begin, end)
        extended = x509.ExtendedKeyUsage([getattr(ExtendedKeyUsageOID, usage) for usage in usages])
        names = x509.SubjectAlternativeName([x509.DNSName(name)])
        builder = builder.add_extension(extended, False).add_extension(names, False)
        return self._sign(builder).public_bytes(serialization.Encoding.DER)

    def revoke(self, *serials):
        builder = x509.CertificateRevocationListBuilder(self.name, _date("2025-01-01"), _date("2098-01-01"))
        key_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        builder = builder.add_extension(x509.CRLNumber(2), False).add_extension(key_id, False)
        for serial in serials:
            revoked = x509.RevokedCertificateBuilder(serial, _date("2025-01-01")).build()
            builder = builder.add_revoked_certificate(revoked)
        crl = builder.sign(self.key, hashes.SHA256(), ecdsa_deterministic=True)
        return crl.public_bytes(serialization.Encoding.PEM).decode()


class Peer:
    """A peer with identity and seal key."""

    def __init__(self, name, circle, serial, **certificate):
        self.name = name
        self.key = signing_key(name)
        public = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        self.id = hashlib.sha256(self.key.public_key().public_bytes(*public)).digest()
        self.certificate = circle.issue(name, self.key, serial, **certificate)
        self.seal = SealKey(random_bytes(name + "/seal", 32))
