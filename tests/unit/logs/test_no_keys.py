"""Log lines show no API key, wherever it comes from."""

import json
import logging

import pytest
import structlog

from modelyard import logs
from modelyard.domain.secrets import new_secret, shown
from modelyard.settings import LoggingSettings


@pytest.mark.parametrize("as_json", [True, False])
def test_a_key_is_cut_down(capsys: pytest.CaptureFixture[str], as_json: bool) -> None:
    key = new_secret("1a2b3c4d-0000")
    logs.configure(LoggingSettings(json_lines=as_json))
    try:
        structlog.get_logger("test").warning("refused", header=f"Bearer {key}", number=1)
        logging.getLogger("elsewhere").warning("bad header %s", key)
        local = "-".join(("of", "nobody's", "business"))
        try:
            raise ValueError(f"what is {key}?")
        except ValueError:
            structlog.get_logger("test").exception("failed")
    finally:
        written = capsys.readouterr().err
        structlog.reset_defaults()
        logging.getLogger().handlers.clear()
    assert key not in written, "nor in a traceback"
    assert "ValueError" in written
    assert local not in written
    assert f"{shown(key)}_***" in written
    if as_json:
        assert json.loads(written.splitlines()[0])["event"] == "refused"
