"""Reads k6's summary, and tells in a few lines what came of a run."""

import os
import re

PHASES = [
    "before",
    "spike",
    *(f"step_{number}" for number in range(1, 100)),
    "third 1",
    "third 2",
    "third 3",
    "after",
]

# In less time caches are still filling.
SOAK_LEAST_S = 600
SOAK_BEGINS = 0.25
SOAK_ENDS = 0.9
OWN_SOCKETS = 16


class Verdict:
    """What is wrong, and the tables that show it."""

    def __init__(self, summary, slo, judges_latency):
        self.metrics = summary["metrics"]
        self.slo = slo
        self.judges_latency = judges_latency
        self.faults = []
        self.lines = []

    def judge(self, scenario):
        self._endpoints(scenario)
        self._phases()
        self._thresholds()

    def metric(self, name):
        return self.metrics.get(name, {})

    def _tagged(self, metric):
        """Values of a metric by the tags in its name, each as {tag: value}."""
        for name, values in self.metrics.items():
            found = re.fullmatch(re.escape(metric) + r"\{(.*)\}", name)
            if found:
                yield dict(pair.split(":", 1) for pair in found[1].split(",")), values

    def _endpoints(self, scenario):
        rows = []
        for endpoint in self.slo["endpoints"]:
            latency = self.metrics.get(f"http_req_duration{{endpoint:{endpoint}}}")
            if latency is None:
                continue
            lost = self.metric(f"unavailable{{endpoint:{endpoint}}}")
            asked = lost.get("passes", 0) + lost.get("fails", 0)
            promised = self.slo["endpoints"][endpoint]
            if not asked and scenario == "smoke":
                self.faults.append(f"{endpoint} was never asked")
            rows.append(
                [
                    endpoint,
                    f"{asked:,}",
                    ms(latency.get("med")),
                    f"{ms(latency.get('p(95)'))} ({promised['p95_ms']})",
                    f"{ms(latency.get('p(99)'))} ({promised['p99_ms']})",
                    percent(lost.get("value", 0)),
                ]
            )
        for tags, lost in self._tagged("unavailable"):
            if "service" in tags and not lost.get("passes", 0) + lost.get("fails", 0):
                self.faults.append(f"{tags['service']} was never asked")
        self.lines += table(
            ["endpoint", "requests", "p50 ms", "p95 ms (promised)", "p99 ms (promised)", "unavailable"], rows
        )

    def _phases(self):
        rows = []
        for tags, latency in self._tagged("http_req_duration"):
            if list(tags) not in (["scenario"], ["third"]):
                continue
            [(kind, name)] = tags.items()
            lost = self.metric(f"unavailable{{{kind}:{name}}}").get("value")
            dropped = self.metric(f"dropped_iterations{{{kind}:{name}}}").get("count")
            shown = f"{kind} {name}" if kind == "third" else name
            row = [shown, f"{latency.get('count', 0):,.0f}", "-" if dropped is None else f"{dropped:,.0f}"]
            row += [ms(latency.get(statistic)) for statistic in ("med", "p(95)", "p(99)")]
            rows.append([*row, "-" if lost is None else percent(lost)])
        if rows:
            rows.sort(key=lambda row: PHASES.index(row[0]) if row[0] in PHASES else 0)
            self.lines += [
                "",
                *table(["phase", "requests", "not begun", "p50 ms", "p95 ms", "p99 ms", "unavailable"], rows),
            ]

    def _thresholds(self):
        for name, values in sorted(self.metrics.items()):
            for condition, is_broken in values.get("thresholds", {}).items():
                if is_broken:
                    self.faults.append(f"{name}: {condition} is broken: {value_of(values, condition)}")

    def purchases(self):
        outcomes = {
            tags["outcome"]: values.get("count", 0) for tags, values in self._tagged("purchases") if "outcome" in tags
        }
        if outcomes:
            told = ", ".join(f"{count:,.0f} {outcome}" for outcome, count in outcomes.items() if count) or "none"
            paid = self.metric("order_paid_s")
            self.lines.append(
                f"purchases: {told}; paid after {paid.get('med', 0):.2f} s (p50), {paid.get('p(99)', 0):.2f} s (p99)"
            )

    def publishes(self, publisher):
        seen = self.metric("snapshots_seen").get("count", 0)
        fresh = self.metric("freshness_s")
        if seen:
            self.lines.append(
                f"snapshots seen: {seen:.0f}, at an age of {fresh.get('med', 0):.0f} s (p50), "
                f"{fresh.get('max', 0):.0f} s (at most)"
            )
        if publisher:
            self.lines.append(f"published: {publisher.count} times")
            self.faults += [f"a publish failed: {fault}" for fault in publisher.faults]
            if not publisher.count or not seen:
                self.faults.append("no publish was seen: make DURATION longer, or PUBLISH_EVERY_S shorter")

    def failover(self, loss):
        """Failures of a lost region must end soon after they began."""
        lost, retried = self.metric("unavailable_at_s"), self.metric("retried").get("count", 0)
        count = lost.get("count", 0)
        if not count:
            self.lines.append(f"no request was lost; {retried:,.0f} were answered by the other region")
        else:
            lasted = lost["max"] - lost["min"]
            self.lines.append(
                f"{count:,.0f} requests were lost, within {lasted:.1f} s; {retried:,.0f} were tried in the other region"
            )
            if lasted > self.slo["failover"]["recovery_s"]:
                self.faults.append(
                    f"requests were lost for {lasted:.1f} s, more than {self.slo['failover']['recovery_s']}"
                )
        if loss:
            if loss.fault:
                self.faults.append(loss.fault)
            if not count and not retried:
                self.faults.append("nothing noticed that a region was lost: make DURATION or RATE larger")

    def resources(self, sampler):
        for one in sampler.measured:
            if one.samples:
                memory = max(sample["memory_kib"] for sample in one.samples) / 1024
                files = max(sample["files"] for sample in one.samples)
                sockets = max(sample["sockets"] for sample in one.samples)
                took = f"{one.cores():.2f} cores, at most {memory:.0f} MiB, {files} files and {sockets} sockets"
                self.lines.append(f"{one.name}: {took}")
        others = sampler.busy_cores - sum(one.cores() for one in sampler.measured)
        self.lines.append(
            f"this machine: {os.cpu_count()} cores, of which all other processes took {max(others, 0):.2f}"
        )

    def growth(self, servers, sampler):
        [generator] = [one for one in sampler.measured if one.name == "k6"]
        for server in servers:
            if server.samples:
                self._growth(server)
                self._sockets(server, generator)

    def knee(self, rate, sampler):
        """The last step of a ramp before one that broke a promise. Steps are equal parts of the highest rate."""
        steps = [name for name in self.metrics if re.fullmatch(r"unavailable\{scenario:step_\d+\}", name)]
        at_most = self.slo["endpoints"]["search"]["p99_ms"]
        held = 0
        for number in range(1, len(steps) + 1):
            tag = f"{{scenario:step_{number}}}"
            latency, lost = self.metric("http_req_duration" + tag), self.metric("unavailable" + tag)
            late = self.metric("dropped_iterations" + tag).get("count", 0) / max(latency.get("count", 0), 1)
            if latency.get("p(99)", 0) > at_most or lost.get("value", 0) > 0.001 or late > 0.01:
                break
            held = number
        at = rate * held / max(len(steps), 1)
        said = "the highest asked for" if held == len(steps) else "the last step before one of them broke"
        self.lines.append(
            f"knee: {at:,.0f} requests/s ({said}: p99 up to {at_most} ms, 0.1% unanswered and 1% not begun at the most)"
        )
        took = {one.name: one.cores() for one in sampler.measured}
        generator = took.pop("k6", 0)
        if took and generator > sum(took.values()):
            self.lines.append(
                "k6 took more than the edge beside it: this is the knee of k6; 'make capacity' finds the edge's"
            )

    def _growth(self, server):
        """From after a quarter of the time on, when caches are full, to the end."""
        for name, bound in (("memory_kib", "max_memory_growth"), ("files", "max_files_growth")):
            before, after = mean(server, name, SOAK_BEGINS, SOAK_BEGINS + 0.1), mean(server, name, SOAK_ENDS, 1)
            self.lines.append(f"{server.name}: {name} {before:,.0f} -> {after:,.0f}")
            is_judged = server.samples[-1]["at_s"] >= SOAK_LEAST_S
            if is_judged and before and after / before - 1 > self.slo["soak"][bound]:
                self.faults.append(f"{server.name}: {name} grew from {before:,.0f} to {after:,.0f}")

    def _sockets(self, server, generator):
        """A server may have as many connections as its clients keep, and a few of its own."""
        has, may = mean(server, "sockets", SOAK_ENDS, 1), mean(generator, "sockets", SOAK_ENDS, 1) + OWN_SOCKETS
        if has > may:
            self.faults.append(f"{server.name}: {has:,.0f} sockets are open, and k6 accounts for {may:,.0f}")

    def thirds(self):
        first, last = (self.metric(f"http_req_duration{{third:{third}}}").get("p(99)", 0) for third in (1, 3))
        if self.judges_latency and first and last / first - 1 > self.slo["soak"]["max_p99_growth"]:
            self.faults.append(f"p99 went from {ms(first)} to {ms(last)} ms over the run")


def mean(measured, name, begin, end):
    """Of samples from a part of the time to another."""
    end_s = measured.samples[-1]["at_s"]
    part = [sample[name] for sample in measured.samples if begin <= sample["at_s"] / end_s <= end]
    return sum(part) / max(len(part), 1)


def value_of(values, condition):
    """What a threshold was compared with."""
    name = re.split(r"[<>=]", condition)[0]
    value = values.get({"rate": "value"}.get(name, name), values.get("value"))
    return "no value" if value is None else f"{value:.6g}"


def ms(value):
    return "-" if value is None else f"{value:.2f}" if value < 10 else f"{value:.0f}"


def percent(share):
    return f"{share * 100:.3f}%"


def table(headers, rows):
    """Columns, the first to the left and numbers to the right."""
    widths = [max(len(row[place]) for row in [headers, *rows]) for place in range(len(headers))]
    pad = lambda place, cell: cell.ljust(widths[place]) if place == 0 else cell.rjust(widths[place])  # noqa: E731
    return ["  ".join(pad(place, cell) for place, cell in enumerate(row)).rstrip() for row in [headers, *rows]]
