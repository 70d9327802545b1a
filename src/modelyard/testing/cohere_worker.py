"""A worker in a few lines of the standard library that speaks Cohere's API v2: /v2/chat, /v2/embed and /v2/rerank.

It says back the last thing it was told, word by word; given tools, it calls the first one. A text's vector is its
length and its vowels; a document's score is the share of the query's words in it. Environment: PORT and HOST.
Written after https://docs.cohere.com/v2/reference/chat, …/embed, …/rerank and https://docs.cohere.com/v2/docs/streaming;
the official ``cohere`` client reads what it answers (tests/integration/gateway/test_cohere_worker.py).
"""

import json
import os
import socketserver
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MAX_TEXTS = 96
ID = "c14c80c3-18eb-4519-9460-6c92edd8cfb4"

Json = dict[str, Any]


class Refused(Exception):
    """What is wrong with a request, answered with status 400."""


def said(messages: list[Json]) -> str:
    """The text of the last message."""
    content = messages[-1].get("content") or ""
    return content if isinstance(content, str) else " ".join(part.get("text", "(image)") for part in content)


def needed(body: Json, *names: str) -> None:
    for name in names:
        if not body.get(name):
            raise Refused(f"invalid request: {name} is required")


def usage(body: Json, written: str) -> Json:
    read = sum(len(said([message]).split()) for message in body["messages"])
    counts = {"input_tokens": read, "output_tokens": len(written.split())}
    return {"billed_units": counts, "tokens": {**counts, "input_tokens": read + 60}}


def tool_call(body: Json) -> Json | None:
    if not body.get("tools") or body.get("tool_choice") == "NONE" or body["messages"][-1]["role"] == "tool":
        return None
    name = body["tools"][0]["function"]["name"]
    arguments = json.dumps({"about": said(body["messages"])})
    return {"id": f"{name}_1", "type": "function", "function": {"name": name, "arguments": arguments}}


def chat(body: Json) -> Json:
    """A whole answer."""
    call, text = tool_call(body), said(body["messages"])
    if call is not None:
        message: Json = {
            "role": "assistant",
            "tool_plan": f"I will use {call['function']['name']}.",
            "tool_calls": [call],
        }
        return {"id": ID, "message": message, "finish_reason": "TOOL_CALL", "usage": usage(body, "")}
    words = text.split()
    most = body.get("max_tokens") or len(words)
    text = " ".join(words[:most])
    message = {"role": "assistant", "content": [{"type": "text", "text": text}]}
    reason = "COMPLETE" if len(words) <= most else "MAX_TOKENS"
    return {"id": ID, "message": message, "finish_reason": reason, "usage": usage(body, text)}


def chat_events(body: Json) -> Iterator[Json]:
    """The same answer as a stream."""
    answer = chat(body)
    message = answer["message"]
    start = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
    yield {"id": ID, "type": "message-start", "delta": {"message": start}}
    if plan := message.get("tool_plan"):
        yield {"type": "tool-plan-delta", "delta": {"message": {"tool_plan": plan}}}
    for call in message.get("tool_calls", ()):
        function = {"name": call["function"]["name"], "arguments": ""}
        begun = {"id": call["id"], "type": "function", "function": function}
        yield {"type": "tool-call-start", "index": 0, "delta": {"message": {"tool_calls": begun}}}
        for piece in call["function"]["arguments"].partition(":"):
            delta = {"function": {"arguments": piece}}
            yield {"type": "tool-call-delta", "index": 0, "delta": {"message": {"tool_calls": delta}}}
        yield {"type": "tool-call-end", "index": 0}
    for block in message.get("content", ()):
        yield {"type": "content-start", "index": 0, "delta": {"message": {"content": {"type": "text", "text": ""}}}}
        for number, word in enumerate(block["text"].split(" ")):
            text = word if number == 0 else f" {word}"
            yield {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": text}}}}
        yield {"type": "content-end", "index": 0}
    end = {"finish_reason": answer["finish_reason"], "usage": answer["usage"]}
    yield {"type": "message-end", "delta": end}


def embed(body: Json) -> Json:
    needed(body, "texts", "input_type")
    texts = body["texts"]
    if len(texts) > MAX_TEXTS:
        raise Refused(f"invalid request: total number of texts must be at most {MAX_TEXTS} - received {len(texts)}")
    vectors = [[float(len(text)), *(float(text.count(vowel)) for vowel in "aeiou")] for text in texts]
    counts = {"input_tokens": sum(len(text.split()) for text in texts)}
    meta = {"api_version": {"version": "2"}, "billed_units": counts}
    embeddings = {"float": [vector[: body.get("output_dimension", len(vector))] for vector in vectors]}
    return {
        "id": ID, "embeddings": embeddings, "texts": texts, "meta": meta, "response_type": "embeddings_by_type"
    }  # fmt: skip


def rerank(body: Json) -> Json:
    needed(body, "query", "documents")
    words = set(body["query"].lower().split())
    scores = [len(words & set(text.lower().split())) / len(words) for text in body["documents"]]
    ranked = sorted(range(len(scores)), key=lambda index: -scores[index])
    results = [{"index": index, "relevance_score": scores[index]} for index in ranked]
    return {
        "id": ID,
        "results": results,
        "meta": {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}},
    }


class Worker(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer({"ok": True})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or b"{}")
        try:
            needed(body, "model")
            if self.path == "/v2/chat":
                needed(body, "messages")
                self._stream(chat_events(body)) if body.get("stream") else self._answer(chat(body))
            elif self.path in ("/v2/embed", "/v2/rerank"):
                self._answer(embed(body) if self.path == "/v2/embed" else rerank(body))
            else:
                self._answer({"id": ID, "message": "no such route"}, 404)
        except Refused as refused:
            self._answer({"id": ID, "message": str(refused)}, 400)

    def _answer(self, content: Json, status: int = 200) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _stream(self, events: Iterator[Json]) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for event in events:
            data = f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()
            self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def server_bind(self) -> None:
        # Not HTTPServer's own, which asks a name server who we are.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "localhost", self.server_address[1]


if __name__ == "__main__":
    Server((os.environ["HOST"], int(os.environ["PORT"])), Worker).serve_forever()
