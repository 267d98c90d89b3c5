"""Proxies that make a network slow."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

from .fault import Fault
from .site import Site

PROGRAM = Path(__file__).with_name("delay_proxy.py")


def start(site: Site, name: str, server: str) -> str:
    """Starts one before a server; returns the address that clients are to use."""
    command = [sys.executable, str(PROGRAM), str(site.port(name)), server, str(site.port(f"{name}-control"))]
    site.start(name, command)
    site.wait_ready(name, lambda: _tell(site, name, 0))
    return site.address(name)


def delay(site: Site, name: str, delay_ms: int) -> None:
    if not _tell(site, name, delay_ms):
        raise Fault(f"{name} does not take a delay")


def _tell(site: Site, name: str, delay_ms: int) -> bool:
    line = f"{delay_ms}\n".encode()
    try:
        with socket.create_connection(("127.0.0.1", site.port(f"{name}-control")), timeout=2) as connection:
            connection.sendall(line)
            return connection.recv(len(line)) == line
    except OSError:
        return False
