"""HAProxy in Front Door's place: probes, weights, and another try in the other region for what only reads.

Servers are chosen at random: taking turns, the first of two requests that always follow one another would always meet
the same region.
"""

from __future__ import annotations

import csv
import io
import signal
import socket
from pathlib import Path

from . import checkouts, edges, install, settings, web
from .fault import Fault
from .site import Site

NAME = "front"
# A path of a Unix socket has a limit of 108 bytes.
MAX_SOCKET_PATH = 104
EDGE_BACKENDS = ("edge_reads", "edge_posts")
CHECKOUT_BACKENDS = ("checkout_reads", "checkout_posts", "checkout_any")

CONFIGURATION = """\
global
    log stdout format raw local0 notice
    nbthread 1
    maxconn 4000
    stats socket {socket} mode 600 level admin

defaults
    mode http
    log global
    timeout connect 1s
    timeout client 65s
    timeout http-keep-alive 65s
    timeout queue 2s
    timeout check 1s
    option http-keep-alive
    default-server inter {probe_ms}ms fall {fall} rise {rise}

frontend front
    bind 127.0.0.1:{port}
    acl is_checkout path_beg /checkout/
    acl is_read method GET HEAD OPTIONS
    acl no_checkout_is_well nbsrv(checkout_reads) eq 0
    use_backend checkout_any if is_checkout no_checkout_is_well
    use_backend checkout_reads if is_checkout is_read
    use_backend checkout_posts if is_checkout
    use_backend edge_reads if is_read
    default_backend edge_posts

# What only reads is asked again, and at another server, whatever came between.
backend edge_reads
    balance random(1)
    timeout server {read_ms}ms
    retries 2
    option redispatch 1
    retry-on conn-failure empty-response response-timeout junk-response 502 503 504
    option httpchk GET /healthz
    http-check expect status 200
{edge_reads}

# What may have been done is not done again here: its client has the key to ask with.
backend edge_posts
    balance random(1)
    timeout server {read_ms}ms
    retries 0
{edge_posts}

backend checkout_reads
    balance random(1)
    timeout server 5s
    retries 2
    option redispatch 1
    retry-on conn-failure empty-response response-timeout junk-response 502 503 504
    option httpchk GET /checkout/healthz
    http-check expect status 200
{checkout_reads}

backend checkout_posts
    balance random(1)
    timeout server 30s
    retries 0
{checkout_posts}

# Where none passes its probe, all that listen are asked, as Front Door does: without an edge there are no prices, while
# what was begun can be paid. What no connection was made for was not done, and is asked of another one.
backend checkout_any
    balance random(1)
    timeout server 30s
    retries 2
    option redispatch 1
    retry-on conn-failure
{checkout_any}
"""


def start(site: Site) -> None:
    file = site.folder / "haproxy.cfg"
    file.write_text(configuration(site))
    site.start(NAME, [str(install.find("haproxy")), "-db", "-f", str(file)])
    site.wait_ready(NAME, lambda: web.ask(site.address(NAME), "/healthz", timeout_s=1.0) is not None)


def stop(site: Site) -> None:
    site.end(NAME, signal.SIGTERM)


def set_weight(site: Site, server: str, percent: int) -> None:
    """How much of the traffic a server takes, of what it would take otherwise."""
    for backend in _backends(server):
        _tell(site, f"set weight {backend}/{server} {percent}%")


def enable(site: Site, server: str) -> None:
    for backend in _backends(server):
        _tell(site, f"set server {backend}/{server} state ready")


def drain(site: Site, server: str) -> None:
    """It gets nothing new any more, and ends what it has."""
    for backend in _backends(server):
        _tell(site, f"set server {backend}/{server} state drain")


def disable(site: Site, server: str) -> None:
    for backend in _backends(server):
        _tell(site, f"set server {backend}/{server} state maint")


def standing(site: Site, server: str) -> str:
    """What the probes found: UP, DOWN, or something between. Empty where HAProxy does not say."""
    backend = _backends(server)[0]
    for row in _statistics(site):
        if row["pxname"] == backend and row["svname"] == server:
            return row["status"]
    return ""


def is_up(site: Site, server: str) -> bool:
    return standing(site, server).startswith("UP")


def is_down(site: Site, server: str) -> bool:
    return standing(site, server).startswith("DOWN")


def retries(site: Site) -> int:
    """How often something was tried again, at the same server or another one."""
    rows = [row for row in _statistics(site) if row["svname"] == "BACKEND"]
    return sum(int(row["wretr"] or 0) + int(row["wredis"] or 0) for row in rows)


def _backends(server: str) -> tuple[str, ...]:
    return EDGE_BACKENDS if server.startswith("edge-") else CHECKOUT_BACKENDS


def configuration(site: Site) -> str:
    lines: dict[str, list[str]] = {backend: [] for backend in (*EDGE_BACKENDS, *CHECKOUT_BACKENDS)}
    for region in settings.REGIONS:
        for is_green in (False, True):
            state = "weight 100 disabled" if is_green else "weight 100"
            for server in (edges.name(region, is_green), checkouts.name(region, is_green)):
                # The first probes, and the second does as it; the third finds out who listens.
                reads, posts, *listening = _backends(server)
                lines[reads].append(f"    server {server} {site.address(server)} check {state}")
                lines[posts].append(f"    server {server} {site.address(server)} track {reads}/{server} {state}")
                for backend in listening:
                    lines[backend].append(f"    server {server} {site.address(server)} check {state}")
    return CONFIGURATION.format(
        socket=_socket(site),
        port=site.port(NAME),
        probe_ms=settings.PROBE_INTERVAL_MS,
        fall=settings.PROBES_TO_FALL,
        rise=settings.PROBES_TO_RISE,
        read_ms=settings.READ_TIMEOUT_MS,
        **{backend: "\n".join(servers) for backend, servers in lines.items()},
    )


def _socket(site: Site) -> Path:
    path = site.folder / "haproxy.sock"
    if len(str(path)) > MAX_SOCKET_PATH:
        raise Fault(f"{path} is too long for the name of a socket: check the repository out at a shorter path")
    return path


def _statistics(site: Site) -> list[dict[str, str]]:
    text = _say(site, "show stat").lstrip("# ")
    return list(csv.DictReader(io.StringIO(text)))


def _tell(site: Site, line: str) -> None:
    said = _say(site, line).strip()
    if said:
        raise Fault(f"HAProxy says to '{line}': {said}")


def _say(site: Site, line: str) -> str:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        connection.connect(str(_socket(site)))
        connection.sendall(f"{line}\n".encode())
        said = b""
        while part := connection.recv(65536):
            said += part
        return said.decode()
