"""Load tests must be able to fail: a slow edge, a dead one and wrong settings are told, and change the exit code."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import types
import unittest

TESTS = os.path.dirname(os.path.abspath(__file__))
LOADTESTS = os.path.dirname(TESTS)
ROOT = os.path.dirname(LOADTESTS)
sys.path[:0] = [TESTS, LOADTESTS]

from delay_proxy import DelayProxy  # noqa: E402
from runner import k6  # noqa: E402
from runner.processes import Measured  # noqa: E402
from runner.shop import Shop  # noqa: E402
from runner.verdict import Verdict  # noqa: E402

BINARIES = os.environ.get("VITRINE_BINARIES") or os.path.join(ROOT, "target", "release")
DEMO = os.environ.get("VITRINE_DEMO") or os.path.join(ROOT, ".demo")
# Longer than anything that slo.json allows for a request to an edge.
DELAY_MS = 400
DEADLINE_S = 60


class WithFolder(unittest.TestCase):
    def setUp(self):
        self.out = tempfile.mkdtemp(prefix="vitrine-load-test-")
        self.addCleanup(shutil.rmtree, self.out, ignore_errors=True)

    def command(self, scenario):
        run = os.path.join(LOADTESTS, "run")
        return [sys.executable, run, scenario, "--binaries", BINARIES, "--demo", DEMO, "--out", self.out]

    def environment(self, settings):
        names = ("TARGET", "RATE", "DURATION", "QUERIES", "JUDGE", "MARKET")
        clean = {name: value for name, value in os.environ.items() if name not in names}
        return {**clean, "DURATION": "3s", "RATE": "20", **settings}

    def run_scenario(self, scenario, **settings):
        return subprocess.run(
            self.command(scenario), env=self.environment(settings), capture_output=True, text=True, check=False
        )


class AgainstAnEdge(WithFolder):
    def setUp(self):
        super().setUp()
        self.shop = Shop(BINARIES, DEMO, self.out)
        self.addCleanup(self.shop.close)
        [self.edge] = self.shop.start_edges(1)

    def test_a_slow_edge_breaks_latencies_and_nothing_else(self):
        with DelayProxy(self.edge.addresses["public"], DELAY_MS) as proxy:
            target = f"http://{proxy.address}"
            done = self.run_scenario("smoke", TARGET=target, JUDGE="all")
            self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
            for endpoint in ("search", "suggest", "product"):
                self.assertRegex(
                    done.stdout, rf"BROKEN +http_req_duration\{{endpoint:{endpoint}\}}: p\(95\)<=\d+ is broken"
                )
            self.assertNotRegex(done.stdout, "BROKEN +unavailable")
            # Whoever judges errors alone finds none.
            done = self.run_scenario("smoke", TARGET=target, JUDGE="errors")
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_an_edge_that_dies_is_missed(self):
        threading.Thread(target=self._kill_when_asked, daemon=True).start()
        done = self.run_scenario("smoke", TARGET=self.edge.url(), JUDGE="errors", DURATION="8s", RATE="50")
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertRegex(done.stdout, r"BROKEN +unavailable\{service:edge\}")

    def _kill_when_asked(self):
        """Once suggestions were asked for, the run is under way."""
        wait_until(lambda: "suggest" in text_of(self.edge.log_path))
        self.edge.kill()


class OfItsOwn(WithFolder):
    def test_what_was_started_has_ended(self):
        done = self.run_scenario("smoke", JUDGE="errors")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        port = int(re.search(r"smoke on http://127.0.0.1:(\d+)", done.stdout)[1])
        self.assertFalse(is_open(port), "the edge still listens")
        with open(os.path.join(self.out, "smoke", "report.html"), encoding="utf-8") as report:
            self.assertIn("<html", report.read())

    def test_what_was_started_ends_when_the_run_is_ended(self):
        run = subprocess.Popen(
            self.command("smoke"),
            env=self.environment({"DURATION": "10m"}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        log = os.path.join(self.out, "smoke", "edge-1.log")
        port = wait_until(lambda: re.search(r'"public":"127.0.0.1:(\d+)"', text_of(log)))
        wait_until(lambda: os.path.exists(os.path.join(self.out, "smoke", "k6.log")))
        run.send_signal(signal.SIGTERM)
        run.communicate(timeout=DEADLINE_S)
        self.assertEqual(run.returncode, 2)
        self.assertFalse(is_open(int(port[1])), "the edge still listens")

    def test_all_faulty_settings_are_told_at_once(self):
        done = self.run_scenario("smoke", TARGET="shop", RATE="many", DURATION="5", JUDGE="some")
        self.assertEqual(done.returncode, 64, done.stdout + done.stderr)
        for name in ("TARGET", "RATE", "DURATION", "JUDGE"):
            self.assertIn(name, done.stderr)

    def test_orders_need_a_permission(self):
        done = self.run_scenario("checkout", TARGET="http://127.0.0.1:1", ALLOW_ORDERS="")
        self.assertEqual(done.returncode, 64, done.stdout + done.stderr)
        self.assertIn("ALLOW_ORDERS", done.stderr)

    def test_the_library_samples_as_it_says(self):
        program = k6.install(os.path.join(ROOT, ".tools", "k6"))
        script = os.path.join(TESTS, "sampling.js")
        done = subprocess.run(
            [program, "run", "--quiet", script],
            env={**os.environ, "K6_NO_USAGE_REPORT": "true"},
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


class Verdicts(unittest.TestCase):
    SLO = {
        "endpoints": {"search": {"p95_ms": 40, "p99_ms": 120}},
        "failover": {"recovery_s": 10},
        "soak": {"max_memory_growth": 0.1, "max_files_growth": 0.1, "max_p99_growth": 1.0},
    }

    def verdict(self, metrics):
        return Verdict({"metrics": metrics}, self.SLO, True)

    def test_a_run_without_requests_proves_nothing(self):
        verdict = self.verdict(
            {
                "http_req_duration{endpoint:search}": {"thresholds": {"p(95)<=40": False}},
                "unavailable{service:edge}": {
                    "passes": 0,
                    "fails": 0,
                    "value": 0,
                    "thresholds": {"rate<=0.0005": False},
                },
            }
        )
        verdict.judge("browse")
        self.assertEqual(verdict.faults, ["edge was never asked"])

    def test_failures_may_not_last(self):
        for last_s, faults in ((35, 0), (45, 1)):
            verdict = self.verdict({"unavailable_at_s": {"count": 5, "min": 30, "max": last_s}})
            verdict.failover(None)
            self.assertEqual(len(verdict.faults), faults)

    def test_nothing_may_grow(self):
        def measured(name, memory_kib, files, sockets):
            one = Measured(name)
            one.samples = [
                {
                    "at_s": at_s,
                    "cpu_s": 0,
                    "memory_kib": memory_kib(at_s),
                    "files": files(at_s),
                    "sockets": sockets(at_s),
                }
                for at_s in range(10, 1010, 10)
            ]
            return one

        def flat(_):
            return 100

        for grows, faults in (
            ((flat, flat, flat), []),
            ((lambda at_s: 100 + at_s / 10, flat, flat), ["memory_kib grew"]),
            ((flat, lambda at_s: 100 + at_s / 10, flat), ["files grew"]),
            ((flat, flat, lambda at_s: 100 + at_s / 10), ["sockets are open"]),
        ):
            verdict = self.verdict({})
            server, generator = measured("edge", *grows), measured("k6", flat, flat, flat)
            sampler = types.SimpleNamespace(measured=[server, generator])
            verdict.growth([server], sampler)
            self.assertEqual(len(verdict.faults), len(faults), verdict.faults)
            for fault, told in zip(faults, verdict.faults):
                self.assertIn(fault, told)

    def test_latency_may_not_grow(self):
        for last_ms, faults in ((15, 0), (25, 1)):
            verdict = self.verdict(
                {f"http_req_duration{{third:{third}}}": {"p(99)": p99} for third, p99 in ((1, 10), (3, last_ms))}
            )
            verdict.thirds()
            self.assertEqual(len(verdict.faults), faults)


def text_of(path):
    if not os.path.exists(path):
        return ""
    with open(path, encoding="utf-8") as file:
        return file.read()


def wait_until(condition):
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"it did not come about within {DEADLINE_S} s")


def is_open(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


if __name__ == "__main__":
    unittest.main()
