"""A llama.cpp server that ends still has its port, but where nobody finds it."""

import socket

import psutil
import pytest

from modelyard.engines.llama_cpp import _move_listener


def test_the_hidden_port_is_on_loopback_and_the_old_one_is_closed() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    moved = _move_listener(port)
    connections = psutil.Process().net_connections("tcp")
    listening = {each.laddr.port: each.laddr.ip for each in connections if each.status == psutil.CONN_LISTEN}
    assert (listening[moved], port in listening) == ("127.0.0.1", False)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    listener.close()
