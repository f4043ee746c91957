"""The design that colis began from, in Python, as the line that it must not fall behind: FastAPI behind mutual TLS, one
client that puts AES-256-GCM chunks of 1 MiB one after the other, a local copy of every chunk, SHA-256 of each chunk.

  seed_baseline.py CERTS serve STORE PORT
  seed_baseline.py CERTS send PATH URL LOCAL MANIFEST
  seed_baseline.py CERTS fetch MANIFEST URL LOCAL OUT

CERTS has ca.pem, server.pem, server.key, client.pem and client.key.
"""
import hashlib
import json
import os
import ssl
import sys

CHUNK = 1 << 20


def serve(certs, store, port):
    import uvicorn
    from fastapi import FastAPI, HTTPException, Request, Response

    os.makedirs(store, exist_ok=True)
    app = FastAPI()

    @app.put("/chunks/{chunk}", status_code=201)
    async def put(chunk: str, request: Request):
        body = await request.body()
        if hashlib.sha256(body).hexdigest() != chunk:
            raise HTTPException(400, "hash")
        with open(f"{store}/{chunk}", "wb") as file:
            file.write(body)
        return {"ok": True}

    @app.get("/chunks/{chunk}")
    async def get(chunk: str):
        with open(f"{store}/{chunk}", "rb") as file:
            return Response(file.read(), media_type="application/octet-stream")

    uvicorn.run(app, host="127.0.0.1", port=int(port), ssl_keyfile=f"{certs}/server.key", ssl_certfile=f"{certs}/server.pem",
                ssl_ca_certs=f"{certs}/ca.pem", ssl_cert_reqs=ssl.CERT_REQUIRED, log_level="warning")


def cipher():
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

    return AESGCM(PBKDF2HMAC(hashes.SHA256(), 32, b"salt_salt_salt__", 100_000).derive(b"password"))


def session(certs):
    import requests

    made = requests.Session()
    made.trust_env, made.verify, made.cert = False, f"{certs}/ca.pem", (f"{certs}/client.pem", f"{certs}/client.key")
    return made


def files(path):
    if not os.path.isdir(path):
        return [path]
    return [os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names]


def send(certs, path, url, local, manifest):
    os.makedirs(local, exist_ok=True)
    aead, http, sent = cipher(), session(certs), []
    for name in files(path):
        chunks = []
        with open(name, "rb") as file:
            while plain := file.read(CHUNK):
                nonce = os.urandom(12)
                sealed = nonce + aead.encrypt(nonce, plain, None)
                chunk = hashlib.sha256(sealed).hexdigest()
                chunks.append(chunk)
                with open(f"{local}/{chunk}", "wb") as copy:
                    copy.write(sealed)
                assert http.put(f"{url}/chunks/{chunk}", data=sealed).status_code == 201
        sent.append((os.path.basename(name), os.path.getsize(name), chunks))
    with open(manifest, "w") as file:
        json.dump(sent, file)


def fetch(certs, manifest, url, local, out):
    for folder in (local, out):
        os.makedirs(folder, exist_ok=True)
    aead, http = cipher(), session(certs)
    with open(manifest) as file:
        sent = json.load(file)
    for name, size, chunks in sent:
        for chunk in chunks:
            sealed = http.get(f"{url}/chunks/{chunk}").content
            assert hashlib.sha256(sealed).hexdigest() == chunk
            with open(f"{local}/{chunk}", "wb") as copy:
                copy.write(sealed)
        with open(f"{out}/{name}", "wb") as plain:
            for chunk in chunks:
                with open(f"{local}/{chunk}", "rb") as copy:
                    sealed = copy.read()
                plain.write(aead.decrypt(sealed[:12], sealed[12:], None))
        assert os.path.getsize(f"{out}/{name}") == size


if __name__ == "__main__":
    certs, command, *rest = sys.argv[1:]
    {"serve": serve, "send": send, "fetch": fetch}[command](certs.rstrip("/"), *rest)
