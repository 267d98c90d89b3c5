"""The capacity model by hand, and the traffic that capacity drives."""

import importlib.machinery
import importlib.util
import os
import sys
import tempfile
import unittest

LOADTESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, LOADTESTS)

from runner.traffic import read_queries  # noqa: E402


def load(name):
    """A program as a module."""
    loader = importlib.machinery.SourceFileLoader(name.split(".")[0].replace("-", "_"), os.path.join(LOADTESTS, name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


model = load("capacity-model.py")
capacity = load("capacity")

EDGE = {
    "node_vcpus": 2,
    "reserved_vcpus": 0.5,
    "target_utilisation": 0.5,
    "vcpu_slowdown": 1.5,
    "spare_nodes": 1,
    "least_nodes": 2,
    "extra_us_per_request": 50,
}


class Model(unittest.TestCase):
    def test_a_request_costs_what_its_parts_cost(self):
        measured = {"connections": [{"connections": 16, "cpu_us": 20}], "uncached": {"mix": {"cpu_us": 300}}}
        inputs = {"traffic": {"cache_hit_share": 0.25}, "edge": EDGE}
        self.assertAlmostEqual(model.cpu_us(measured, inputs), 0.25 * 20 + 0.75 * 300 + 50)

    def test_nodes_are_rounded_up_and_have_a_spare(self):
        # (2 - 0.5) vCPUs half busy are 0.75 s a second; 100 us at 1.5 times are 150 us: 5,000 requests.
        self.assertAlmostEqual(model.node_requests_per_s(100, EDGE), 5_000)
        for requests_per_s, count in ((100, 2), (5_000, 2), (5_001, 3), (20_000, 5)):
            self.assertEqual(model.nodes(requests_per_s, 100, EDGE), count)

    def test_the_cheapest_tier_is_taken(self):
        service = {
            "asked_share": 0.5,
            "target_utilisation": 0.5,
            "replicas_for_sla": 3,
            "replicas_per_service": 12,
            "tiers": [
                {"name": "small", "queries_per_s_per_replica": 10, "price_usd_per_unit_month": 100},
                {"name": "large", "queries_per_s_per_replica": 100, "price_usd_per_unit_month": 500},
            ],
        }
        self.assertEqual(model.search_service(20, service), (300, 1, 3, "small"))
        # 2,000 requests are 1,000 queries: 200 small units, or 20 large ones in two services.
        self.assertEqual(model.search_service(2_000, service), (10_000, 2, 20, "large"))


class Capacity(unittest.TestCase):
    def test_the_bottleneck_is_who_is_full(self):
        for edge, wrk, other, said in (
            (0.5, 0.95, 0.1, "wrk"),
            (1.8, 0.05, 0, "edge"),
            (0.9, 0.3, 0.7, "the machine is full, most of it by edge"),
            (0.2, 0.1, 1.6, "the machine is full, most of it by other"),
            (0.5, 0.3, 0, "nobody"),
        ):
            row = {"edge_cores": edge, "wrk_cores": wrk, "other_cores": other}
            self.assertTrue(capacity.bottleneck(row, 2).startswith(said), (row, capacity.bottleneck(row, 2)))

    def test_queries_are_read_in_every_form(self):
        for text, queries in (
            ("# words\nsofa\nlamp\n\n", ["sofa", "lamp"]),
            ("sofa\t1\nlamp\t7\n", ["lamp", "sofa"]),
            ("shop\tsofa\t\nshop\tlamp\t2\n", ["lamp", "sofa"]),
        ):
            with tempfile.NamedTemporaryFile("w", suffix=".tsv") as file:
                file.write(text)
                file.flush()
                self.assertEqual(read_queries(file.name), queries)

    def test_latencies_are_read_in_every_unit(self):
        said = "  Latency Distribution\n     50%  251.00us\n     99%    1.20ms\n"
        self.assertEqual((capacity.latency_ms(said, "50"), capacity.latency_ms(said, "99")), (0.251, 1.2))


if __name__ == "__main__":
    unittest.main()
