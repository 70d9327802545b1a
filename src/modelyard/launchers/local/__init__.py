"""Workers as processes on the server's own machine."""

from modelyard.launchers.local.launcher import LocalLauncher

__all__ = ["LocalLauncher"]
