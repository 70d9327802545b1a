"""Amazon's event-stream framing, written: what a test needs to say what Bedrock says.

After https://smithy.io/2.0/aws/amazon-eventstream.html; botocore, which reads it, is the check that it is right.
"""

import json
import struct
from pathlib import Path
from typing import Any
from zlib import crc32


def frame(headers: dict[str, str], payload: bytes) -> bytes:
    """One message: lengths and their checksum, headers of type string, payload, checksum of it all."""
    packed = b"".join(
        struct.pack("!B", len(name)) + name.encode() + struct.pack("!BH", 7, len(value.encode())) + value.encode()
        for name, value in headers.items()
    )
    prelude = struct.pack("!II", 16 + len(packed) + len(payload), len(packed))
    start = prelude + struct.pack("!I", crc32(prelude)) + packed + payload
    return start + struct.pack("!I", crc32(start))


def event(name: str, data: Any) -> bytes:
    headers = {":event-type": name, ":content-type": "application/json", ":message-type": "event"}
    return frame(headers, json.dumps(data, ensure_ascii=False).encode())


def exception(name: str, message: str) -> bytes:
    headers = {":exception-type": name, ":content-type": "application/json", ":message-type": "exception"}
    return frame(headers, json.dumps({"message": message}).encode())


def error(code: str, message: str) -> bytes:
    return frame({":error-code": code, ":error-message": message, ":message-type": "error"}, b"")


def frames(path: Path) -> list[bytes]:
    """The messages in a file of JSON lines, each ``[type, data]``."""
    return [event(*json.loads(line)) for line in path.read_text().splitlines()]
