"""PostgreSQL: two servers, of which one is the primary and the other streams from it."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from . import install, settings
from .fault import Fault
from .site import Site

SERVERS = ("postgres-1", "postgres-2")
USER = "postgres"
FOLLOW_TIMEOUT_S = 30.0
# Survives the crash of a process, not of the machine: a drill has nothing that would have to.
HASTY = ("fsync=off", "full_page_writes=off", "max_connections=200", "wal_keep_size=256MB", "wal_receiver_timeout=10s")


def create(site: Site, is_synchronous: bool) -> None:
    """A primary with an empty database, and a standby of it."""
    folder = _data_folder(site)
    site.known["postgres"] = {"folder": str(folder), "primary": SERVERS[0], "standby": SERVERS[1]}
    site.save()
    flags = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
    _run_server_program(site, "initdb", [*flags, "-D", str(folder / SERVERS[0])])
    start(site, SERVERS[0])
    execute(site, SERVERS[0], f"CREATE DATABASE {settings.DATABASE}", database="postgres")
    make_standby(site, SERVERS[1], of=SERVERS[0])
    set_synchronous(site, is_synchronous)


def primary(site: Site) -> str:
    return str(site.known["postgres"]["primary"])


def standby(site: Site) -> str:
    return str(site.known["postgres"]["standby"])


def note_roles(site: Site, primary_server: str, standby_server: str) -> None:
    site.known["postgres"] |= {"primary": primary_server, "standby": standby_server}
    site.save()


def url(site: Site, server: str, address: str | None = None) -> str:
    return f"postgres://{USER}@{address or site.address(server)}/{settings.DATABASE}?sslmode=disable"


def primary_urls(site: Site) -> str:
    """Both servers, so that a promotion is followed."""
    return ",".join(url(site, server) for server in (primary(site), standby(site)))


def start(site: Site, server: str) -> None:
    folder = Path(site.known["postgres"]["folder"]) / server
    command = _server_command("postgres", ["-D", str(folder), "-p", str(site.port(server))])
    for setting in ("listen_addresses=127.0.0.1", "unix_socket_directories=", *HASTY):
        command += ["-c", setting]
    site.start(server, command, cwd=folder.parent)
    is_ready = _program("pg_isready")
    flags = ["-q", "-h", "127.0.0.1", "-p", str(site.port(server))]
    site.wait_ready(server, lambda: subprocess.run([is_ready, *flags]).returncode == 0)


def crash(site: Site, server: str) -> None:
    """Ends it at once: connections break, and what was committed is kept."""
    site.end(server, signal.SIGQUIT)


def stop(site: Site, server: str) -> None:
    site.end(server, signal.SIGINT)


def make_standby(site: Site, server: str, of: str) -> None:
    """Copies a primary, forgetting what the server held before, and follows it."""
    folder = Path(site.known["postgres"]["folder"]) / server
    if folder.exists():
        shutil.rmtree(folder)
    flags = ["--host=127.0.0.1", f"--username={USER}", "--write-recovery-conf", "--checkpoint=fast", "--no-sync"]
    _run_server_program(site, "pg_basebackup", [*flags, f"--port={site.port(of)}", f"--pgdata={folder}"])
    start(site, server)
    wait_for(site, of, "SELECT count(*) > 0 FROM pg_stat_replication WHERE state = 'streaming'", "t")


def set_synchronous(site: Site, is_synchronous: bool) -> None:
    """Whether a commit waits until the standby has it, so that a promotion loses none."""
    server = primary(site)
    name = "*" if is_synchronous else ""
    execute(site, server, f"ALTER SYSTEM SET synchronous_standby_names = '{name}'", database="postgres")
    execute(site, server, "SELECT pg_reload_conf()", database="postgres")
    wait_for(site, server, "SHOW synchronous_standby_names", name)
    if is_synchronous:
        wait_for(site, server, "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'", "1")


def promote(site: Site, server: str) -> None:
    if execute(site, server, "SELECT pg_promote(true, 60)", database="postgres") != "t":
        raise Fault(f"{server} cannot be promoted:\n{site.tail(server)}")


def ask(site: Site, server: str, sql: str, database: str = settings.DATABASE) -> str | None:
    """What statements say, columns divided by bars; None where one fails."""
    done = _psql(site, server, sql, database)
    return done.stdout.strip() if done.returncode == 0 else None


def execute(site: Site, server: str, sql: str, database: str = settings.DATABASE) -> str:
    done = _psql(site, server, sql, database)
    if done.returncode != 0:
        raise Fault(f"{server}: {sql}: {done.stderr.strip()}")
    return done.stdout.strip()


def wait_for(site: Site, server: str, sql: str, expected: str, timeout_s: float = FOLLOW_TIMEOUT_S) -> None:
    deadline = time.monotonic() + timeout_s
    while (said := ask(site, server, sql, database="postgres")) != expected:
        if time.monotonic() > deadline:
            raise Fault(f"{server}: {sql}: {said} in place of {expected}")
        time.sleep(settings.PAUSE_S)


def _psql(site: Site, server: str, sql: str, database: str) -> subprocess.CompletedProcess[str]:
    flags = ["--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--set", "ON_ERROR_STOP=1", "--command", sql]
    place = f"postgres://{USER}@{site.address(server)}/{database}?sslmode=disable&connect_timeout=5"
    return subprocess.run([_program("psql"), *flags, place], capture_output=True, text=True)


def _program(name: str) -> str:
    folder = install.postgres_folder()
    if folder is None:
        raise Fault("the programs of PostgreSQL are missing")
    return str(folder / name)


def _server_command(name: str, arguments: list[str]) -> list[str]:
    """As a user without rights: PostgreSQL refuses to run as root."""
    command = [_program(name), *arguments]
    if os.geteuid() != 0:
        return command
    return ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", *command]


def _run_server_program(site: Site, name: str, arguments: list[str]) -> None:
    folder = site.known["postgres"]["folder"]
    environment = site.environment({})
    done = subprocess.run(_server_command(name, arguments), cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        raise Fault(f"{name} fails: {done.stderr.strip()}")


def _data_folder(site: Site) -> Path:
    """A folder that the user of PostgreSQL reaches: beside the others, or where all may go."""
    folder = site.folder / "postgres"
    folder.mkdir()
    if os.geteuid() != 0:
        return folder
    owner = pwd.getpwnam(USER)
    os.chown(folder, owner.pw_uid, owner.pw_gid)
    command = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "test", "-w", str(folder)]
    if subprocess.run(command, cwd="/").returncode == 0:
        return folder
    folder = Path(tempfile.mkdtemp(prefix="vitrine-local-", dir="/tmp"))
    os.chown(folder, owner.pw_uid, owner.pw_gid)
    site.known["folders"].append(str(folder))
    return folder
