"""One folder with all that runs: ports, processes and where they log, kept in a file so that any command finds them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from . import identity, settings
from .fault import Fault

MARKER = "VITRINE_LOCAL_FOLDER"
# The end of a log that is shown where a start fails.
TAIL_BYTES = 2_000


class Site:
    """All changes are written down at once: a command that crashes loses nothing that `down` needs."""

    def __init__(self, folder: Path, known: dict[str, Any]) -> None:
        self.folder = folder
        self.known = known
        self._children: dict[int, subprocess.Popen[bytes]] = {}

    @classmethod
    def create(cls, folder: Path, port_names: Iterable[str], binaries: list[str]) -> Site:
        (folder / "logs").mkdir(parents=True)
        site = cls(folder, {"boot": identity.boot(), "processes": {}, "mounts": [], "folders": []})
        site.known["binaries"] = binaries
        site.known["ports"] = free_ports(list(port_names))
        site.save()
        return site

    @classmethod
    def load(cls, folder: Path | None = None) -> Site | None:
        """None where nothing was started."""
        folder = folder or settings.FOLDER
        try:
            known = json.loads((folder / "state.json").read_text())
        except FileNotFoundError:
            return None
        return cls(folder, known)

    def save(self) -> None:
        self.known["addresses"] = {name: f"127.0.0.1:{port}" for name, port in self.known["ports"].items()}
        draft = self.folder / "state.json.new"
        draft.write_text(json.dumps(self.known, indent=2) + "\n")
        # It names the token of the staff.
        draft.chmod(0o600)
        draft.replace(self.folder / "state.json")

    def port(self, name: str) -> int:
        return int(self.known["ports"][name])

    def address(self, name: str) -> str:
        return f"127.0.0.1:{self.port(name)}"

    def url(self, name: str) -> str:
        return f"http://{self.address(name)}"

    def binary(self, name: str) -> str:
        for folder in self.known["binaries"]:
            path = Path(folder) / name
            if path.is_file():
                return str(path)
        places = ", ".join(self.known["binaries"])
        raise Fault(f"there is no {name} in {places}: build it, or name folders by --binaries")

    def log(self, name: str) -> Path:
        return self.folder / "logs" / f"{name}.log"

    def names(self) -> list[str]:
        return list(self.known["processes"])

    def pid(self, name: str) -> int | None:
        """The number of a process that runs; None where it ended."""
        noted = self.known["processes"].get(name)
        if noted is None or self.known["boot"] != identity.boot():
            return None
        child = self._children.get(noted["pid"])
        if child is not None:
            child.poll()
        return noted["pid"] if identity.started_ticks(noted["pid"]) == noted["started_ticks"] else None

    def is_running(self, name: str) -> bool:
        return self.pid(name) is not None

    def start(
        self, name: str, command: list[str], environment: dict[str, str] | None = None, cwd: Path | None = None
    ) -> None:
        """Starts a process that outlives this one. What it says is added to its log."""
        if self.is_running(name):
            raise Fault(f"{name} runs already")
        if name in self.known["ports"] and not is_free(self.port(name)):
            raise Fault(f"something listens at {self.address(name)}, which is for {name}")
        with self.log(name).open("ab") as log:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.environment(environment or {}),
                cwd=cwd or self.folder,
                start_new_session=True,
            )
        self._children[child.pid] = child
        started = identity.started_ticks(child.pid)
        self.known["processes"][name] = {"pid": child.pid, "started_ticks": started, "command": command[0]}
        self.save()

    def environment(self, more: dict[str, str]) -> dict[str, str]:
        """For whatever is started: by the mark in it `down` finds what was not noted."""
        inherited = {key: value for key, value in os.environ.items() if not is_setting(key)}
        return {**inherited, **more, MARKER: str(self.folder)}

    def wait_ready(self, name: str, is_ready: Callable[[], bool], timeout_s: float = settings.START_TIMEOUT_S) -> None:
        """Waits until a process that was just started is ready."""
        deadline = time.monotonic() + timeout_s
        while not is_ready():
            if not self.is_running(name) or time.monotonic() > deadline:
                raise Fault(f"{name} does not start:\n{self.tail(name)}")
            time.sleep(settings.PAUSE_S)

    def send(self, name: str, number: signal.Signals) -> None:
        """Signals a process, and never one that has its number by chance."""
        pid = self.pid(name)
        if pid is None:
            raise Fault(f"{name} does not run")
        os.kill(pid, number)

    def end(self, name: str, number: signal.Signals = signal.SIGTERM) -> None:
        """Ends a process, by force where it does not heed the signal."""
        pid = self.pid(name)
        if pid is not None:
            os.kill(pid, number)
            # One that is frozen would not hear it.
            os.kill(pid, signal.SIGCONT)
            deadline = time.monotonic() + settings.END_TIMEOUT_S
            while self.is_running(name):
                if time.monotonic() > deadline:
                    os.kill(pid, signal.SIGKILL)
                    deadline = time.monotonic() + settings.END_TIMEOUT_S
                time.sleep(settings.PAUSE_S)
        self.known["processes"].pop(name, None)
        self.save()

    def tail(self, name: str) -> str:
        try:
            return self.log(name).read_bytes()[-TAIL_BYTES:].decode(errors="replace")
        except FileNotFoundError:
            return ""


def is_setting(name: str) -> bool:
    """Variables that would change what is started: the parts name all that they want themselves."""
    prefixes = ("VITRINE_", "AZURE_", "CHECKOUT_", "STRIPE_", "EVENT_", "PG", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
    names = ("PRIMARY_SQL_URL", "READ_SQL_URL", "REDIS_URL", "EDGE_URL", "http_proxy", "https_proxy", "all_proxy")
    return name.startswith(prefixes) or name in names


def is_free(port: int) -> bool:
    """Whether nobody listens; connections that ended a moment ago do not count."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            holder.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def free_ports(names: list[str]) -> dict[str, int]:
    """A port for each name, all held until the last is found."""
    held: list[socket.socket] = []
    ports: dict[str, int] = {}
    candidates = iter(range(settings.FIRST_PORT, settings.LAST_PORT + 1))
    try:
        for name in names:
            for port in candidates:
                holder = socket.socket()
                held.append(holder)
                try:
                    holder.bind(("127.0.0.1", port))
                except OSError:
                    continue
                ports[name] = port
                break
            else:
                raise Fault(f"no port is free between {settings.FIRST_PORT} and {settings.LAST_PORT}")
    finally:
        for holder in held:
            holder.close()
    return ports
