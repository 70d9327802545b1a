"""Which images deployments may run."""

from datetime import UTC, datetime

import pytest

from modelyard.control.deployment_checks import require_launchable
from modelyard.domain.accounts import IdentityType
from modelyard.domain.templates import BundleConfig, EndpointProtocol, EndpointType, ModelType, Template
from modelyard.errors import Forbidden, InvalidRequest
from modelyard.settings import ContainersSettings, LauncherKind, Settings


def template(registry: str, image: str) -> Template:
    return Template(
        id="t",
        account_id="a",
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        created_by_user_id="u",
        created_by_identity_type=IdentityType.USER,
        name="mine",
        endpoint_type=EndpointType.SYNC,
        model_type=ModelType.EMBEDDING,
        endpoint_protocol=EndpointProtocol.SGP,
        bundle=BundleConfig(registry=registry, image=image, tag="1", command=("x",)),
    )


def with_containers(*allowed: str, all_of_them: bool = False) -> Settings:
    containers = ContainersSettings(allowed=None if all_of_them else allowed)
    return Settings(launcher=LauncherKind.CONTAINER, containers=containers)


def test_images_need_the_launcher_for_them() -> None:
    with pytest.raises(InvalidRequest, match="start the server with --launcher container"):
        require_launchable(template("ghcr.io", "me/model"), Settings())
    require_launchable(template("ghcr.io", "me/model"), with_containers(all_of_them=True))


def test_a_setting_bounds_which_images_are_run() -> None:
    require_launchable(template("ghcr.io", "me/model"), with_containers("docker.io/", "ghcr.io/me/"))
    for registry, image in (("ghcr.io", "you/model"), ("evil.io", "ghcr.io/me/model"), ("ghcr.io", "memory/model")):
        with pytest.raises(Forbidden, match="MODELYARD_CONTAINERS__ALLOWED") as caught:
            require_launchable(template(registry, image), with_containers("docker.io/", "ghcr.io/me/"))
        assert caught.value.code == "image_not_allowed"
    with pytest.raises(Forbidden, match="begin with nothing at all"):
        require_launchable(template("ghcr.io", "me/model"), with_containers())


@pytest.mark.parametrize("registry", ["modelyard", "local"])
def test_what_is_no_image_is_not_bounded_by_it(registry: str) -> None:
    require_launchable(template(registry, "fake"), with_containers())
