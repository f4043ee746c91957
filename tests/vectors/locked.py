"""The vectors of files of keys under a passphrase, for `generate.py`."""

import base64
import unicodedata

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from sealing import b64, hkdf, random_bytes

PASSPHRASE = "correct horse battery stäple"
CIRCLE, PEER = 1, 2
INFO = {CIRCLE: b"passphrase/circle", PEER: b"passphrase/peer"}
SALT = random_bytes("locked/salt", 32)
NONCE = random_bytes("locked/nonce", 12)


def root(passphrase, memory, passes, lanes):
    text = unicodedata.normalize("NFC", passphrase).encode()
    return Argon2id(salt=SALT, length=32, iterations=passes, lanes=lanes, memory_cost=memory).derive(text)


def lock(plain, scope=PEER, memory=65536, passes=3, passphrase=PASSPHRASE):
    key = root(passphrase, memory, passes, 1)
    numbers = b"".join(number.to_bytes(4, "big") for number in (memory, passes, 1))
    head = bytes([1, scope]) + numbers + SALT + hkdf(key, b"passphrase/check")
    sealed = AESGCM(hkdf(key, INFO[scope])).encrypt(NONCE, plain, b"colis/v1/locked\0" + head)
    return head + NONCE + sealed


def pem(data):
    text = base64.b64encode(data).decode()
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    return "\n".join(["-----BEGIN COLIS LOCKED KEY-----", *lines, "-----END COLIS LOCKED KEY-----", ""])


def number(data, at, value):
    return data[:at] + value.to_bytes(4, "big") + data[at + 4 :]


def flip(data, at):
    at %= len(data)
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def vectors():
    plain = b"-----BEGIN COLIS SEAL KEY-----\n" + base64.b64encode(random_bytes("locked/seed", 32)) + b"\n-----END COLIS SEAL KEY-----\n"
    good = lock(plain)

    def opens(about, data, opened=plain, passphrase=PASSPHRASE):
        return {"about": about, "passphrase": passphrase, "file": pem(data), "opened": b64(opened)}

    def refused(about, data, error, passphrase=PASSPHRASE):
        return {"about": about, "passphrase": passphrase, "file": pem(data), "error": error}

    cost, malformed, forged = "PassphraseCost", "Malformed(locked key)", "Forged(locked key)"
    return [
        opens("a key of the peer", good),
        opens("the key of the circle", lock(plain, scope=CIRCLE)),
        opens("an empty file", lock(b""), opened=b""),
        opens("more passes and memory", lock(plain, memory=65544, passes=4)),
        opens("a passphrase that was typed decomposed", good, passphrase=unicodedata.normalize("NFD", PASSPHRASE)),
        refused("another passphrase", good, "WrongPassword", passphrase="correct horse battery staple"),
        refused("another salt", flip(good, 14), "WrongPassword"),
        refused("another check value", flip(good, 46), "WrongPassword"),
        refused("a later version", bytes([2]) + good[1:], malformed),
        refused("a scope that there is not", good[:1] + bytes([3]) + good[2:], malformed),
        refused("the other scope", good[:1] + bytes([CIRCLE]) + good[2:], forged),
        refused("too little memory", number(good, 2, 65535), cost),
        refused("too much memory", number(good, 2, 262145), cost),
        refused("all the memory", number(good, 2, 2**32 - 1), cost),
        refused("too few passes", number(good, 6, 2), cost),
        refused("too many passes", number(good, 6, 11), cost),
        refused("no lane", number(good, 10, 0), cost),
        refused("two lanes", number(good, 10, 2), cost),
        refused("another nonce", flip(good, 78), forged),
        refused("another ciphertext", flip(good, 90), forged),
        refused("another tag", flip(good, -1), forged),
        refused("a byte more", good + b"\0", forged),
        refused("a byte less", good[:-1], forged),
        refused("no whole tag", good[:105], malformed),
        refused("no whole head", good[:89], malformed),
        refused("nothing", b"", malformed),
    ]
