"""What must hold of processes, whoever has their numbers now: python3 -m unittest discover infra/local/tests"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from parts import checkouts, front, identity, install, settings, web, whole  # noqa: E402
from parts.site import MARKER, Site, free_ports, is_setting  # noqa: E402

SLEEP = ["sleep", "600"]
DEADLINE_S = 30.0


class SiteTest(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.site = Site.create(Path(self.folder.name) / "site", whole.port_names(), [self.folder.name])

    def tearDown(self) -> None:
        for name in self.site.names():
            self.site.end(name, signal.SIGKILL)
        self.folder.cleanup()

    def test_another_command_finds_what_runs_and_ends_it(self) -> None:
        self.site.start("sleeper", SLEEP)
        found = Site.load(self.site.folder)
        assert found is not None
        self.assertTrue(found.is_running("sleeper"))
        found.end("sleeper")
        self.assertFalse(self.site.is_running("sleeper"))

    def test_a_process_that_has_the_number_of_one_that_ended_is_left_alone(self) -> None:
        stranger = subprocess.Popen(SLEEP)
        try:
            started = identity.started_ticks(stranger.pid)
            assert started is not None
            noted = {"pid": stranger.pid, "started_ticks": started - 1, "command": "sleep"}
            self.site.known["processes"]["ours"] = noted
            self.assertFalse(self.site.is_running("ours"))
            self.site.end("ours", signal.SIGKILL)
            self.assertIsNone(stranger.poll())
        finally:
            stranger.kill()
            stranger.wait()

    def test_numbers_of_another_start_of_the_machine_mean_nothing(self) -> None:
        self.site.start("sleeper", SLEEP)
        boot, self.site.known["boot"] = self.site.known["boot"], "another"
        self.assertFalse(self.site.is_running("sleeper"))
        self.site.known["boot"] = boot

    def test_one_that_is_frozen_and_heeds_nothing_is_ended(self) -> None:
        self.site.start("sleeper", SLEEP)
        self.site.send("sleeper", signal.SIGSTOP)
        self.site.end("sleeper")
        self.assertFalse(self.site.is_running("sleeper"))

    def test_what_was_never_noted_is_found_by_its_mark(self) -> None:
        mark = f"{MARKER}={self.folder.name}/unnoted"
        sleeper = subprocess.Popen(SLEEP, env={**os.environ, MARKER: f"{self.folder.name}/unnoted"})
        try:
            deadline = time.monotonic() + DEADLINE_S
            # Between fork and exec, a process has the environment of its parent.
            while identity.marked(mark) != [sleeper.pid] and time.monotonic() < deadline:
                time.sleep(0.01)
            self.assertEqual(identity.marked(mark), [sleeper.pid])
        finally:
            sleeper.kill()
            sleeper.wait()

    def test_ports_differ_and_are_not_those_of_clients(self) -> None:
        ports = list(free_ports([f"port-{number}" for number in range(50)]).values())
        self.assertEqual(len(set(ports)), 50)
        low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
        self.assertLess(max(ports), low)

    def test_settings_of_the_caller_reach_no_part(self) -> None:
        for name in ("AZURE_STORAGE_ACCOUNT_KEY", "PRIMARY_SQL_URL", "VITRINE_MARKETS", "STRIPE_SECRET_KEY"):
            self.assertTrue(is_setting(name), name)
        self.assertFalse(is_setting("PATH"))

    def test_the_front_is_configured_as_haproxy_wants_it(self) -> None:
        install.from_apt("haproxy", lambda: install.find("haproxy") is not None)
        file = Path(self.folder.name) / "haproxy.cfg"
        file.write_text(front.configuration(self.site))
        checked = subprocess.run([str(install.find("haproxy")), "-c", "-f", str(file)], capture_output=True, text=True)
        self.assertEqual(checked.returncode, 0, checked.stderr + checked.stdout)

    def test_checkouts_that_fail_their_probe_are_asked_where_no_other_is_left(self) -> None:
        install.from_apt("haproxy", lambda: install.find("haproxy") is not None)
        names = [checkouts.name(region) for region in settings.REGIONS]
        servers = [ThreadingHTTPServer(("127.0.0.1", self.site.port(name)), WithoutPrices) for name in names]
        for server in servers:
            threading.Thread(target=server.serve_forever).start()
        try:
            front.start(self.site)
            deadline = time.monotonic() + DEADLINE_S
            while not all(front.is_down(self.site, name) for name in names):
                self.assertLess(time.monotonic(), deadline, "nobody notices that no probe is passed")
                time.sleep(0.1)
            for method in ("GET", "POST"):
                answer = web.ask(self.site.address(front.NAME), "/checkout/v1/checkouts", method)
                assert answer is not None, method
                self.assertEqual(answer.status, 200, method)
        finally:
            for server in servers:
                server.shutdown()
                server.server_close()


class WithoutPrices(BaseHTTPRequestHandler):
    """A checkout whose edge is away: nothing new begins there, and all else goes on."""

    def do_GET(self) -> None:
        self.send_response(503 if self.path == "/checkout/healthz" else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_POST = do_GET

    def log_message(self, format: str, *arguments: object) -> None:
        """Nobody reads it."""


if __name__ == "__main__":
    unittest.main()
