"""How log lines look: text for people on a terminal, JSON lines for machines."""

import contextlib
import logging
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, TextIO

import msgspec
import structlog

from modelyard.domain.secrets import without_keys
from modelyard.settings import LoggingSettings

_encoder = msgspec.json.Encoder(enc_hook=str)
_json_handler: "logging.StreamHandler[TextIO] | None" = None
"""What writes JSON lines, once `configure` has chosen them."""


def _encoded(value: Any, **_: Any) -> str:
    return _encoder.encode(value).decode()


def write_lines(logger: str, event: str, lines: Iterable[Mapping[str, object]]) -> None:
    """What ``structlog.get_logger(logger).info(event, **line)`` writes for each of ``lines``, which are not even made
    where nobody wants them. JSON is written all at once, for a fifteenth of the time: some lines come with every call.
    """
    bound = structlog.get_logger(logger)
    if not bound.is_enabled_for(logging.INFO):
        return
    if _json_handler is None:
        for line in lines:
            bound.info(event, **line)
        return
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    common = {"event": event, "logger": logger, "level": "info", "timestamp": now}
    text = b"".join(_encoder.encode({**line, **common}) + b"\n" for line in lines).decode()
    with _json_handler.lock or contextlib.nullcontext():
        _json_handler.stream.write(text)
        _json_handler.flush()


def _without_keys(_: Any, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Whatever looks like an API key is cut down to what may be shown."""
    return {name: without_keys(value) if isinstance(value, str) else value for name, value in event.items()}


class _ForPeople(structlog.dev.ConsoleRenderer):
    """Cuts keys down in tracebacks, too, which are text only here. Plain ones: rich ones show local variables."""

    def __init__(self) -> None:
        super().__init__(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)

    def __call__(self, logger: Any, name: str, event_dict: structlog.typing.EventDict) -> str:
        return without_keys(super().__call__(logger, name, event_dict))


def configure(settings: LoggingSettings) -> None:
    """Set up structlog, and route the standard library's loggers (uvicorn's, asyncio's) through it."""
    global _json_handler
    as_json = settings.json_lines if settings.json_lines is not None else not sys.stderr.isatty()
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: list[structlog.typing.Processor] = (
        [structlog.processors.format_exc_info, _without_keys, structlog.processors.JSONRenderer(serializer=_encoded)]
        if as_json
        else [_without_keys, _ForPeople()]
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[settings.level.upper()]),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    _json_handler = handler if as_json else None
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.level.upper())
    # Their news at INFO is about every poll and every connection.
    for name in ("aiosqlite", "asyncio", "uvicorn.access", "alembic", "httpx", "aiohttp.access"):
        logging.getLogger(name).setLevel(logging.WARNING)
