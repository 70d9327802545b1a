"""Workers in containers, on Docker or Podman."""

from modelyard.launchers.container.launcher import ContainerLauncher

__all__ = ["ContainerLauncher"]
