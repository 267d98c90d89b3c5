"""Paths to ask an edge for, in the proportions of mix.json, for wrk. lib/mix.js does the same for k6."""

import itertools
import json
import random
import urllib.parse
import urllib.request

ASKED_QUERIES = 20
PAGE = {"per_page": 24, "facets": "*", "facet_limit": 12, "highlight": "title", "distinct": "true"}


class Traffic:
    """What a shop of one's own is asked, learned from the shop itself."""

    def __init__(self, target, query_file, mix_file, seed=1):
        self.target = target
        self.random = random.Random(seed)
        self.queries = read_queries(query_file)
        self.weights = list(itertools.accumulate(1 / rank for rank in range(1, len(self.queries) + 1)))
        with open(mix_file, encoding="utf-8") as file:
            self.mix = {kind: parts for kind, parts in json.load(file).items() if kind != "about"}
        self.ids, self.refined = [], []
        for query in self.queries[:ASKED_QUERIES]:
            answer = self._ask({**PAGE, "q": query})
            self.ids += [hit["id"] for hit in answer["hits"] if hit["id"] not in self.ids]
            for facet, counted in answer["facets"].items():
                values = [value["value"] for value in counted.get("values", [])[:3]]
                self.refined += [
                    (query, f"{facet}:{json.dumps(value)}") for value in values if isinstance(value, str)
                ]
        [market] = self._get("/v1/snapshot")["markets"][:1]
        self.sorts = market["sorts"]
        if not self.ids:
            raise ValueError("none of the first queries finds a product: give QUERIES that fit the catalogue")

    def _get(self, path):
        with urllib.request.urlopen(self.target + path, timeout=10) as answer:
            return json.load(answer)

    def _ask(self, params):
        return self._get(search_path(params))

    def _query(self):
        return self.random.choices(self.queries, cum_weights=self.weights)[0]

    def _id(self):
        # Zipf's law with exponent 1, in closed form.
        return self.ids[min(len(self.ids) - 1, int((len(self.ids) + 1) ** self.random.random()) - 1)]

    def path(self, kind):
        if kind == "suggest":
            query = self._query()
            query = query[: self.random.randint(min(2, len(query)), len(query))]
            params = {"q": query, "limit": 6, "products": 3, "fields": "id,title,price,images"}
            return "/v1/suggest?" + urllib.parse.urlencode(params)
        if kind in ("product", "similar"):
            product = urllib.parse.quote(self._id(), safe="")
            return f"/v1/products/{product}" + ("/similar?limit=4" if kind == "similar" else "")
        if kind == "categories":
            return "/v1/categories"
        if kind == "search_refined":
            query, filters = self.random.choice(self.refined)
            return search_path({**PAGE, "q": query, "filters": filters})
        more = {
            "search_next_page": {"page": 2},
            "search_sorted": {"sort": self.random.choice(self.sorts or ["relevance"])},
        }
        return search_path({**PAGE, "q": self._query(), **more.get(kind, {})})

    def mixed(self, count):
        kinds = self.random.choices(list(self.mix), weights=list(self.mix.values()), k=count)
        return [self.path(kind) for kind in kinds]

    def of_kind(self, kind, count):
        return [self.path(kind) for _ in range(count)]


def search_path(params):
    return "/v1/search?" + urllib.parse.urlencode(params)


def read_queries(path):
    """The forms that lib/sampling.js takes, the most frequent first."""
    rows = []
    with open(path, encoding="utf-8") as file:
        for line in file:
            cells = line.rstrip("\n").split("\t")
            if line.strip() and not line.startswith("#"):
                query, count = (cells[1:] if len(cells) > 2 else [*cells, ""])[:2]
                rows.append((float(count or 0), query.strip()))
    return [query for _, query in sorted(rows, key=lambda row: -row[0]) if query]
