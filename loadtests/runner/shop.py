"""A demo shop for one run: a store of its own, edges, and to place orders a checkout with a simulator of Stripe."""

import itertools
import json
import os
import random
import shutil
import subprocess
import tempfile
import threading
import urllib.request

from .processes import Server, StartError

WEBHOOK_SECRET = "whsec_loadtests"
STRIPE_REQUESTS_PER_S = 1000
POLL_INTERVAL_MS = 5000


class Shop:
    """Everything lies in one folder, which goes with the shop."""

    def __init__(self, binaries, demo, logs):
        self.binaries = binaries
        self.demo = demo
        self.logs = logs
        self.servers = []
        for needed in (
            os.path.join(demo, "store"),
            os.path.join(demo, "shop", "products.jsonl"),
            self.program("edge"),
        ):
            if not os.path.exists(needed):
                raise StartError(f"there is no {needed}: 'make demo' makes it")
        self.folder = tempfile.mkdtemp(prefix="vitrine-load-")

    def program(self, name):
        return os.path.join(self.binaries, name)

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    @property
    def store(self):
        return f"file://{self.path('store')}"

    def _start(self, server):
        self.servers.append(server)
        return server.start()

    def start_edges(self, count, more=()):
        if not os.path.exists(self.path("store")):
            # A copy: what a run publishes is nobody else's business.
            shutil.copytree(os.path.join(self.demo, "store"), self.path("store"))
        return [self._start_edge(number, "127.0.0.1:0", more) for number in range(1, count + 1)]

    def _start_edge(self, number, listen, more):
        name = f"edge-{number}"
        command = [
            self.program("edge"),
            "--market",
            f"demo={self.store}",
            "--cache-dir",
            self.path(name),
            "--listen",
            listen,
            "--admin-listen",
            "127.0.0.1:0",
            "--poll-interval-ms",
            str(POLL_INTERVAL_MS),
            "--drain-ms",
            "0",
            "--node",
            name,
            *more,
        ]
        edge = self._start(Server(name, command, os.path.join(self.logs, f"{name}.log")))
        edge.wait_until_healthy("/healthz")
        # Once it is known, the port stays: a node that comes back has its old address.
        edge.command[edge.command.index("--listen") + 1] = edge.addresses["public"]
        return edge

    def start_checkout(self, edge):
        """A simulator of Stripe without a limit, and a checkout on SQLite with the demo's stock."""
        sim = self._start(
            Server(
                "stripe-sim",
                [self.program("stripe-sim"), "--listen", "127.0.0.1:0", "--rate-limit", "0", "--log", "info"],
                os.path.join(self.logs, "stripe-sim.log"),
            )
        )
        stock = os.path.join(self.demo, "shop", "stock.csv")
        self.call("checkout", "stock", "import", "--data-dir", self.path("checkout"), stock)
        command = [
            self.program("checkout"),
            "serve",
            "--data-dir",
            self.path("checkout"),
            "--listen",
            "127.0.0.1:0",
            "--admin-listen",
            "127.0.0.1:0",
            "--drain-ms",
            "0",
            "--stripe-requests-per-s",
            str(STRIPE_REQUESTS_PER_S),
        ]
        environment = {
            "STRIPE_SECRET_KEY": "sk_test_loadtests",
            "STRIPE_WEBHOOK_SECRET": WEBHOOK_SECRET,
            "STRIPE_API_URL": sim.url(),
            "EDGE_URL": edge.url(),
        }
        checkout = self._start(Server("checkout", command, os.path.join(self.logs, "checkout.log"), environment))
        checkout.wait_until_healthy("/checkout/healthz")
        hook = {"url": f"{checkout.url()}/checkout/webhooks/stripe", "secret": WEBHOOK_SECRET}
        request = urllib.request.Request(
            f"{sim.url()}/sim/webhooks/endpoints", json.dumps(hook).encode(), method="POST"
        )
        urllib.request.urlopen(request, timeout=5).close()
        return checkout, sim

    def verify_orders(self):
        """The books against each other, once nobody writes them. What is wrong, or None."""
        next(server for server in self.servers if server.name == "checkout").stop()
        found = subprocess.run(
            [self.program("checkout"), "verify", "--data-dir", self.path("checkout")],
            capture_output=True,
            text=True,
            check=False,
        )
        return None if found.returncode == 0 else (found.stdout + found.stderr).strip()

    def call(self, name, *arguments):
        done = subprocess.run([self.program(name), *arguments], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise StartError(f"{name} {' '.join(arguments[:2])} failed:\n{done.stdout}{done.stderr}")
        return done.stdout

    def close(self):
        for server in reversed(self.servers):
            server.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


class Publisher:
    """Publishes again and again while it is entered: some prices of the demo shop, or whatever a command does."""

    # All changes are to so many products: updates on top of a base cost memory, which is not to be mistaken for a leak.
    CHANGING_PRODUCTS = 100
    CHANGED_PRODUCTS = 50
    COMMAND_TIMEOUT_S = 120

    def __init__(self, every_s, shop=None, command=None):
        self.every_s = every_s
        self.shop = shop
        self.command = command
        self.count = 0
        self.faults = []
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.random = random.Random(1)
        self.rows = []
        if shop:
            with open(os.path.join(shop.demo, "shop", "products.jsonl"), encoding="utf-8") as file:
                self.rows = list(itertools.islice(file, self.CHANGING_PRODUCTS))

    def _run(self):
        while not self.ended.wait(self.every_s):
            try:
                self._publish()
                self.count += 1
            except (StartError, subprocess.SubprocessError) as error:
                self.faults.append(str(error))

    def _publish(self):
        if self.command:
            subprocess.run(
                self.command, shell=True, check=True, timeout=self.COMMAND_TIMEOUT_S, stdout=subprocess.DEVNULL
            )
            return
        changes, built = self.shop.path("changes.jsonl"), self.shop.path("built")
        with open(changes, "w", encoding="utf-8") as file:
            for row in self.random.sample(self.rows, min(self.CHANGED_PRODUCTS, len(self.rows))):
                product = json.loads(row)
                cents = round(float(product["price"]) * 100 * self.random.uniform(0.95, 1.05))
                product["price"] = f"{cents // 100}.{cents % 100:02}"
                product.pop("list_price", None)
                file.write(json.dumps(product) + "\n")
        rejects = self.shop.path("rejects.jsonl")
        base = [] if os.path.exists(built) else ["--base", self.shop.store]
        self.shop.call("indexer", "update", *base, "--out", built, "--rejects", rejects, changes)
        self.shop.call("indexer", "publish", "--store", self.shop.store, built)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()


class RegionLoss:
    """Kills an edge half-way through a run, and starts it again at three quarters."""

    def __init__(self, edge, duration_s):
        self.edge = edge
        self.duration_s = duration_s
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.fault = None

    def _run(self):
        if self.ended.wait(self.duration_s / 2):
            return
        self.edge.kill()
        if self.ended.wait(self.duration_s / 4):
            return
        try:
            self.edge.start().wait_until_healthy("/healthz")
        except StartError as error:
            self.fault = str(error)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()
