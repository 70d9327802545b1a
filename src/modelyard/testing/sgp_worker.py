"""A worker in a few lines of the standard library: speaks SGP embeddings, misbehaves on request.

Environment: PORT, HOST, and DELAY (seconds until it listens), SLOW (seconds each call takes), DEAF (never
listens), DIE_AFTER (seconds until it ends by itself), STUBBORN (ignores SIGTERM), CHILD (starts a child
process that sleeps), SAY (a line it writes), FAIL (exits at once with this as an error message).
"""

import json
import os
import signal
import socketserver
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

healthy = True


class Worker(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer({"pid": os.getpid(), "version": os.environ.get("VERSION")}, 200 if healthy else 500)

    def do_POST(self) -> None:
        global healthy
        body = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or b"{}")
        if self.path == "/sicken":
            healthy = False
        time.sleep(float(os.environ.get("SLOW", "0")))
        texts = body.get("texts", [])
        self._answer({"embeddings": [[text, [1.0]] for text in texts], "tokens_used": len(texts), "pid": os.getpid()})

    def _answer(self, content: object, status: int = 200) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def server_bind(self) -> None:
        # Not HTTPServer's own, which asks a name server who we are.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "localhost", self.server_address[1]


def main() -> None:
    if message := os.environ.get("SAY"):
        print(message)
    if message := os.environ.get("FAIL"):
        raise SystemExit(message)
    # Said, not left to the default: a container's first process has none.
    signal.signal(signal.SIGTERM, signal.SIG_IGN if os.environ.get("STUBBORN") else lambda *_: os._exit(0))
    if os.environ.get("CHILD"):
        print("child", subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]).pid)
    if seconds := os.environ.get("DIE_AFTER"):
        threading.Timer(float(seconds), lambda: os._exit(3)).start()
    if os.environ.get("DEAF"):
        time.sleep(600)
    time.sleep(float(os.environ.get("DELAY", "0")))
    Server((os.environ["HOST"], int(os.environ["PORT"])), Worker).serve_forever()


main()
