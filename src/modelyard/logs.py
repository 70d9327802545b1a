"""How log lines look: text for people on a terminal, JSON lines for machines."""

import logging
import sys
from typing import Any

import msgspec
import structlog

from modelyard.settings import LoggingSettings


def _encoded(value: Any, **_: Any) -> str:
    return msgspec.json.encode(value, enc_hook=str).decode()


def configure(settings: LoggingSettings) -> None:
    """Set up structlog, and route the standard library's loggers (uvicorn's, asyncio's) through it."""
    as_json = settings.json_lines if settings.json_lines is not None else not sys.stderr.isatty()
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: list[structlog.typing.Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(serializer=_encoded)]
        if as_json
        else [structlog.dev.ConsoleRenderer()]
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
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.level.upper())
    # Their news at INFO is about every poll and every connection.
    for name in ("aiosqlite", "asyncio", "uvicorn.access", "alembic", "httpx", "aiohttp.access"):
        logging.getLogger(name).setLevel(logging.WARNING)
