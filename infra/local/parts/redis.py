"""Redis, which keeps nothing."""

from __future__ import annotations

import socket

from .site import Site

NAME = "redis"


def start(site: Site) -> None:
    folder = site.folder / "redis"
    folder.mkdir(exist_ok=True)
    place = ["--port", str(site.port(NAME)), "--bind", "127.0.0.1", "--dir", str(folder)]
    site.start(NAME, ["redis-server", *place, "--save", "", "--appendonly", "no", "--daemonize", "no"])
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
