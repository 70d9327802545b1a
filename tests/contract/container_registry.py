"""A registry with one image in it, for whoever knows the password: enough of the OCI distribution protocol for a pull.

https://github.com/opencontainers/distribution-spec/blob/main/spec.md
"""

import base64
import gzip
import hashlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

USER, PASSWORD = "puller", "a secret"
IMAGE, TAG = "team/model", "7"
_CHUNKS = 20


class Registry:
    """Serves until `close`. ``pulls`` counts manifests given out; blobs come slowly while ``slow`` is set."""

    def __init__(self, port: int, layer: bytes) -> None:
        self.blobs: dict[str, bytes] = {}
        self.pulls = 0
        self.slow = False
        self.manifest = self._image(layer)
        registry = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                registry.answer(self)

            do_HEAD = do_GET

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _image(self, layer: bytes) -> bytes:
        packed = gzip.compress(layer, 1)
        config = {
            "architecture": "amd64",
            "os": "linux",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": self._blob("application/vnd.oci.image.config.v1+json", json.dumps(config).encode()),
            "layers": [self._blob("application/vnd.oci.image.layer.v1.tar+gzip", packed)],
        }
        return json.dumps(manifest).encode()

    def _blob(self, media_type: str, content: bytes) -> dict[str, object]:
        self.blobs[_digest(content)] = content
        return {"mediaType": media_type, "digest": _digest(content), "size": len(content)}

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        token = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if request.headers.get("authorization") != f"Basic {token}":
            self._send(request, 401, b"{}", {"www-authenticate": 'Basic realm="test"'})
            return
        kind, _, name = request.path.removeprefix(f"/v2/{IMAGE}/").partition("/")
        if request.path == "/v2/":
            self._send(request, 200, b"{}")
        elif kind == "manifests" and name in (TAG, _digest(self.manifest)):
            self.pulls += request.command == "GET"
            media_type = "application/vnd.oci.image.manifest.v1+json"
            digest = {"content-type": media_type, "docker-content-digest": _digest(self.manifest)}
            self._send(request, 200, self.manifest, digest)
        elif kind == "blobs" and name in self.blobs:
            self._send(request, 200, self.blobs[name], {"content-type": "application/octet-stream"})
        else:
            missing = {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}
            self._send(request, 404, json.dumps(missing).encode(), {"content-type": "application/json"})

    def _send(
        self, request: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str] | None = None
    ) -> None:
        request.send_response(status)
        for name, value in {**(headers or {}), "content-length": str(len(body))}.items():
            request.send_header(name, value)
        request.end_headers()
        if request.command == "HEAD":
            return
        step = max(1, len(body) // _CHUNKS)
        try:
            for at in range(0, len(body), step):
                request.wfile.write(body[at : at + step])
                if self.slow and len(body) > 100_000:
                    time.sleep(0.1)
        except OSError:
            request.close_connection = True  # the pull was given up


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
