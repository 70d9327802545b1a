"""Lines written many at once look as those written one by one."""

import json
import logging

import pytest
import structlog

from modelyard import logs
from modelyard.settings import LoggingSettings

LINES = [{"model": "m ✓", "tokens": 3, "why": None}, {"model": "n", "tokens": 4, "why": "x\ny"}]


@pytest.fixture(autouse=True)
def _restore():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    logs._json_handler = None
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def without_time(text):
    lines = [json.loads(line) for line in text.splitlines()]
    assert all(line.pop("timestamp").endswith("Z") for line in lines)
    return lines


def test_json_lines_are_those_of_the_slow_way(capsys):
    logs.configure(LoggingSettings(json_lines=True))
    logs.write_lines("some.logger", "call", LINES)
    fast = without_time(capsys.readouterr().err)
    for line in LINES:
        structlog.get_logger("some.logger").info("call", **line)
    assert fast == without_time(capsys.readouterr().err)
    assert [line["model"] for line in fast] == ["m ✓", "n"]


def test_text_for_people_goes_the_slow_way(capsys):
    logs.configure(LoggingSettings(json_lines=False))
    logs.write_lines("some.logger", "call", LINES)
    written = capsys.readouterr().err.splitlines()
    assert len(written) == 2
    assert all("call" in line and "{" not in line for line in written)


def test_lines_nobody_wants_are_not_even_made(capsys):
    logs.configure(LoggingSettings(json_lines=True, level="WARNING"))
    logs.write_lines("some.logger", "call", (pytest.fail("made") for _ in range(1)))
    assert capsys.readouterr().err == ""


def test_no_lines_write_nothing(capsys):
    logs.configure(LoggingSettings(json_lines=True))
    logs.write_lines("some.logger", "call", [])
    assert capsys.readouterr().err == ""
