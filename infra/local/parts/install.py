"""Installs what is missing: packages of the system, and one of npm in a folder of its own."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from . import settings
from .fault import Fault

AZURITE = "3.35.0"
# Where Debian keeps the programs of each version, which are in no path.
POSTGRES_VERSIONS = Path("/usr/lib/postgresql")
POSTGRES_PROGRAMS = ("initdb", "postgres", "psql", "pg_isready", "pg_basebackup")
SYSTEM_FOLDERS = "/usr/local/sbin:/usr/sbin:/sbin"


def all_parts() -> None:
    from_apt("postgresql", lambda: postgres_folder() is not None)
    from_apt("redis-server", lambda: find("redis-server") is not None)
    from_apt("haproxy", lambda: find("haproxy") is not None)
    azurite()


def faketime() -> Path:
    """The library that tells programs another time."""
    from_apt("faketime", lambda: _faketime_library() is not None)
    library = _faketime_library()
    assert library is not None, "it was just installed"
    return library


def find(program: str) -> str | None:
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:{SYSTEM_FOLDERS}")


def postgres_folder() -> Path | None:
    """The programs of the newest version that has them all."""
    if not POSTGRES_VERSIONS.is_dir():
        return None
    versions = sorted((int(entry.name) for entry in POSTGRES_VERSIONS.iterdir() if entry.name.isdigit()), reverse=True)
    for version in versions:
        folder = POSTGRES_VERSIONS / str(version) / "bin"
        if all((folder / name).is_file() for name in POSTGRES_PROGRAMS):
            return folder
    return None


def azurite() -> Path:
    """The script that is run by node. Tests keep theirs in the same folder, with the same lock and the same note."""
    if find("node") is None or find("npm") is None:
        from_apt("nodejs", lambda: find("node") is not None)
        from_apt("npm", lambda: find("npm") is not None)
    folder = settings.TOOLS / "azurite"
    folder.mkdir(parents=True, exist_ok=True)
    done = folder / f"installed-{AZURITE}"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            flags = ["--no-audit", "--no-fund", "--loglevel=error", "--prefix", str(folder)]
            run(["npm", "install", *flags, f"azurite@{AZURITE}"])
            done.touch()
    return folder / "node_modules/azurite/dist/src/blob/main.js"


def from_apt(package: str, is_there: Callable[[], bool]) -> None:
    if is_there():
        return
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    print(f"installing {package}", flush=True)
    run([*sudo, "apt-get", "update", "-qq"])
    run([*sudo, "apt-get", "install", "-y", "-qq", "--no-install-recommends", package])
    if not is_there():
        raise Fault(f"{package} is still missing after its installation")


def _faketime_library() -> Path | None:
    return next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)


def run(command: list[str]) -> None:
    # Packages must neither ask nor start their servers.
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise Fault(f"{' '.join(command)} fails:\n{done.stdout[-2000:]}")
