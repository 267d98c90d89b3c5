"""One request over a connection that is kept, one for each thread and server."""

from __future__ import annotations

import http.client
import threading
from dataclasses import dataclass

_connections = threading.local()


@dataclass(frozen=True)
class Reply:
    """An answer, or the reason why none came (then the status is 0)."""

    status: int
    body: bytes
    reason: str


def send(address: str, method: str, path: str, body: bytes | None, headers: dict[str, str], timeout_s: float) -> Reply:
    kept: dict[str, http.client.HTTPConnection] = _connections.__dict__.setdefault("kept", {})
    connection = kept.get(address)
    if connection is not None and connection.sock is not None:
        connection.sock.settimeout(timeout_s)
    if connection is None:
        host, port = address.rsplit(":", 1)
        connection = http.client.HTTPConnection(host, int(port), timeout=timeout_s)
        kept[address] = connection
    try:
        connection.request(method, path, body=body, headers=headers)
        answer = connection.getresponse()
        return Reply(answer.status, answer.read(), "")
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        kept.pop(address, None)
        return Reply(0, b"", type(error).__name__)
