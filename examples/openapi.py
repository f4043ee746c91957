"""Carries a sealed folder to a peer as anna and fetches it back as ben, by a client from the peer's OpenAPI document:
openapi.py PEER SEALED FETCHED, after `openapi-python-client generate --path openapi.json --meta none`."""

import base64, io, json, ssl, sys
from pathlib import Path

from colis_client import Client
from colis_client.api.chunks import get_chunk, missing_chunks, put_chunk
from colis_client.api.manifests import get_manifest, list_manifests, put_manifest
from colis_client.api.offers import put_offer
from colis_client.models import Envelope, MissingQuestion, Problem
from colis_client.types import File

peer, sealed, fetched = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])


def client_of(certs):
    """A client that shows the certificate for scripts in this folder."""
    tls = ssl.create_default_context(cafile=f"{certs}/ca-cert.pem")
    tls.load_cert_chain(f"{certs}/client-cert.pem", f"{certs}/client-key.pem")
    return Client(base_url=peer, verify_ssl=tls)


def ok(answer):
    """What was answered, unless it is a problem."""
    if answer is None or isinstance(answer, Problem):
        sys.exit(f"{answer}")
    return answer


def envelope(path):
    return Envelope.from_dict(json.loads(path.read_text()))


# Up: the offer, the chunks that are missing there, the manifest.
anna = client_of("anna/certs")
transfer = (sealed / "transfer").read_text().strip()
ok(put_offer.sync(transfer, client=anna, body=envelope(sealed / "offer.dsse")))
ids = [path.name for path in (sealed / "chunks").iterdir()]
missing = ok(missing_chunks.sync(client=anna, body=MissingQuestion(ids=ids))).missing
for id in missing:
    body = File(payload=io.BytesIO((sealed / "chunks" / id).read_bytes()))
    ok(put_chunk.sync(id, client=anna, body=body))
(manifest,) = (sealed / "manifests").iterdir()
put = ok(put_manifest.sync(manifest.stem, client=anna, body=envelope(manifest)))
print(f"sent {len(missing)} of {len(ids)} chunks: {put.result}")

# Down: what is listed for us, its manifest byte by byte, its chunks.
ben = client_of("ben/certs")
(fetched / "chunks").mkdir(parents=True)
(fetched / "manifests").mkdir()
listed = next(entry for entry in ok(list_manifests.sync(client=ben)).manifests if entry.transfer_id == transfer)
whole = get_manifest.sync_detailed(listed.id, client=ben)
(fetched / "manifests" / f"{listed.id}.dsse").write_bytes(whole.content)
signed = json.loads(base64.b64decode(ok(whole.parsed).payload))
for id in signed["table"] + signed["chunks"] + signed["sums"]:
    (fetched / "chunks" / id).write_bytes(ok(get_chunk.sync(id, client=ben)).payload.read())
