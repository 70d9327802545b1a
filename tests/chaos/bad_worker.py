"""A worker of a user's own (OpenAI-compatible) that does what a call's first word says.

The words are ``hang``, ``reset``, ``garbage``, ``nonsense``, ``half``, ``die`` and ``sicken``. Anything else is said
again until eight words are out, as the fake engine does.

Environment: HOST and PORT, and FAIL, with which it ends at once as its last words.
"""

import itertools
import json
import os
import socket
import socketserver
import struct
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

healthy = True


class Worker(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/health":
            self._answer({}, 200 if healthy else 500)
        else:
            self._answer({"error": {"message": "not found"}}, 404)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path != "/v1/chat/completions":
            self._answer({"error": {"message": "not found"}}, 404)
            return
        words = body["messages"][-1]["content"].split()
        fault = getattr(self, f"_{words[0]}", None)
        if fault is not None:
            fault(body)
        elif body.get("stream"):
            self._stream(words)
        else:
            self._whole(words)

    # What goes well

    def _whole(self, words: list[str]) -> None:
        text = " ".join(itertools.islice(itertools.cycle(words), 8))
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        usage = {"prompt_tokens": len(words), "completion_tokens": 8}
        self._answer({"choices": [choice], "usage": usage})

    def _stream(self, words: list[str]) -> None:
        self._begin()
        for number, word in enumerate(itertools.islice(itertools.cycle(words), 8)):
            self._piece({"choices": [{"index": 0, "delta": {"content": word if number == 0 else f" {word}"}}]})
            time.sleep(0.01)
        self._piece({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        self._piece({"choices": [], "usage": {"prompt_tokens": len(words), "completion_tokens": 8}})
        self.wfile.write(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")

    def _begin(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()

    def _piece(self, event: object) -> None:
        data = f"data: {json.dumps(event)}\n\n".encode()
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))

    def _answer(self, content: object, status: int = 200) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    # What does not

    def _hang(self, body: object) -> None:
        self.connection.recv(1)  # returns when the other side has had enough

    def _reset(self, body: object) -> None:
        # Closing with nothing to linger for sends a reset.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def _garbage(self, body: object) -> None:
        self.wfile.write(b"220 mail.example.com ESMTP\r\n\r\n" + os.urandom(4096))
        self.close_connection = True

    def _nonsense(self, body: object) -> None:
        self._answer(b"<html>It works!</html>")

    def _half(self, body: object) -> None:
        self._begin()
        self._piece({"choices": [{"index": 0, "delta": {"content": "Hel"}}]})
        time.sleep(0.1)
        self._reset(body)

    def _die(self, body: object) -> None:
        os._exit(3)

    def _sicken(self, body: object) -> None:
        global healthy
        healthy = False
        self._whole(["sick"])

    def log_message(self, format: str, *args: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def server_bind(self) -> None:
        # Not HTTPServer's own, which asks a name server who we are.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "localhost", self.server_address[1]

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # a caller that has gone


if __name__ == "__main__":
    if message := os.environ.get("FAIL"):
        raise SystemExit(message)
    Server((os.environ["HOST"], int(os.environ["PORT"])), Worker).serve_forever()
