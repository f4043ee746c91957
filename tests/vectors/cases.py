"""The vectors themselves, group by group. `generate.py` writes them."""

from blake3 import blake3

from generate import (
    ALICE,
    BOB,
    BUNDLE,
    CAROL,
    CHUNK,
    LATE,
    MALLORY,
    MANIFEST,
    OFFER,
    OLD,
    P256_ORDER,
    RITA,
    SCRIPT,
    STRANGER,
    Draft,
    b64,
    compact,
    envelope,
    file,
    folder,
    lines,
    link,
    pad,
    pae,
    random_bytes,
    seal,
    sha256,
    sign,
    small,
    swap,
)
from sealing import SealKey

PASSWORD = "caf\u00e9 m\u00fcller"


def write_all(w):
    sizes(w)
    trees(w)
    readers(w)
    offers_and_bundles(w)
    envelopes(w)
    signatures(w)
    spelling(w)
    invariants(w)
    bad_wraps(w)
    bad_keys(w)
    bad_chunks(w)
    bad_tables(w)
    bad_paths(w)
    bad_sums(w)


def content(size):
    return random_bytes(f"content of {size}", size)


def sizes(w):
    for size in [0, 1, 255, CHUNK, CHUNK + 1, 3 * CHUNK + 7]:
        draft = Draft(f"size {size}", [file("data.bin", content(size))])
        w.valid(f"size-{size}", f"one file of {size} bytes in chunks of 64 KiB", draft)
    draft = Draft("two files", [file("a", content(40)), file("b", content(60))])
    w.valid("two-files-one-chunk", "two files share the one chunk of the content", draft)
    # BLAKE3 is a tree over leaves of 1,024 bytes of a file, and a file begins anywhere in a chunk.
    leaf, files, at = 1024, [], 0
    for number, offset in enumerate([0, 1, leaf - 1, leaf, leaf + 1]):
        between = (offset - at) % (2 * leaf)
        at += between
        files += [file(f"{number}-before", content(between)), file(f"{number}-at-{offset}", content(CHUNK + leaf + 1))]
        at += CHUNK + leaf + 1
    w.valid("sums-offsets", "files that begin at, and beside, a border of 1,024 bytes, each in two chunks or three", Draft("offsets", files))
    near = sorted({(leaf << power) + by for power in range(6) for by in (-1, 0, 1)} | {0, 1})
    files = [file(f"{size:05}", content(size)) for size in near]
    w.valid("sums-sizes", "files of about a power of two leaves, back to back", Draft("leaves", files))
    for size in [2, leaf - 1, leaf, leaf + 1]:
        files = [file("before", content(CHUNK - 1)), file("across", content(size)), file("after", content(size))]
        w.valid(f"sums-across-{size}", f"a file of {size} bytes, of which one is in the first chunk", Draft(f"across {size}", files))
    draft = Draft("128 KiB chunks", [file("a", content(100))], chunk_size=2 * CHUNK)
    w.valid("chunk-size-128-kib", "another chunk size", draft)


def trees(w):
    w.valid("folder-empty", "an empty folder: no content and no sums", Draft("empty", [folder("empty")]))
    tree = [
        folder("d"),
        folder("d/sub"),
        file("d/run.sh", b"#!/bin/sh\n", executable=True),
        file("d/sub/empty"),
        link("d/sub/up", "../run.sh"),
    ]
    w.valid("folder-tree", "folders, an executable file, an empty file and a link that stays inside", Draft("tree", tree))
    unicode = [file("caf\u00e9 \U0001f4e6.txt", b"1"), file("cafe\u0301 \U0001f4e6.txt", b"2"), file("\u65e5\u672c", b"3")]
    w.valid("names-unicode", "names beyond ASCII; two that differ only by normalization", Draft("unicode", unicode))
    odd = [file('quote " backslash \\ slash.txt', b"1"), file("tab\t bell\u0007 delete\u007f line\u2028", b"2")]
    w.valid("names-escaped", "names that JSON must escape, and some that it must not", Draft("odd", odd))
    escaping = [folder("d"), link("d/out", "../../etc/passwd"), link("d/abs", "/etc/passwd"), file("d/a", b"1")]
    w.valid(
        "links-escaping",
        "links that lead out are well-formed; they are skipped, not made",
        Draft("escaping", escaping),
        skipped_links=["d/out", "d/abs"],
    )
    old = [file("old", b"1", mtime=-1, mtime_ns=999_999_999)]
    w.valid("time-before-1970", "a file older than the epoch", Draft("old time", old))
    stream = [file("first", b"known"), file("stdin", content(255), size=None)]
    w.valid("stream-size-null", "the last file has no size of its own: it has the rest of the content", Draft("stdin", stream))
    many = [file(f"{i:04}-" + "x" * 200, b"") for i in range(240)]
    draft = Draft("long table", many)
    assert len(draft.table) == 2
    w.valid("table-two-chunks", "a table that fills one chunk and goes on in a second", draft)
    padded = small("padded more")
    padded.table = list(padded.stream("table", pad(lines(padded.entries)) + b"\n" * 512))
    w.valid("table-padded-more", "more padding than the least that is needed", padded)


def readers(w):
    w.valid("wraps-several", "a transfer to bob and carol, opened by bob", small("three", readers=[BOB, CAROL]), reader=BOB)
    w.valid("wraps-by-sender", "the same kind, opened by its sender", small("three", readers=[BOB, CAROL]))
    w.valid(
        "wrap-password",
        "a password wrap; the password is typed decomposed and wrapped composed (NFC)",
        small("password", password=PASSWORD),
        reader=BOB,
        password="cafe\u0301 mu\u0308ller",
    )
    send = small("send")
    send.expires = "2025-01-31T00:00:00Z"
    w.valid("expires-in-30-days", "a `send`, which expires", send)
    brink = small("brink")
    brink.created, brink.expires = "2025-01-03T00:00:00Z", "2025-01-03T00:00:01Z"
    w.valid("created-24-hours-ahead", "the farthest that a sender's clock may be ahead", brink)
    w.valid("expires-last", "the last time that can be written", small_dated("last time", expires="9999-12-30T22:00:00Z"))
    w.valid("expires-in-a-second", "the last moment before it expires", small_dated("last", expires="2025-01-02T00:00:01Z"))


def small_dated(label, **dates):
    draft = small(label)
    vars(draft).update(dates)
    return draft


def bundle(peer=ALICE):
    return {
        "v": 1,
        "created": "2025-01-01T00:00:00Z",
        "peer_id": peer.id.hex(),
        "name": peer.name,
        "certificate": b64(peer.certificate),
        "seal_key": b64(peer.seal.public),
        "sequence": 1717200001,
    }


def offers_and_bundles(w):
    draft = small(readers=[BOB])
    for name, known in [("offer", True), ("offer-size-null", False)]:
        text = envelope(compact(draft.offer(known)).encode(), OFFER)
        opened = {"id": sha256(text.encode()), "signer": "alice"} | draft.opened(False)
        about = "an offer of known size" if known else "an offer whose size is not known yet"
        w.add(name, about, text, draft, type="offer", reader=BOB, opened=opened)
    text = envelope(compact(bundle()).encode(), BUNDLE)
    opened = {"id": sha256(text.encode()), "signer": "alice", "seal_key_id": ALICE.seal.kid.hex()}
    w.add("bundle", "what a peer tells of itself", text, type="bundle", opened=opened)
    for name, error, about, change in [
        ("bundle-name", "Invariant(name)", "a name with an upper-case letter", {"name": "Alice"}),
        ("bundle-name-empty", "Invariant(name)", "no name", {"name": ""}),
        ("bundle-seal-key-short", "Syntax(peer bundle)", "a seal key of 1215 bytes", {"seal_key": b64(ALICE.seal.public[:-1])}),
        ("bundle-unknown-field", "Syntax(peer bundle)", "a field of some later version", {"x": 1}),
        ("bundle-version-2", "UnsupportedVersion", "version 2", {"v": 2}),
        ("bundle-of-another", "SenderMismatch", "names bob, with alice's key and certificate", {"peer_id": BOB.id.hex()}),
    ]:
        keyid = bytes.fromhex((bundle() | change)["peer_id"])
        text = envelope(compact(bundle() | change).encode(), BUNDLE, keyid=keyid)
        w.add(name, about, text, type="bundle", error=error)
    for name, error, about, change in [
        ("offer-table-none", "Invariant(table)", "no table", lambda o: o.update(table=[])),
        ("offer-table-twice", "Invariant(table)", "a chunk that stands twice", lambda o: o.update(table=o["table"] * 2)),
        ("offer-too-many-chunks", "Invariant(size)", "65,537 chunks", lambda o: o.update(size=65_536 * CHUNK + 1)),
        ("offer-with-chunks", "Syntax(offer)", "a field that only a manifest has", lambda o: o.update(chunks=[])),
    ]:
        offer = draft.offer()
        change(offer)
        w.add(name, about, envelope(compact(offer).encode(), OFFER), draft, type="offer", error=error)


def envelopes(w):
    draft = small()
    payload = compact(draft.manifest()).encode()
    good = envelope(payload)
    sig = good[good.index('"sig":"') + 7 : -4]
    alice, signature = ALICE.id.hex(), '{"keyid":"%s","sig":"%s"}' % (ALICE.id.hex(), sig)
    syntax = "Syntax(envelope)"
    for name, error, about, text in [
        ("offer-type", "UnsupportedType", "a manifest in an envelope that says offer", envelope(payload, OFFER)),
        ("type-case", "UnsupportedType", "another spelling of the payload type", envelope(payload, MANIFEST.upper())),
        ("two-signatures", syntax, "two signatures", swap(good, signature, f"{signature},{signature}")),
        ("no-signature", syntax, "no signature", swap(good, signature, "")),
        ("keyid-of-another", "SenderMismatch", "the key id of bob", swap(good, alice, BOB.id.hex())),
        ("keyid-upper-case", syntax, "a key id in upper case", swap(good, alice, alice.upper())),
        ("white-space", syntax, "a space after a colon", swap(good, '":"', '": "')),
        ("trailing-line-feed", syntax, "a line feed after the end", good + "\n"),
        ("trailing-byte", syntax, "a brace after the end", good + "}"),
        ("unknown-field", syntax, "a field that DSSE does not have", swap(good, '{"payload"', '{"x":1,"payload"')),
        ("duplicate-field", syntax, "a field twice", swap(good, '"payloadType"', f'"payloadType":"{MANIFEST}","payloadType"')),
        ("missing-field", syntax, "no payload type", swap(good, f'"payloadType":"{MANIFEST}",', "")),
        ("field-order", syntax, "signatures first", reordered_envelope(good)),
        ("escaped-slash", syntax, "a slash that need not be escaped", swap(good, "application/", "application\\/")),
        ("base64-alphabet", syntax, "a character of the URL-safe alphabet", swap(good, sig, "_" + sig[1:])),
        ("base64-no-padding", syntax, "base64 without its padding", swap(good, sig, sig.rstrip("="))),
        ("base64-trailing-bits", syntax, "base64 whose unused bits are not zero", swap(good, sig, loose_bits(sig))),
        ("base64-line-feed", syntax, "a line feed in base64", swap(good, sig, sig[:64] + "\\n" + sig[64:])),
        ("signature-63-bytes", syntax, "a signature of 63 bytes", envelope(payload, signature=bytes(63))),
        ("byte-order-mark", syntax, "a byte order mark", "\ufeff" + good),
        ("empty", syntax, "nothing at all", ""),
        ("array", syntax, "an array", "[]"),
    ]:
        w.add("envelope-" + name, about, text, draft, error=error)
    w.add("envelope-too-large", "one byte over 8 MiB", good, draft, error="TooLarge", spaces_to_length=(8 << 20) + 1)


def reordered_envelope(text):
    at = text.index(',"signatures"')
    return "{" + text[at + 1 : -1] + "," + text[1:at] + "}"


def loose_bits(sig):
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    body = sig.rstrip("=")
    return body[:-1] + alphabet[alphabet.index(body[-1]) | 1] + sig[len(body) :]


def signatures(w):
    draft = small()
    payload = compact(draft.manifest()).encode()
    good = sign(ALICE.key, pae(MANIFEST, payload))
    r, s = good[:32], int.from_bytes(good[32:], "big")
    other = compact(draft.manifest() | {"expires": "2025-02-01T00:00:00Z"}).encode()
    for name, about, text in [
        ("flipped-bit", "one bit of the signature", envelope(payload, signature=flip(good, 3))),
        ("high-s", "the other s, which verifies too", envelope(payload, signature=r + (P256_ORDER - s).to_bytes(32, "big"))),
        ("zero", "zeros", envelope(payload, signature=bytes(64))),
        ("of-another-key", "signed by bob", envelope(payload, signature=sign(BOB.key, pae(MANIFEST, payload)))),
        ("of-another-payload", "the payload was changed after signing", envelope(other, signature=good)),
        ("over-bare-payload", "signed without the encoding of DSSE", envelope(payload, signature=sign(ALICE.key, payload))),
        ("as-offer", "signed as an offer", envelope(payload, signature=sign(ALICE.key, pae(OFFER, payload)))),
    ]:
        w.add("signature-" + name, about, text, draft, error="BadSignature")
    for name, error, about, sender in [
        ("revoked", "Revoked", "a sender whose certificate is revoked", RITA),
        ("stranger", "UntrustedSigner", "a certificate of another circle", STRANGER),
        ("script", "UntrustedSigner", "a certificate for calling only", SCRIPT),
        ("not-yet-valid", "UntrustedSigner", "made before the certificate's first day", LATE),
        ("expired", "UntrustedSigner", "made after the certificate's last day", OLD),
    ]:
        sealed = small(f"signed by {name}", sender=sender)
        w.sealed("signer-" + name, error, about, sealed)
    borrowed = draft.manifest() | {"certificate": b64(BOB.certificate)}
    w.add("signer-borrowed-certificate", "alice with bob's certificate", signed(borrowed), draft, error="SenderMismatch")
    garbage = draft.manifest() | {"certificate": b64(ALICE.certificate[:-1])}
    w.add("signer-cut-certificate", "a certificate cut short", signed(garbage), draft, error="UntrustedSigner")


def flip(data, byte, bit=0):
    return data[:byte] + bytes([data[byte] ^ 1 << bit]) + data[byte + 1 :]


def signed(manifest, signer=ALICE):
    return envelope(compact(manifest).encode(), signer=signer)


def spelling(w):
    draft = small()
    good = compact(draft.manifest())
    tid, alice = draft.transfer_id.hex(), ALICE.id.hex()
    syntax, sender = "Syntax(manifest)", f'"sender":"{alice}"'
    for name, error, about, text in [
        ("version-0", "UnsupportedVersion", "version 0", swap(good, '"v":1', '"v":0')),
        ("version-2", "UnsupportedVersion", "version 2", swap(good, '"v":1', '"v":2')),
        ("version-text", syntax, "the version as text", swap(good, '"v":1', '"v":"1"')),
        ("version-missing", syntax, "no version", swap(good, '"v":1,', "")),
        ("unknown-field", syntax, "a field of some later version", swap(good, '"v":1,', '"v":1,"x":0,')),
        ("duplicate-field", syntax, "a field twice", swap(good, sender, f"{sender},{sender}")),
        ("missing-field", syntax, "no sender", swap(good, sender + ",", "")),
        ("field-order", syntax, "two fields in the other order", swap(swap(good, f',{sender}', ""), ',"created"', f',{sender},"created"')),
        ("number-with-fraction", syntax, "a size of 14.0", swap(good, '"size":14', '"size":14.0')),
        ("number-with-exponent", syntax, "a size of 14e0", swap(good, '"size":14', '"size":14e0')),
        ("number-leading-zero", syntax, "a size of 014", swap(good, '"size":14', '"size":014')),
        ("number-negative", syntax, "a size of -14", swap(good, '"size":14', '"size":-14')),
        ("number-too-large", syntax, "a size of 2^64", swap(good, '"size":14', f'"size":{1 << 64}')),
        ("size-null", syntax, "a manifest without a size", swap(good, '"size":14', '"size":null')),
        ("id-upper-case", syntax, "an id in upper case", swap(good, tid, tid.upper())),
        ("id-short", syntax, "an id without its last digit", swap(good, tid, tid[:-1])),
        ("id-long", syntax, "an id with a digit more", swap(good, tid, tid + "0")),
        ("text-escaped", syntax, "a letter written as an escape", swap(good, '"sender"', '"sende\\u0072"')),
        ("byte-order-mark", syntax, "a byte order mark", "\ufeff" + good),
        ("white-space", syntax, "a space after a comma", swap(good, ',"created"', ', "created"')),
        ("trailing-space", syntax, "a space at the end", good + " "),
        ("time-fraction", syntax, "a time with a fraction", swap(good, "00:00:00Z", "00:00:00.0Z")),
        ("time-offset", syntax, "a time with an offset", swap(good, "00:00:00Z", "00:00:00+00:00")),
        ("time-lower-case", syntax, "a time with a small t", swap(good, "T00:00:00Z", "t00:00:00Z")),
        ("time-leap-second", syntax, "a leap second", swap(good, "T00:00:00Z", "T23:59:60Z")),
        ("time-before-1970", syntax, "a time before 1970", swap(good, "2025-01-01T00:00:00Z", "1969-12-31T23:59:59Z")),
        ("time-too-late", syntax, "a second past the last time", swap(good, '"expires":null', '"expires":"9999-12-30T22:00:01Z"')),
        ("number-beyond-u32", syntax, "a chunk size of 2^32", swap(good, '"chunk_size":65536', '"chunk_size":4294967296')),
        ("certificate-base64", syntax, "a certificate without its padding", unpadded_certificate(good)),
    ]:
        w.add("manifest-" + name, about, envelope(text.encode()), draft, error=error)


def unpadded_certificate(text):
    certificate = b64(ALICE.certificate)
    # If it has no padding by its length, padding is what is wrong.
    return swap(text, certificate, certificate.rstrip("=") if certificate.endswith("=") else certificate + "=")


def invariants(w):
    draft = small()
    for name, error, about, change in [
        ("chunk-size-odd", "Invariant(chunk_size)", "no power of two", {"chunk_size": 65_537}),
        ("chunk-size-small", "Invariant(chunk_size)", "32 KiB", {"chunk_size": 32 << 10}),
        ("chunk-size-large", "Invariant(chunk_size)", "128 MiB", {"chunk_size": 128 << 20}),
        ("chunk-size-zero", "Invariant(chunk_size)", "zero", {"chunk_size": 0}),
        ("chunks-too-few", "Invariant(chunks)", "no chunk for 14 bytes", {"chunks": []}),
        ("chunks-too-many", "Invariant(chunks)", "two chunks for 14 bytes", {"chunks": [sha256(b"a"), sha256(b"b")]}),
        ("size-too-large", "Invariant(size)", "65,537 chunks", {"size": 65_536 * CHUNK + 1}),
        ("table-none", "Invariant(table)", "no table", {"table": []}),
        ("id-twice-in-table", "Invariant(chunks)", "a chunk twice in the table", {"table": draft.manifest()["table"] * 2}),
        ("id-twice-in-two", "Invariant(chunks)", "one chunk in table and sums", {"sums": draft.manifest()["table"]}),
        ("expires-before-created", "Invariant(expires)", "over before it began", {"expires": "2024-12-31T23:59:59Z"}),
        ("expires-as-created", "Invariant(expires)", "over as it began", {"expires": "2025-01-01T00:00:00Z"}),
        ("from-the-future", "FromTheFuture", "a day and a second ahead", {"created": "2025-01-03T00:00:01Z"}),
        ("expired", "Expired", "over this second", {"expires": "2025-01-02T00:00:00Z"}),
    ]:
        w.add("manifest-" + name, about, signed(draft.manifest() | change), draft, error=error)
    draft = small("large chunks", chunk_size=64 << 20)
    over = draft.manifest() | {"sums": [sha256(b"a"), sha256(b"b")]}
    about = "two chunks of 64 MiB, more than the sums of a million files"
    w.add("manifest-sums-too-many", about, signed(over), draft, error="Invariant(sums)")


def resized(wrap, field, change):
    import base64

    data = base64.b64decode(wrap[field])
    data = data[:change] if change < 0 else data + bytes(change)
    return wrap | {field: b64(data)}


def bad_wraps(w):
    draft = small(readers=[BOB])
    mine, bobs = draft.wraps
    locked = small("password", password=PASSWORD)
    lock = locked.wraps[1]
    # Neither of them is ever tried: what counts is that their peers are many and distinct.
    crowd = [mine] + [mine | {"peer": sha256(bytes([i]))} for i in range(64)]
    bad, syntax = "BadWrap", "Syntax(manifest)"
    for name, error, about, wraps in [
        ("none", bad, "no wrap", []),
        ("65", bad, "65 wraps", crowd),
        ("not-for-sender", bad, "no wrap for the sender", [bobs]),
        ("two-for-one-peer", bad, "two wraps for bob", [mine, bobs, bobs | {"kid": sha256(b"another key")}]),
        ("enc-short", bad, "an encapsulated key of 1119 bytes", [resized(mine, "enc", -1)]),
        ("enc-long", bad, "an encapsulated key of 1121 bytes", [resized(mine, "enc", 1)]),
        ("ct-short", bad, "a wrapped key of 47 bytes", [resized(mine, "ct", -1)]),
        ("ct-long", bad, "a wrapped key of 49 bytes", [resized(mine, "ct", 1)]),
        ("type-unknown", syntax, "a kind of wrap that does not exist", [mine, bobs | {"type": "pgp"}]),
        ("field-order", syntax, "the fields of a wrap in another order", [dict(reversed(mine.items()))]),
        ("unknown-field", syntax, "a field that no wrap has", [mine | {"x": 1}]),
    ]:
        w.add("wraps-" + name, about, signed(draft.manifest() | {"wraps": wraps}), draft, error=error)
    salt = lock | {"salt": b64(random_bytes("another salt", 32))}
    for name, error, about, wraps in [
        ("two-passwords", bad, "two password wraps", [lock, salt]),
        ("salt-short", syntax, "a salt of 31 bytes", [resized(lock, "salt", -1)]),
        ("check-long", syntax, "a check value of 33 bytes", [resized(lock, "check", 1)]),
        ("password-ct-short", syntax, "a wrapped key of 47 bytes", [resized(lock, "ct", -1)]),
        ("iterations-few", "KdfParameters", "599,999 iterations", [lock | {"iterations": 599_999}]),
        ("iterations-many", "KdfParameters", "2,000,001 iterations", [lock | {"iterations": 2_000_001}]),
    ]:
        manifest = locked.manifest() | {"wraps": locked.wraps[:1] + wraps}
        w.add("wraps-" + name, about, signed(manifest), locked, error=error, reader=BOB, password=PASSWORD)


def bad_keys(w):
    """Wraps that are well-formed and do not open."""

    def case(name, error, about, draft, reader=ALICE, **more):
        w.sealed("wrap-" + name, error, about, draft, reader=reader, **more)

    def with_wraps(wraps, label="base", **more):
        draft = small(label, **more)
        draft.wraps = draft.wraps[:1] + wraps if wraps else draft.wraps
        return draft

    forged = "Forged(wrap)"
    other = small("another transfer", readers=[BOB])
    case("of-another-transfer", forged, "bob's wrap from another transfer of alice", with_wraps([other.wraps[1]]), BOB)
    carols = small().wrap(CAROL)
    relabelled = carols | {"peer": BOB.id.hex(), "kid": BOB.seal.kid.hex()}
    case("of-another-recipient", forged, "carol's wrap with bob's name on it", with_wraps([relabelled]), BOB)
    stolen = small("base", sender=MALLORY)
    stolen.wraps = [stolen.wraps[0], small(readers=[BOB]).wraps[1]]
    case("of-another-sender", forged, "mallory signs a transfer of alice, with alice's wrap for bob", stolen, BOB)
    flipped = small()
    flipped.wraps = [flip_field(flipped.wraps[0], "enc", 700)]
    case("enc-flipped", forged, "one bit of the encapsulated key", flipped)
    flipped = small()
    flipped.wraps = [flip_field(flipped.wraps[0], "enc", 1100)]
    case("enc-curve-flipped", forged, "one bit of its X25519 share", flipped)
    flipped = small()
    flipped.wraps = [flip_field(flipped.wraps[0], "ct", 5)]
    case("ct-flipped", forged, "one bit of the wrapped key", flipped)
    case("for-others", "NotForUs", "for carol, opened by bob", small(readers=[CAROL]), BOB)
    gone = small().wrap(BOB, seal_key=SealKey(random_bytes("a key that bob has no more", 32)))
    case("old-seal-key", "NotForUs", "for a seal key that bob does not have", with_wraps([gone]), BOB)
    mismatched = small()
    mismatched.wraps = [mismatched.wrap(ALICE, key=random_bytes("another key", 32))]
    case("commitment", "CommitmentMismatch", "opens to another key than the one committed to", mismatched)
    locked = small("password", password=PASSWORD)
    case("password-needed", "PasswordNeeded", "no password was given", locked, BOB)
    case("password-wrong", "WrongPassword", "a wrong password", locked, BOB, password="cafe muller")
    broken = small("password", password=PASSWORD)
    broken.wraps[1] = flip_field(broken.wraps[1], "ct", 40)
    case("password-ct-flipped", forged, "the right password, one bit of the wrapped key", broken, BOB, password=PASSWORD)
    mismatched = small("password")
    mismatched.wraps.append(mismatched.password_wrap(PASSWORD, key=random_bytes("another key", 32)))
    about = "a password that opens to another key than the one committed to"
    case("password-commitment", "CommitmentMismatch", about, mismatched, BOB, password=PASSWORD)


def flip_field(wrap, field, byte):
    import base64

    return wrap | {field: b64(flip(base64.b64decode(wrap[field]), byte))}


def bad_chunks(w):
    forged, size = "Forged(content chunk)", CHUNK + 1

    def case(name, error, about, chunks, base=None, **more):
        draft = base or small()
        draft.chunks = chunks(draft) if callable(chunks) else chunks
        w.sealed("chunk-" + name, error, about, draft, **more)

    key, plain = small().key, small().content
    sealed = small().chunks[0]
    for name, about, byte in [("nonce", "the nonce", 0), ("ciphertext", "the ciphertext", 15), ("tag", "the tag", 41)]:
        case(f"flipped-{name}", forged, f"one bit of {about}", [flip(sealed, byte)])
    case("truncated", forged, "its last byte is missing", [sealed[:-1]])
    case("extended", forged, "a byte more", [sealed + b"\0"])
    case("too-short", "Malformed(content chunk)", "27 bytes: not even nonce and tag", [sealed[:27]])
    case("wrong-index", forged, "sealed for index 1", [seal(key, "chunk", 1, True, plain)])
    case("not-last", forged, "sealed as if more came", [seal(key, "chunk", 0, False, plain)])
    case("other-chunk-size", forged, "sealed for another chunk size", [seal(key, "chunk", 0, True, plain, 2 * CHUNK)])
    case("of-table", forged, "sealed as a table", [seal(key, "table", 0, True, plain)])
    case("label-of-table", forged, "the right key under the label of the table", [seal(key, "chunk", 0, True, plain, label=b"colis/v1/table\0\0")])
    case("of-another-transfer", forged, "sealed in another transfer", [seal(small("another transfer").key, "chunk", 0, True, plain)])
    case("shorter-than-size", "Integrity", "a byte less than the manifest says", [seal(key, "chunk", 0, True, plain[:-1])])
    case("longer-than-size", "Integrity", "a byte more than the manifest says", [seal(key, "chunk", 0, True, plain + b"!")])
    two = lambda: Draft(f"size {size}", [file("data.bin", content(size))])
    case("swapped", forged, "two chunks in the wrong order", lambda d: d.chunks[::-1], two())
    first = two().chunks[0]
    draft = Draft(f"size {size}", [file("data.bin", content(size)[:CHUNK])])
    case("last-dropped", forged, "the last chunk was dropped and all else made to agree", [first], draft)
    draft = small()
    w.sealed("chunk-missing", "NotFound", "the store does not have it", draft, missing=[sha256(sealed)])
    served = {sha256(sealed): b64(flip(sealed, 20))}
    w.sealed("chunk-wrong-digest", "HashMismatch", "the store gives other bytes than were asked for", draft, served=served)


def bad_tables(w):
    entry = lines(small().entries)
    hello = small().entries[0]

    def case(name, error, about, text, pieces=None):
        draft = small()
        draft.table = pieces if pieces is not None else list(draft.stream("table", text))
        w.sealed("table-" + name, error, about, draft)

    def of(*entries):
        return pad(lines(entries))

    line = "Syntax(table entry)"
    case("unpadded", "Syntax(table)", "no padding", entry)
    case("padding-one-short", "Syntax(table)", "255 bytes", pad(entry)[:-1])
    case("ends-within-line", "Syntax(table)", "no line feed at its end", pad(entry) + b'{"kind":"fi'.ljust(256, b"x"))
    case("late-line", "Syntax(table)", "a line after the padding", pad(entry) + pad(lines([folder("late")[0]])))
    case("long-line", "Syntax(table)", "a line of more than 64 KiB", pad(b"x" * (CHUNK + 1) + b"\n"))
    case("entry-kind", line, "a kind that does not exist", of(hello | {"kind": "fifo"}))
    case("entry-white-space", line, "a space in a line", pad(entry.replace(b":", b": ", 1)))
    case("entry-carriage-return", line, "a carriage return at the end of a line", pad(entry.replace(b"\n", b"\r\n")))
    case("entry-unknown-field", line, "a field that no file has", of(hello | {"mode": 511}))
    case("entry-duplicate-field", line, "a path twice in a line", pad(entry.replace(b'"path"', b'"path":"b","path"')))
    case("entry-field-order", line, "fields in another order", of(dict(reversed(hello.items()))))
    case("entry-nanoseconds", line, "a second of nanoseconds", of(hello | {"mtime_ns": 1_000_000_000}))
    case("entry-utf-8", line, "a name that is no UTF-8", pad(entry.replace(b"hello", b"hell\xff")))
    case("entry-surrogate", line, "half of a surrogate pair", pad(entry.replace(b"hello", b"\\ud800")))
    case("empty", "Integrity", "nothing but padding", b"\n" * 256)
    case("size-sum-less", "Integrity", "sizes that make less than the content", of(hello | {"size": 13}))
    case("size-sum-more", "Integrity", "sizes that make more than the content", of(hello | {"size": 15}))
    overflow = [hello | {"size": 15}, hello | {"path": "b", "size": (1 << 64) - 1}]
    draft = small("base")
    draft.table, draft.sums = list(draft.stream("table", of(*overflow))), list(draft.stream("sums", pad(lines(draft.digests * 2))))
    w.sealed("table-size-sum-overflow", "Integrity", "sizes whose sum does not fit 64 bits", draft)
    draft = Draft("stdin first", [file("stdin", b"a", size=None), file("second", b"b")])
    w.sealed("table-size-null-not-last", "Integrity", "a file of unknown size that is not the last", draft)
    sealed = small().table[0]
    case("flipped", "Forged(table chunk)", "one bit", None, [flip(sealed, 30)])
    case("as-content", "Forged(table chunk)", "sealed as content", None, [seal(small().key, "chunk", 0, True, of(hello))])
    halves = of(hello) + b"\n" * 256
    pieces = [seal(small().key, "table", i, i == 1, halves[256 * i :][:256]) for i in range(2)]
    case("chunk-not-full", "Integrity", "a chunk before the last that is not full", None, pieces)
    pieces = [seal(small().key, "table", 0, True, b"")]
    case("chunk-empty", "Integrity", "a chunk of nothing", None, pieces)


def bad_paths(w):
    def case(name, error, about, *entries):
        w.sealed("path-" + name, error, about, Draft("path " + name, list(entries)))

    for name, about, path in [
        ("parent", "a path that climbs", "../up"),
        ("parent-inside", "a path that climbs back", "a/../b"),
        ("dot", "a component `.`", "./a"),
        ("absolute", "an absolute path", "/etc/passwd"),
        ("empty", "no path", ""),
        ("empty-component", "an empty component", "a//b"),
        ("trailing-slash", "a slash at the end", "a/"),
        ("nul", "a NUL", "a\0b"),
        ("component-long", "a component of 256 bytes", "x" * 256),
        ("deep", "129 components", "/".join("a" * 129)),
        ("long", "4,097 bytes", "/".join(["x" * 240] * 17) + "x"),
    ]:
        case(name, "BadPath", about, file(path, b"1"))
    case("twice", "BadTable", "a path that stands twice", file("a", b"1"), file("a", b"2"))
    case("file-as-folder", "BadTable", "a file that is used as a folder", file("a", b"1"), file("a/b", b"2"))
    case("link-as-folder", "BadTable", "a link that is used as a folder", folder("d"), link("d/l", "d"), file("d/l/b", b"2"))
    case("no-folder", "BadTable", "a folder without a line of its own", file("a/b", b"1"))
    case("folder-late", "BadTable", "a folder after what is in it", file("a/b", b"1"), folder("a"))


def bad_sums(w):
    def case(name, error, about, text, sealed=None):
        draft = small()
        draft.sums = sealed if sealed is not None else list(draft.stream("sums", text))
        w.sealed("sums-" + name, error, about, draft)

    digest = small().digests[0]
    case("none", "Integrity", "no sums for a file", b"")
    case("too-many", "Integrity", "two sums for one file", pad(lines([digest, digest])))
    draft = Draft("two files", [file("a", content(40)), file("b", content(60))])
    draft.sums = list(draft.stream("sums", pad(lines(draft.digests[:1]))))
    w.sealed("sums-too-few", "Integrity", "one sum for two files", draft)
    case("wrong", "Integrity", "the digest of something else", pad(lines([blake3(b"something else").hexdigest()])))
    case("sha-256", "Integrity", "the SHA-256 of the file", pad(lines([sha256(b"Hello, colis!\n")])))
    draft = Draft("no file", [folder("empty")])
    draft.sums = list(draft.stream("sums", b"\n" * 256))
    w.sealed("sums-for-no-file", "Integrity", "a chunk of sums in a transfer without files", draft)
    case("upper-case", "Syntax(line of the sums)", "a digest in upper case", pad(lines([digest.upper()])))
    case("short", "Syntax(line of the sums)", "a digest of 63 digits", pad(lines([digest[:-1]])))
    case("unpadded", "Syntax(sums)", "no padding", lines([digest]))
    case("late-line", "Syntax(sums)", "a line after the padding", pad(lines([digest])) * 2)
    case("flipped", "Forged(sums chunk)", "one bit", None, [flip(small().sums[0], 30)])
    case("as-table", "Forged(sums chunk)", "sealed as a table", None, [seal(small().key, "table", 0, True, pad(lines([digest])))])
