#!/usr/bin/env python3
"""How many nodes a region needs and what they cost a month, from measured processor time: prints a Markdown table.

    CPU of a request  = hits x cached + (1 - hits) x uncached + extra                 measured by 'make capacity'
    a node's requests = (vCPUs - reserved) x utilisation / (CPU x slowdown)           one vCPU is a thread, not a core
    a region's nodes  = requests, with those of a region that is lost, / a node's requests, + spare

Where a region is lost the others share its requests: each region is made for peak x regions / (regions - 1). Beside it
stands what the same searches need in Azure AI Search, one partition wide, behind a cache of one's own that answers as
many. All inputs are in capacity-inputs.json.
"""

import argparse
import json
import math
import os

HERE = os.path.dirname(os.path.abspath(__file__))
MEASURED_CONNECTIONS = 16
US_PER_S = 1_000_000


def cpu_us(measured, inputs):
    """Processor time of an average request on the machine that measured, in microseconds."""
    cached = next(row["cpu_us"] for row in measured["connections"] if row["connections"] == MEASURED_CONNECTIONS)
    hits = inputs["traffic"]["cache_hit_share"]
    return hits * cached + (1 - hits) * measured["uncached"]["mix"]["cpu_us"] + inputs["edge"]["extra_us_per_request"]


def node_requests_per_s(request_us, edge):
    usable_vcpus = (edge["node_vcpus"] - edge["reserved_vcpus"]) * edge["target_utilisation"]
    return usable_vcpus * US_PER_S / (request_us * edge["vcpu_slowdown"])


def nodes(requests_per_s, request_us, edge):
    return max(
        edge["least_nodes"], math.ceil(requests_per_s / node_requests_per_s(request_us, edge)) + edge["spare_nodes"]
    )


def search_service(requests_per_s, service):
    """The cheapest tier: its price a month, services (one may not have enough replicas), units, and its name."""
    offers = []
    for tier in service["tiers"]:
        needed = (
            requests_per_s
            * service["asked_share"]
            / (tier["queries_per_s_per_replica"] * service["target_utilisation"])
        )
        units = max(service["replicas_for_sla"], math.ceil(needed))
        services = math.ceil(units / service["replicas_per_service"])
        offers.append((units * tier["price_usd_per_unit_month"], services, units, tier["name"]))
    return min(offers)


def rows(measured, inputs):
    request_us, edge, regions = cpu_us(measured, inputs), inputs["edge"], inputs["traffic"]["regions"]
    surge = regions / (regions - 1) if regions > 1 else 1
    for peak in inputs["traffic"]["peak_requests_per_s_per_region"]:
        made_for = peak * surge
        count = nodes(made_for, request_us, edge)
        missed = made_for * (1 - inputs["traffic"]["cache_hit_share"])
        price, services, units, tier = search_service(missed, inputs["azure_ai_search"])
        yield [
            f"{peak:,}",
            f"{made_for:,.0f}",
            str(count),
            f"{count * edge['node_price_usd_per_month'] + edge['storage_usd_per_month']:,}",
            f"{units} x {tier}" + (f" in {services} services" if services > 1 else ""),
            f"{price:,}",
        ]


def report(measured, inputs):
    edge, service, traffic = inputs["edge"], inputs["azure_ai_search"], inputs["traffic"]
    request_us = cpu_us(measured, inputs)
    headers = [
        "peak requests/s of a region",
        "made for",
        f"nodes ({edge['node']})",
        "USD a month",
        "Azure AI Search units",
        "USD a month",
    ]
    lines = ["| " + " | ".join(headers) + " |", "| " + " | ".join(["---"] * len(headers)) + " |"]
    lines += ["| " + " | ".join(row) + " |" for row in rows(measured, inputs)]
    hits = f"{traffic['cache_hit_share']:.0%}"
    tiers = ", ".join(
        f"{tier['name']} {tier['queries_per_s_per_replica']} queries/s, {tier['price_usd_per_unit_month']} USD"
        for tier in service["tiers"]
    )
    answered = node_requests_per_s(request_us, edge)
    assumed = [
        f"{hits} answered before",
        f"{edge['extra_us_per_request']} us for {edge['extra_is'].split(':')[0]}",
        f"so a request takes {request_us:.0f} us",
        f"a vCPU {edge['vcpu_slowdown']} times as slow",
        f"{edge['target_utilisation']:.0%} busy at the peak",
        f"{edge['reserved_vcpus']} vCPUs of a node for {edge['reserved_for']}",
        f"{edge['spare_nodes']} spare",
        f"one of {traffic['regions']} regions lost",
    ]
    lines += [
        "",
        f"Measured {measured['measured_on']}; assumed {inputs['assumed_on']}: {'; '.join(assumed)}. A node answers "
        f"{answered:,.0f} requests/s and costs {edge['node_price_usd_per_month']} USD a month. Azure AI Search: "
        f"{service['asked_share']:.0%} of the requests, {hits} of them answered by a cache before it, "
        f"{service['target_utilisation']:.0%} busy; a replica of {tiers}: rules of thumb, as none are published.",
    ]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--measured", default=os.path.join(HERE, "..", "target", "load", "capacity.json"), metavar="FILE"
    )
    parser.add_argument("--inputs", default=os.path.join(HERE, "capacity-inputs.json"), metavar="FILE")
    options = parser.parse_args()
    with open(options.measured, encoding="utf-8") as measured, open(options.inputs, encoding="utf-8") as inputs:
        print(report(json.load(measured), json.load(inputs)))


if __name__ == "__main__":
    main()
