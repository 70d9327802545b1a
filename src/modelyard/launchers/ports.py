"""Free ports of this machine."""

import socket


class FreePorts:
    """Ports that nobody listens on now, and that were not given out lately: theirs may not be open yet."""

    def __init__(self) -> None:
        self._given: list[int] = []

    def take(self, host: str) -> int:
        for _ in range(50):
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
                probe.bind((host, 0))
                port = int(probe.getsockname()[1])
            if port not in self._given:
                break
        self._given = [*self._given[-200:], port]
        return port
