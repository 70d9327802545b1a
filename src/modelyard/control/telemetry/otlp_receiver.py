"""Whoever receives OTLP over HTTP, asked as the standard variables want it
(https://opentelemetry.io/docs/specs/otel/protocol/exporter/)."""

import contextlib
import gzip
import math
import os
import random
import ssl
import threading
import time
import zlib
from collections.abc import Callable
from email.utils import parsedate_to_datetime

import httpx2
import structlog

log = structlog.get_logger(__name__)

_TRY_AGAIN = frozenset({429, 502, 503, 504})
_TRIES = 6
_TIMEOUT = 10.0
_COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "deflate": zlib.compress}


def variable(name: str) -> str:
    """``OTEL_EXPORTER_OTLP_TRACES_…``, and what holds for all signals where that is not set."""
    return os.environ.get(f"OTEL_EXPORTER_OTLP_TRACES_{name}") or os.environ.get(f"OTEL_EXPORTER_OTLP_{name}") or ""


def number(text: str, otherwise: float) -> float:
    """A variable's value, where it is set and is a number above 0."""
    with contextlib.suppress(ValueError):
        if 0 < (value := float(text)) < math.inf:
            return value
    return otherwise


class Receiver:
    """Where spans go. `send` blocks, at most as long as ``OTEL_EXPORTER_OTLP_TIMEOUT`` says, tries included."""

    def __init__(self, url: str | None) -> None:
        """``url``: None means as the standard variables say."""
        from opentelemetry.util.re import parse_env_headers

        self._url = url or _standard_url()
        self._timeout = number(variable("TIMEOUT"), _TIMEOUT)
        headers = {"content-type": "application/x-protobuf", "user-agent": "modelyard"}
        headers |= parse_env_headers(variable("HEADERS"), liberal=True)
        compression = variable("COMPRESSION").strip().lower()
        self._compressed = _COMPRESSIONS.get(compression)
        if self._compressed is not None:
            headers["content-encoding"] = compression
        self._client = httpx2.Client(headers=headers, verify=_tls())
        self._ending = threading.Event()

    def send(self, data: bytes) -> bool:
        """Whether it arrived. What is busy is tried again, when it says or later and later."""
        data = data if self._compressed is None else self._compressed(data)
        deadline = time.monotonic() + self._timeout
        for number in range(_TRIES):
            answer = self._answer(data, deadline)
            if isinstance(answer, httpx2.Response) and answer.is_success:
                return True
            pause = _pause(answer, number)
            if pause is None or number + 1 == _TRIES or time.monotonic() + pause > deadline:
                break
            if self._ending.wait(pause):
                break
        why = f"status {answer.status_code}" if isinstance(answer, httpx2.Response) else str(answer)
        log.warning("traces.not_sent", to=self._url, why=why)
        return False

    def end(self) -> None:
        """Nothing is tried again from now on."""
        self._ending.set()

    def close(self) -> None:
        self._client.close()

    def _answer(self, data: bytes, deadline: float) -> httpx2.Response | httpx2.HTTPError:
        try:
            return self._client.post(self._url, content=data, timeout=max(deadline - time.monotonic(), 0.1))
        except httpx2.HTTPError as error:
            return error


def _standard_url() -> str:
    own = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    return own or f"{os.environ['OTEL_EXPORTER_OTLP_ENDPOINT'].rstrip('/')}/v1/traces"


def _tls() -> ssl.SSLContext:
    context = httpx2.create_ssl_context(verify=variable("CERTIFICATE") or True)
    if certificate := variable("CLIENT_CERTIFICATE"):
        context.load_cert_chain(certificate, variable("CLIENT_KEY") or None)
    return context


def _pause(answer: httpx2.Response | httpx2.HTTPError, number: int) -> float | None:
    """Seconds to wait before another try; None: it would do no better."""
    backoff = 2**number * random.uniform(0.8, 1.2)  # noqa: S311
    if isinstance(answer, httpx2.HTTPError):
        return backoff if isinstance(answer, httpx2.TransportError) else None
    if answer.status_code not in _TRY_AGAIN:
        return None
    asked = _retry_after(answer.headers.get("retry-after", ""))
    return backoff if asked is None else asked


def _retry_after(text: str) -> float | None:
    """In seconds, or a date."""
    with contextlib.suppress(ValueError):
        if (seconds := float(text)) >= 0:
            return seconds
    try:
        return max(parsedate_to_datetime(text).timestamp() - time.time(), 0.0)
    except ValueError:
        return None
