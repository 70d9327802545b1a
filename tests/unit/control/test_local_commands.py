"""Commands that run as the server: allowed where only the machine itself can ask."""

from pathlib import Path

import pytest

from modelyard.control.template_checks import require_administrator, require_local_commands
from modelyard.domain.templates import BundleConfig
from modelyard.errors import Forbidden
from modelyard.settings import SecuritySettings, Settings

LOCAL = BundleConfig(registry="local", image="", tag="", command=("x",))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org"])
def test_beyond_loopback_they_are_off(tmp_path: Path, host: str) -> None:
    with pytest.raises(Forbidden, match="MODELYARD_SECURITY__LOCAL_COMMANDS"):
        require_local_commands(LOCAL, Settings(host=host, data_dir=tmp_path))
    allowed = SecuritySettings(local_commands=True)
    require_local_commands(LOCAL, Settings(host=host, data_dir=tmp_path, security=allowed))


def test_on_loopback_a_setting_forbids_them(tmp_path: Path) -> None:
    require_local_commands(LOCAL, Settings(data_dir=tmp_path))
    forbidden = Settings(data_dir=tmp_path, security=SecuritySettings(local_commands=False))
    with pytest.raises(Forbidden):
        require_local_commands(LOCAL, forbidden)


def test_administrators_only() -> None:
    require_administrator(LOCAL, administrator=True)
    require_administrator(BundleConfig(registry="modelyard", image="fake", tag=""), administrator=False)
    with pytest.raises(Forbidden):
        require_administrator(LOCAL, administrator=False)
