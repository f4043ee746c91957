"""Writes every test vector of the format again: `python generate.py [FOLDER]`.

Each invalid vector has exactly one fault, put in before the signature unless the signature is what is wrong: a reader
meets a sender who means harm more often than a broken disk. Running it gives the same bytes every time.
"""

import functools
import hashlib
import json
import pathlib
import sys
import unicodedata

from blake3 import blake3
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

import locked
from sealing import P256_ORDER, Circle, Peer, b64, hkdf, hpke_seal, random_bytes, sign

OFFER = "application/vnd.colis.offer.v1+json"
MANIFEST = "application/vnd.colis.manifest.v1+json"
BUNDLE = "application/vnd.colis.peer.v1+json"
CHUNK = 64 << 10
CREATED, NOW = "2025-01-01T00:00:00Z", "2025-01-02T00:00:00Z"
INLINE = 4096

CIRCLE, ELSEWHERE = Circle("test circle"), Circle("another circle")
PEERS = [Peer(name, CIRCLE, serial) for serial, name in enumerate(["alice", "bob", "carol", "mallory"], 2)]
ALICE, BOB, CAROL, MALLORY = PEERS
RITA = Peer("rita", CIRCLE, 10)
SCRIPT = Peer("script", CIRCLE, 11, usages=("CLIENT_AUTH",))
LATE = Peer("late", CIRCLE, 12, begin="2030-01-01")
OLD = Peer("old", CIRCLE, 13, end="2024-12-01")
STRANGER = Peer("stranger", ELSEWHERE, 2)

LABELS = {
    "chunk": b"colis/v1/chunk\0\0",
    "table": b"colis/v1/table\0\0",
    "sums": b"colis/v1/sums\0\0\0",
}


def compact(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def file(path, content=b"", **changes):
    entry = {"kind": "file", "path": path, "size": len(content), "mtime": 1735600000, "mtime_ns": 5, "executable": False}
    return entry | changes, content


def folder(path):
    return {"kind": "directory", "path": path, "mtime": 1735600000, "mtime_ns": 0}, b""


def link(path, target):
    return {"kind": "symlink", "path": path, "target": target}, b""


def pad(text):
    return text + b"\n" * (-len(text) % 256)


def lines(values):
    return b"".join(compact(value).encode() + b"\n" for value in values)


def seal(key, stream, index, last, plain, chunk_size=CHUNK, label=None):
    key_id = hkdf(key, b"commit")
    numbers = index.to_bytes(8, "big") + bytes([last]) + bytes(7) + len(plain).to_bytes(4, "big")
    aad = (label or LABELS[stream]) + key_id + numbers + chunk_size.to_bytes(4, "big")
    # The nonce depends on all that is sealed, so that no two texts here share one under one key.
    nonce = random_bytes(f"{key.hex()}/{sha256(aad)}/{sha256(plain)}", 12)
    return nonce + AESGCM(hkdf(key, stream.encode())).encrypt(nonce, plain, aad)


@functools.cache
def seal_stream(key, stream, plain, chunk_size=CHUNK):
    pieces = [plain[at : at + chunk_size] for at in range(0, len(plain), chunk_size)]
    return tuple(seal(key, stream, i, i + 1 == len(pieces), piece, chunk_size) for i, piece in enumerate(pieces))


def context(key_id, transfer_id, sender, peer=bytes(32), kid=bytes(32)):
    return b"colis/v1/wrap\0" + key_id + transfer_id + sender + peer + kid


@functools.cache
def recipient_wrap(key, ctx, public):
    return hpke_seal(public, ctx, key, random_bytes("wrap/" + sha256(key + ctx + public), 64))


class Draft:
    """A transfer whose parts can be changed one by one before it is signed."""

    def __init__(self, label, entries, sender=ALICE, readers=(), password=None, chunk_size=CHUNK):
        self.key = random_bytes(label + "/key", 32)
        self.key_id = hkdf(self.key, b"commit")
        self.transfer_id = random_bytes(label + "/transfer", 16)
        self.sender, self.chunk_size = sender, chunk_size
        self.created, self.expires = CREATED, None
        self.entries = [entry for entry, _ in entries]
        contents = [content for entry, content in entries if entry["kind"] == "file"]
        self.content, self.digests = b"".join(contents), [blake3(content).hexdigest() for content in contents]
        self.table = list(self.stream("table", pad(lines(self.entries))))
        self.chunks = list(self.stream("chunk", self.content))
        self.sums = list(self.stream("sums", pad(lines(self.digests))))
        self.wraps = [self.wrap(peer) for peer in (sender, *readers)]
        self.wraps += [self.password_wrap(password)] if password else []

    def stream(self, name, plain):
        return seal_stream(self.key, name, plain, self.chunk_size)

    def wrap(self, peer, key=None, seal_key=None):
        seal_key = seal_key or peer.seal
        ctx = context(self.key_id, self.transfer_id, self.sender.id, peer.id, seal_key.kid)
        enc, ct = recipient_wrap(key or self.key, ctx, seal_key.public)
        return {"type": "recipient", "peer": peer.id.hex(), "kid": seal_key.kid.hex(), "enc": b64(enc), "ct": b64(ct)}

    def password_wrap(self, password, key=None, iterations=600_000):
        normal = unicodedata.normalize("NFC", password).encode()
        salt = random_bytes("salt/" + self.transfer_id.hex(), 32)
        root = hashlib.pbkdf2_hmac("sha256", normal, salt, iterations)
        ctx = context(self.key_id, self.transfer_id, self.sender.id)
        ct = AESGCM(hkdf(root, b"password/key")).encrypt(bytes(12), key or self.key, ctx)
        check = hkdf(root, b"password/check")
        return {"type": "password", "salt": b64(salt), "iterations": iterations, "check": b64(check), "ct": b64(ct)}

    def offer(self, size=True):
        return {
            "v": 1,
            "transfer_id": self.transfer_id.hex(),
            "created": self.created,
            "expires": self.expires,
            "sender": self.sender.id.hex(),
            "certificate": b64(self.sender.certificate),
            "key_id": self.key_id.hex(),
            "chunk_size": self.chunk_size,
            "size": len(self.content) if size else None,
            "table": [sha256(sealed) for sealed in self.table],
            "wraps": self.wraps,
        }

    def manifest(self):
        ids = {"chunks": [sha256(s) for s in self.chunks], "sums": [sha256(s) for s in self.sums]}
        return self.offer() | ids

    def stored(self):
        return {sha256(sealed): sealed for sealed in self.table + self.chunks + self.sums}

    def opened(self, is_manifest=True):
        """What a reader must find."""
        found = {"file_key": self.key.hex(), "entries": self.entries}
        if is_manifest:
            found |= {"sums": self.digests, "content_sha256": sha256(self.content)}
        return found


def pae(payload_type, payload):
    return b"DSSEv1 %d %s %d %s" % (len(payload_type), payload_type.encode(), len(payload), payload)


class Envelope(str):
    """The text of an envelope that is spelled as it should be, and its parts."""


def envelope(payload, payload_type=MANIFEST, signer=ALICE, keyid=None, signature=None):
    signature = signature or sign(signer.key, pae(payload_type, payload))
    keyid = (keyid or signer.id).hex()
    signatures = [{"keyid": keyid, "sig": b64(signature)}]
    text = Envelope(compact({"payload": b64(payload), "payloadType": payload_type, "signatures": signatures}))
    text.parts = {"payload": payload.decode(), "payload_type": payload_type, "keyid": keyid, "sig": b64(signature)}
    return text


class Writer:
    """Collects vectors and writes them."""

    def __init__(self):
        self.vectors, self.chunks = {}, {}

    def add(self, name, about, text, draft=None, reader=ALICE, **more):
        kind = "invalid" if "error" in more else "valid"
        assert f"{kind}/{name}" not in self.vectors, name
        self.chunks |= draft.stored() if draft else {}
        parts = getattr(text, "parts", {"envelope": text})
        vector = {"about": about, "type": more.pop("type", "manifest"), "now": NOW, "reader": reader.name}
        self.vectors[f"{kind}/{name}"] = vector | more | parts

    def valid(self, name, about, draft, **more):
        text = more.pop("text", None) or envelope(compact(draft.manifest()).encode(), signer=draft.sender)
        opened = {"id": sha256(text.encode()), "signer": draft.sender.name} | draft.opened()
        if len(draft.entries) > 100:
            del opened["entries"], opened["sums"]
        self.add(name, about, text, draft, opened=opened, **more)

    def sealed(self, name, error, about, draft, **more):
        """A fault inside of what is sealed or wrapped."""
        text = envelope(compact(draft.manifest()).encode(), signer=draft.sender)
        self.add(name, about, text, draft, error=error, **more)

    def write(self, root):
        for path, vector in self.vectors.items():
            put(root / f"{path}.json", (json.dumps(vector, indent=1, ensure_ascii=False) + "\n").encode())
        small = {id: b64(sealed) for id, sealed in sorted(self.chunks.items()) if len(sealed) <= INLINE}
        put(root / "chunks.json", (json.dumps(small, indent=0) + "\n").encode())
        for id, sealed in self.chunks.items():
            if len(sealed) > INLINE:
                put(root / "data" / id, sealed)
        put(root / "peers.json", (json.dumps(describe_peers(), indent=1) + "\n").encode())
        put(root / "locked.json", (json.dumps(locked.vectors(), indent=1, ensure_ascii=False) + "\n").encode())


def put(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def describe_peers():
    pem = CIRCLE.certificate.public_bytes(serialization.Encoding.PEM).decode()
    peers = {
        peer.name: {
            "peer_id": peer.id.hex(),
            "certificate": b64(peer.certificate),
            "seal_seed": peer.seal.seed.hex(),
            "kid": peer.seal.kid.hex(),
        }
        for peer in PEERS
    }
    return {"ca_cert": pem, "crl": CIRCLE.revoke(10), "peers": peers}



def small(label="base", **more):
    return Draft(label, [file("hello.txt", b"Hello, colis!\n")], **more)


def swap(text, old, new):
    assert text.count(old) >= 1, old
    return text.replace(old, new, 1)


def main():
    import cases

    writer = Writer()
    cases.write_all(writer)
    writer.write(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent))


if __name__ == "__main__":
    sys.modules["generate"] = sys.modules["__main__"]
    main()
