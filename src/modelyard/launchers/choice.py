"""Which launcher the settings ask for."""

import structlog

from modelyard.errors import ConfigurationError, Unavailable
from modelyard.launchers.base import Launcher
from modelyard.launchers.by_registry import ByRegistry
from modelyard.launchers.local import LocalLauncher
from modelyard.launchers.reservations import Reservations
from modelyard.settings import LauncherKind, Settings

log = structlog.get_logger(__name__)


async def chosen(settings: Settings) -> Launcher:
    """To be closed by the caller. Raises `ConfigurationError` where it can never work here."""
    match settings.launcher:
        case LauncherKind.LOCAL:
            return LocalLauncher(settings.data_dir, settings)
        case LauncherKind.CONTAINER:
            return await _with_containers(settings)
        case _:
            raise ConfigurationError(
                f"The launcher '{settings.launcher}' is not part of this version.",
                hint="Use MODELYARD_LAUNCHER=local or container.",
            )


async def _with_containers(settings: Settings) -> Launcher:
    """Containers for images; and processes, on the same machine, for the rest."""
    try:
        from modelyard.launchers.container import ContainerLauncher
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"The launcher 'container' needs the package '{error.name}'.",
            hint="Install it: pip install 'modelyard[container]'.",
        ) from error
    reservations = Reservations()
    processes = LocalLauncher(settings.data_dir, settings, reservations)
    containers = ContainerLauncher(settings.data_dir, settings, reservations)
    try:
        info = await containers.check()
        log.info("container engine found", address=containers.address, version=info.version)
    except Unavailable as error:
        # It may come up later; whatever needs no container works meanwhile.
        log.warning("no container can be started yet", error=str(error))
    as_containers = settings.containers.worker_image is not None
    return ByRegistry(processes, containers, built_in_as_containers=as_containers)
