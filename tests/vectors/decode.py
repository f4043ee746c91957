"""Opens transfers with nothing but docs/format.md and the PyPI packages `cryptography` and `blake3`.

`python decode.py [FOLDER]` judges every vector of the folder: what is valid must open to what it says, what is invalid
must be refused for the reason it says. It shares no code with the program or with the generator of the vectors.
"""

import base64
import datetime
import hashlib
import hmac
import json
import pathlib
import re
import sys
import unicodedata

from blake3 import blake3
from cryptography import x509
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes, hpke, serialization
from cryptography.hazmat.primitives.asymmetric import ec, mlkem, utils, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

MAX_ENVELOPE, MAX_LINE, MAX_TABLE, DAY = 8 << 20, 64 << 10, 512 << 20, 86400
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
HPKE = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
TYPES = {kind: f"application/vnd.colis.{kind}.v1+json" for kind in ("offer", "manifest", "peer")}
LABELS = {"chunk": b"colis/v1/chunk\0\0", "table": b"colis/v1/table\0\0", "sums": b"colis/v1/sums\0\0\0"}


class Refused(Exception):
    """What is wrong, in the words of the vectors."""


def require(condition, reason):
    if not condition:
        raise Refused(reason)


# Spelling: JSON that is written in one way only. A shape is a function that says whether a value has a type.


def text(value):
    return isinstance(value, str)


def number(low, high):
    return lambda value: type(value) is int and low <= value <= high


def digits(count):
    return lambda value: text(value) and re.fullmatch(f"[0-9a-f]{{{count}}}", value) is not None


def blob(length=None):
    def fits(value):
        try:
            data = base64.b64decode(value.encode("ascii"), validate=True)
        except (AttributeError, ValueError):
            return False
        return base64.b64encode(data).decode() == value and (length is None or len(data) == length)

    return fits


def seconds(value):
    return int(datetime.datetime.strptime(value, "%Y-%m-%dT%H:%M:%S%z").timestamp())


def time(value):
    try:
        moment = datetime.datetime.strptime(value, "%Y-%m-%dT%H:%M:%SZ")
    except (TypeError, ValueError):
        return False
    in_range = 1970 <= moment.year and value <= "9999-12-30T22:00:00Z"
    return in_range and moment.isoformat() + "Z" == value


def optional(shape):
    return lambda value: value is None or shape(value)


def listing(shape):
    return lambda value: isinstance(value, list) and all(map(shape, value))


def record(fields):
    """An object with these fields, in this order."""
    return lambda value: isinstance(value, dict) and list(value) == list(fields) and all(
        shape(value[name]) for name, shape in fields.items()
    )


def one_of(tag, records):
    return lambda value: isinstance(value, dict) and text(value.get(tag)) and value[tag] in records and record(
        {tag: text} | records[value[tag]]
    )(value)


U32, U64, I64 = number(0, 2**32 - 1), number(0, 2**64 - 1), number(-(2**63), 2**63 - 1)
HEX = digits(64)
WRAP = one_of("type", {
    "recipient": {"peer": HEX, "kid": HEX, "enc": blob(), "ct": blob()},
    "password": {"salt": blob(32), "iterations": U32, "check": blob(32), "ct": blob(48)},
})
HEAD = {"v": U64, "transfer_id": digits(32), "created": time, "expires": optional(time), "sender": HEX,
        "certificate": blob(), "key_id": HEX, "chunk_size": U32}
TAIL = {"table": listing(HEX), "wraps": listing(WRAP)}
SHAPES = {
    "offer": record(HEAD | {"size": optional(U64)} | TAIL),
    "manifest": record(HEAD | {"size": U64} | TAIL | {"chunks": listing(HEX), "sums": listing(HEX)}),
    "peer": record({"v": U64, "created": time, "peer_id": HEX, "name": text, "certificate": blob(),
                    "seal_key": blob(1216), "sequence": U64}),
}
SIGNATURES = listing(record({"keyid": HEX, "sig": blob(64)}))
ENVELOPE = record({"payload": blob(), "payloadType": text, "signatures": SIGNATURES})
MTIME = {"mtime": I64, "mtime_ns": number(0, 999_999_999)}
ENTRY = one_of("kind", {
    "file": {"path": text, "size": optional(U64)} | MTIME | {"executable": lambda value: type(value) is bool},
    "directory": {"path": text} | MTIME,
    "symlink": {"path": text, "target": text},
})


def parse(data, shape, what):
    try:
        value = json.loads(data.decode("utf-8"))
        again = json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    except (UnicodeError, ValueError, RecursionError):
        raise Refused(f"Syntax({what})") from None
    if what in ("offer", "manifest", "peer bundle") and isinstance(value, dict) and U64(value.get("v")):
        require(value["v"] == 1, "UnsupportedVersion")
    require(again == data and shape(value), f"Syntax({what})")
    return value


# What is public: envelope, fields, signature.


def open_envelope(data, kind):
    require(len(data) <= MAX_ENVELOPE, "TooLarge")
    envelope = parse(data, ENVELOPE, "envelope")
    require(len(envelope["signatures"]) == 1, "Syntax(envelope)")
    require(envelope["payloadType"] == TYPES[kind], "UnsupportedType")
    payload, signature = base64.b64decode(envelope["payload"]), envelope["signatures"][0]
    fields = parse(payload, SHAPES[kind], "peer bundle" if kind == "peer" else kind)
    check_bundle(fields) if kind == "peer" else check_fields(fields)
    fields["sender"] = fields.get("sender") or fields["peer_id"]
    require(signature["keyid"] == fields["sender"], "SenderMismatch")
    message = b"DSSEv1 %d %s %d " % (len(TYPES[kind]), TYPES[kind].encode(), len(payload)) + payload
    return fields, message, base64.b64decode(signature["sig"])


def check_bundle(fields):
    require(re.fullmatch("[a-z0-9][a-z0-9._-]{0,62}", fields["name"]), "Invariant(name)")


def check_fields(fields):
    size, chunk_size, table = fields["size"], fields["chunk_size"], fields["table"]
    require(fields["expires"] is None or seconds(fields["expires"]) > seconds(fields["created"]), "Invariant(expires)")
    require(chunk_size in [1 << n for n in range(16, 27)], "Invariant(chunk_size)")
    count = -(-(size or 0) // chunk_size)
    require(count <= 65536, "Invariant(size)")
    require("chunks" not in fields or len(fields["chunks"]) == count, "Invariant(chunks)")
    require(1 <= len(table) <= -(-MAX_TABLE // chunk_size), "Invariant(table)")
    require(len(fields.get("sums", [])) <= -(-67_000_000 // chunk_size), "Invariant(sums)")
    ids = table + fields.get("chunks", []) + fields.get("sums", [])
    require(len(set(ids)) == len(ids), "Invariant(chunks)" if "chunks" in fields else "Invariant(table)")
    check_wraps(fields["wraps"], fields["sender"])


def check_wraps(wraps, sender):
    require(1 <= len(wraps) <= 64, "BadWrap")
    for wrap in wraps:
        if wrap["type"] == "recipient":
            require(blob(1120)(wrap["enc"]) and blob(48)(wrap["ct"]), "BadWrap")
        else:
            require(600_000 <= wrap["iterations"] <= 2_000_000, "KdfParameters")
    readers = [wrap.get("peer") for wrap in wraps]
    require(len(set(readers)) == len(readers) and sender in readers, "BadWrap")


def verify(fields, message, signature, circle, now):
    certificate = check_certificate(base64.b64decode(fields["certificate"]), circle, seconds(fields["created"]))
    public = certificate.public_key()
    spki = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    require(hashlib.sha256(spki).hexdigest() == fields["sender"], "SenderMismatch")
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    require(s <= ORDER // 2, "BadSignature")
    try:
        public.verify(utils.encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise Refused("BadSignature") from None
    require(seconds(fields["created"]) <= now + DAY, "FromTheFuture")
    require(fields.get("expires") is None or seconds(fields["expires"]) > now, "Expired")
    return certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value


def check_certificate(der, circle, at):
    authority = x509.load_pem_x509_certificate(circle["ca_cert"].encode())
    revoked = x509.load_pem_x509_crl(circle["crl"].encode())
    try:
        certificate = x509.load_der_x509_certificate(der)
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        raise Refused("UntrustedSigner") from None
    begin, end = certificate.not_valid_before_utc.timestamp(), certificate.not_valid_after_utc.timestamp()
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    require(begin <= at <= end and ExtendedKeyUsageOID.SERVER_AUTH in usage, "UntrustedSigner")
    require(revoked.get_revoked_certificate_by_serial_number(certificate.serial_number) is None, "Revoked")
    return certificate


# What is secret: the file key, the streams.


def hkdf(key, info):
    return HKDF(hashes.SHA256(), 32, b"colis/v1", info).derive(key)


def unwrap(fields, me, password):
    key_id = bytes.fromhex(fields["key_id"])
    context = b"colis/v1/wrap\0" + key_id + bytes.fromhex(fields["transfer_id"]) + bytes.fromhex(fields["sender"])
    mine = [w for w in fields["wraps"] if w.get("peer") == me["peer_id"] and w["kid"] == me["kid"]]
    locked = [w for w in fields["wraps"] if w["type"] == "password"]
    require(mine or locked, "NotForUs")
    require(mine or password is not None, "PasswordNeeded")
    key = unwrap_mine(mine[0], me, context) if mine else unwrap_locked(locked[0], password, context)
    require(hmac.compare_digest(hkdf(key, b"commit"), key_id), "CommitmentMismatch")
    return key


def unwrap_mine(wrap, me, context):
    seed = hashlib.shake_256(bytes.fromhex(me["seal_seed"])).digest(96)
    halves = mlkem.MLKEM768PrivateKey.from_seed_bytes(seed[:64]), x25519.X25519PrivateKey.from_private_bytes(seed[64:])
    sealed = base64.b64decode(wrap["enc"]) + base64.b64decode(wrap["ct"])
    info = context + bytes.fromhex(wrap["peer"]) + bytes.fromhex(wrap["kid"])
    try:
        return HPKE.decrypt(sealed, hpke.MLKEM768X25519PrivateKey(*halves), info)
    except (InvalidTag, ValueError):
        raise Refused("Forged(wrap)") from None


def unwrap_locked(wrap, password, context):
    normal = unicodedata.normalize("NFC", password).encode()
    root = hashlib.pbkdf2_hmac("sha256", normal, base64.b64decode(wrap["salt"]), wrap["iterations"])
    check = base64.b64decode(wrap["check"])
    require(hmac.compare_digest(hkdf(root, b"password/check"), check), "WrongPassword")
    try:
        cipher = AESGCM(hkdf(root, b"password/key"))
        return cipher.decrypt(bytes(12), base64.b64decode(wrap["ct"]), context + bytes(64))
    except InvalidTag:
        raise Refused("Forged(wrap)") from None


def open_stream(stream, ids, fields, key, store):
    name = "content chunk" if stream == "chunk" else f"{stream} chunk"
    cipher, chunk_size, plain = AESGCM(hkdf(key, stream.encode())), fields["chunk_size"], []
    for index, id in enumerate(ids):
        sealed, last = store(id), index + 1 == len(ids)
        length = len(sealed) - 28
        require(0 <= length <= chunk_size, f"Malformed({name})")
        aad = LABELS[stream] + bytes.fromhex(fields["key_id"]) + index.to_bytes(8, "big") + bytes([last]) + bytes(7)
        aad += length.to_bytes(4, "big") + chunk_size.to_bytes(4, "big")
        try:
            plain.append(cipher.decrypt(sealed[:12], sealed[12:], aad))
        except InvalidTag:
            raise Refused(f"Forged({name})") from None
        expected = min(chunk_size, fields["size"] - index * chunk_size) if stream == "chunk" else None
        require(length == expected if stream == "chunk" else length == chunk_size or last and length > 0, "Integrity")
    return b"".join(plain)


def split_lines(data, what, shape, line_name):
    require(len(data) <= MAX_TABLE, f"Syntax({what})")
    values, in_padding = [], False
    *lines, rest = data.split(b"\n")
    for line in lines:
        in_padding = in_padding or not line
        require(not line or not in_padding, f"Syntax({what})")
        require(len(line) <= MAX_LINE and len(values) < 1_000_000, f"Syntax({what})")
        values += [parse(line, shape, line_name)] if line else []
    require(not rest and len(data) % 256 == 0, f"Syntax({what})")
    return values


def check_listing(entries, sums, size):
    files = [entry["size"] for entry in entries if entry["kind"] == "file"]
    known = sum(size for size in files if size is not None)
    require(entries and len(files) == len(sums) and None not in files[:-1], "Integrity")
    require(known == size or known < size and None in files, "Integrity")


def check_paths(entries):
    seen, folders = set(), {""}
    for entry in entries:
        path = entry["path"]
        parts = path.split("/")
        sound = all(part not in ("", ".", "..") and len(part.encode()) <= 255 for part in parts)
        require(sound and "\0" not in path and len(parts) <= 128 and len(path.encode()) <= 4096, "BadPath")
        require(path not in seen and "/".join(parts[:-1]) in folders, "BadTable")
        seen.add(path)
        folders |= {path} if entry["kind"] == "directory" else set()


def check_files(entries, sums, content):
    at, files = 0, [entry for entry in entries if entry["kind"] == "file"]
    for entry, digest in zip(files, sums):
        end = len(content) if entry["size"] is None else at + entry["size"]
        require(blake3(content[at:end]).hexdigest() == digest, "Integrity")
        at = end


def skipped_links(entries):
    def leaves(entry):
        target, steps = entry["target"], [step for step in entry["target"].split("/") if step not in ("", ".")]
        climbs = next((at for at, step in enumerate(steps) if step != ".."), len(steps))
        down_then_up = ".." in steps[climbs:]
        return not target or target[0] == "/" or down_then_up or climbs >= entry["path"].count("/")

    return [entry["path"] for entry in entries if entry["kind"] == "symlink" and leaves(entry)]


# Judging a vector.


def open_vector(vector, circle, store):
    kind = {"bundle": "peer"}.get(vector["type"], vector["type"])
    data = envelope_of(vector)
    fields, message, signature = open_envelope(data, kind)
    signer = verify(fields, message, signature, circle, seconds(vector["now"]))
    found = {"id": hashlib.sha256(data).hexdigest(), "signer": signer}
    if kind == "peer":
        return found | {"seal_key_id": hashlib.sha256(base64.b64decode(fields["seal_key"])).hexdigest()}
    key = unwrap(fields, circle["peers"][vector["reader"]], vector.get("password"))
    table = open_stream("table", fields["table"], fields, key, store)
    entries = split_lines(table, "table", ENTRY, "table entry")
    found |= {"file_key": key.hex(), "entries": entries}
    if kind == "manifest":
        require(not fields["sums"] or any(entry["kind"] == "file" for entry in entries), "Integrity")
        sums = split_lines(open_stream("sums", fields["sums"], fields, key, store), "sums", HEX, "line of the sums")
        check_listing(entries, sums, fields["size"])
        check_paths(entries)
        content = open_stream("chunk", fields["chunks"], fields, key, store)
        check_files(entries, sums, content)
        found |= {"sums": sums, "content_sha256": hashlib.sha256(content).hexdigest()}
        found |= {"skipped_links": skipped_links(entries)}
    return found


def open_locked(vector):
    """A file of keys under a passphrase."""
    lines = vector["file"].splitlines()
    require((lines[0], lines[-1]) == ("-----BEGIN COLIS LOCKED KEY-----", "-----END COLIS LOCKED KEY-----"), "Malformed(locked key)")
    data = base64.b64decode("".join(lines[1:-1]), validate=True)
    head, nonce, sealed = data[:78], data[78:90], data[90:]
    require(len(sealed) >= 16 and head[0] == 1 and head[1] in (1, 2), "Malformed(locked key)")
    memory, passes, lanes = (int.from_bytes(head[at : at + 4], "big") for at in (2, 6, 10))
    require(65536 <= memory <= 262144 and 3 <= passes <= 10 and lanes == 1, "PassphraseCost")
    typed = unicodedata.normalize("NFC", vector["passphrase"]).encode()
    root = Argon2id(salt=head[14:46], length=32, iterations=passes, lanes=lanes, memory_cost=memory).derive(typed)
    require(hmac.compare_digest(hkdf(root, b"passphrase/check"), head[46:78]), "WrongPassword")
    key = hkdf(root, b"passphrase/circle" if head[1] == 1 else b"passphrase/peer")
    try:
        return AESGCM(key).decrypt(nonce, sealed, b"colis/v1/locked\0" + head)
    except InvalidTag:
        raise Refused("Forged(locked key)") from None


def judge_locked(vector):
    """As `judge`."""
    try:
        found = base64.b64encode(open_locked(vector)).decode()
    except Refused as refused:
        return None if str(refused) == vector.get("error") else f"refused as {refused}, not {vector.get('error')}"
    return None if found == vector.get("opened") else "opened, but to something else"


def envelope_of(vector):
    if "envelope" in vector:
        return vector["envelope"].encode()
    signatures = [{"keyid": vector["keyid"], "sig": vector["sig"]}]
    payload = base64.b64encode(vector["payload"].encode()).decode()
    value = {"payload": payload, "payloadType": vector["payload_type"], "signatures": signatures}
    data = json.dumps(value, separators=(",", ":")).encode()
    return data.ljust(vector.get("spaces_to_length", 0))


def store_of(root, vector, chunks):
    def fetch(id):
        require(id not in vector.get("missing", []), "NotFound")
        path, encoded = root / "data" / id, vector.get("served", {}).get(id) or chunks.get(id)
        require(encoded or path.exists(), "NotFound")
        sealed = base64.b64decode(encoded) if encoded else path.read_bytes()
        require(hashlib.sha256(sealed).hexdigest() == id, "HashMismatch")
        return sealed

    return fetch


def judge(root, path, circle, chunks):
    """Why the vector was not judged as it says it must be; None if it was."""
    vector = json.loads(path.read_text("utf-8"))
    try:
        found = open_vector(vector, circle, store_of(root, vector, chunks))
    except Refused as refused:
        return None if str(refused) == vector.get("error") else f"refused as {refused}, not {vector.get('error')}"
    expected = vector.get("opened") or {"error": vector["error"]}
    expected |= {"skipped_links": vector["skipped_links"]} if "skipped_links" in vector else {}
    wrong = [name for name in expected if found.get(name) != expected[name]]
    return f"opened, but {', '.join(wrong)} differ" if wrong else None


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent)
    circle, chunks = (json.loads((root / name).read_text()) for name in ("peers.json", "chunks.json"))
    paths, failed = sorted(root.glob("*valid/*.json")), 0
    for path in paths:
        reason = judge(root, path, circle, chunks)
        failed += reason is not None
        print(f"{path.parent.name}/{path.stem}: {reason or 'ok'}")
    for vector in json.loads((root / "locked.json").read_text("utf-8")):
        reason = judge_locked(vector)
        if reason is not None:
            failed += 1
            print(f"locked, {vector['about']}: {reason}")
    print(f"{len(paths) - failed} passed, {failed} failed")
    sys.exit(1 if failed or not paths else 0)


if __name__ == "__main__":
    main()
