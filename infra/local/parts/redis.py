"""Redis, which keeps nothing."""

from __future__ import annotations

import socket

from .site import Site

NAME = "redis"


def start(site: Site) -> None:
    folder = site.folder / "redis"
    folder.mkdir(exist_ok=True)
    command = ["redis-server", "--port", str(site.port(NAME)), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    site.start(NAME, [*command, "--daemonize", "no", "--dir", str(folder)])
    site.wait_ready(NAME, lambda: _answers(site))


def url(site: Site) -> str:
    return f"redis://{site.address(NAME)}/"


def _answers(site: Site) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", site.port(NAME)), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(5) == b"+PONG"
    except OSError:
        return False
