# Thin names for real commands. `make help` lists them.

CARGO ?= cargo
DEMO ?= .demo
DEMO_PRODUCTS ?= 50000
LISTEN ?= 127.0.0.1:8080
ADMIN_LISTEN ?= 127.0.0.1:8081
# Not TARGET: that is where load tests go.
BUILT := $(or $(CARGO_TARGET_DIR),target)
RELEASE := $(BUILT)/release
DEMO_STORE = file://$(abspath $(DEMO))/store
BENCH_OUT ?= $(abspath $(BUILT))/bench
BASE_TREE = $(abspath $(BUILT))/base
PRODUCTS ?= 200000
ROUNDS ?= 50
TARGETS ?= manifest pointer liveness rows settings segment webhook checkout_bodies
FUZZ_SECONDS ?= 60
SECONDS ?= 60
SIZES ?= 10000,30000,100000,300000,1000000
OPENED ?= 1000000
STAGES_PRODUCTS ?= 10000,100000
PEER = $(BENCH_OUT)/peer
PEER_STORE = $(if $(CATALOGUE),file://$(PEER)/store,$(DEMO_STORE))
SCENARIO ?= smoke
LOAD_OUT ?= $(abspath $(BUILT))/load
LOAD_FOLDERS = --binaries $(abspath $(RELEASE)) --demo $(abspath $(DEMO)) --out $(LOAD_OUT)

.PHONY: help run demo test test-data relevance check fmt deny advisories bench bench-growth bench-limits bench-compare bench-peer bench-publish bench-checkout fuzz torture instructions load test-load capacity regions-up regions-down drill test-drills wrk h2load clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: demo ## build, make a demo shop, serve it on http://127.0.0.1:8080 with a checkout and a Stripe for tests
	@exec infra/demo.sh $(abspath $(RELEASE)) $(abspath $(DEMO)) $(LISTEN) $(ADMIN_LISTEN)

demo: ## build the binaries and publish the demo shop
	$(CARGO) build --release --locked --bins
	@made="$(DEMO_PRODUCTS) $$(cksum < $(RELEASE)/indexer)"; \
	if [ "$$(cat $(DEMO)/made 2>/dev/null)" != "$$made" ]; then \
		set -e; rm -rf $(DEMO); mkdir -p $(DEMO)/store; \
		$(RELEASE)/indexer demo-catalogue --products $(DEMO_PRODUCTS) --seed 1 --out $(DEMO)/shop; \
		$(RELEASE)/indexer build --catalogue $(DEMO)/shop/catalogue.toml --rejects $(DEMO)/rejects.jsonl \
			--out $(DEMO)/snapshot $(DEMO)/shop/products.jsonl; \
		$(RELEASE)/indexer publish --store file://$(abspath $(DEMO))/store $(DEMO)/snapshot; \
		echo "$$made" > $(DEMO)/made; \
	fi

test: check ## check style, then run all tests; installs and starts what they need
	$(CARGO) test --workspace --locked

test-data: ## run what needs the real catalogues: make test-data DATA=folder
	@test -d "$(DATA)" || { echo "make test-data: DATA=$(DATA) is no folder; give the one with chorus, homedepot and livostyle"; exit 1; }
	VITRINE_DATA=$(abspath $(DATA)) $(CARGO) test --workspace --locked --test data

relevance: ## score the real catalogues' judged queries, against floors: make relevance DATA=folder
	@test -d "$(DATA)" || { echo "make relevance: DATA=$(DATA) is no folder; give the one with chorus, homedepot and livostyle"; exit 1; }
	VITRINE_DATA=$(abspath $(DATA)) $(CARGO) test --workspace --locked --test data -- --nocapture --test-threads 1 relevance_of

# --all-targets leaves out what is not tested by default: the tests that need the real catalogues.
check: ## formatting and lints
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- --deny warnings
	$(CARGO) clippy --workspace --test data --locked -- --deny warnings

fmt: ## format the code
	$(CARGO) fmt --all

deny: ## licences, sources and bans of all dependencies
	@command -v cargo-deny >/dev/null || $(CARGO) install --locked cargo-deny
	$(CARGO) deny --locked check bans licenses sources

advisories: deny ## known vulnerabilities of dependencies; needs the network
	$(CARGO) deny --locked check advisories

bench: demo wrk h2load ## measure: in-process stages and steps of shops of STAGES_PRODUCTS=10000,100000, then the edge under wrk and h2load beside a fixed-body server
	$(CARGO) bench --workspace --locked --bench stages -- $(BENCH_ARGS)
	@set -e; for products in $$(echo $(STAGES_PRODUCTS) | tr , ' '); do \
		size=$$((products / 1000))k; \
		$(MAKE) demo DEMO=$(DEMO)-$$size DEMO_PRODUCTS=$$products; \
		$(CARGO) bench --workspace --locked --bench requests -- --store file://$(abspath $(DEMO))-$$size/store; \
	done
	$(CARGO) bench --workspace --locked --bench serving -- --store $(DEMO_STORE) --out $(BENCH_OUT)

bench-growth: demo wrk ## plot cost and latency over catalogue size and connections: make bench-growth SIZES=10000,100000; up to 2000000 with room on the disk; DATA=folder takes real products and queries
	$(CARGO) bench --workspace --locked --bench serving -- --store $(DEMO_STORE) --out $(BENCH_OUT) \
		--seconds 2 --indexer $(abspath $(RELEASE))/indexer --sizes $(SIZES) \
		$(if $(DATA),--data $(abspath $(DATA)),--sweep-connections 1,4,16,64,256)

bench-limits: demo wrk ## tell what is wanted beside what is reached: serving, overload, updates, typos, suggestions, swaps, builds, opening, digests, memory: make bench-limits OPENED=1000000; ONLY=swaps is one group of them (building, serving, updates, typos, suggestions, large)
	$(CARGO) bench --workspace --locked --bench serving -- --store $(DEMO_STORE) --out $(BENCH_OUT) \
		--indexer $(abspath $(RELEASE))/indexer --limits $(DEMO_PRODUCTS) --opened $(OPENED) $(if $(ONLY),--only $(ONLY))

bench-compare: demo wrk h2load ## drive this edge and another revision's in turn: make bench-compare BASE=revision
	@test -n "$(BASE)" || { echo "make bench-compare: which revision? BASE=main~1, say"; exit 1; }
	@test ! -d $(BASE_TREE) || git worktree remove --force $(BASE_TREE)
	@git worktree prune # what make clean has deleted is still registered
	git worktree add --detach $(BASE_TREE) $(BASE)
	CARGO_TARGET_DIR=$(BASE_TREE)-target $(MAKE) -C $(BASE_TREE) demo DEMO_PRODUCTS=$(DEMO_PRODUCTS)
	$(CARGO) bench --workspace --locked --bench serving -- --store $(DEMO_STORE) --out $(BENCH_OUT) \
		--base-edge $(BASE_TREE)-target/release/edge --base-store file://$(BASE_TREE)/.demo/store

# The URL may hold a password: what make shows is the name of the variable.
bench-peer: demo ## ask a search server that you run what is asked of this edge: make bench-peer KIND=meilisearch|typesense|postgres URL=http://127.0.0.1:7700, PEER_PID=its process, KEEP=1 keeps its index, CATALOGUE=toml ROWS=jsonl of your own
	@test -n "$(KIND)" && test -n "$(URL)" || { echo "make bench-peer: which peer? KIND=meilisearch URL=http://127.0.0.1:7700, say"; exit 1; }
	$(if $(CATALOGUE),rm -rf $(PEER) && mkdir -p $(PEER)/store)
	$(if $(CATALOGUE),$(RELEASE)/indexer build --catalogue $(abspath $(CATALOGUE)) --rejects $(PEER)/rejects.jsonl --out $(PEER)/built $(abspath $(ROWS)))
	$(if $(CATALOGUE),$(RELEASE)/indexer publish --store $(PEER_STORE) $(PEER)/built)
	$(CARGO) bench --workspace --locked --bench serving -- --store $(PEER_STORE) --out $(BENCH_OUT) --connections 8 \
		--peer "$(KIND)" --peer-url "$$URL" $(if $(PEER_PID),--peer-process $(PEER_PID)) $(if $(KEEP),--keep yes)

bench-publish: ## measure updates: bytes, time until served, rollbacks, failures: make bench-publish PRODUCTS=200000 ROUNDS=50, or CATALOGUE=toml ROWS=jsonl of your own
	$(CARGO) build --release --locked --bins
	$(CARGO) bench --workspace --locked --bench publishing -- --indexer $(abspath $(RELEASE))/indexer \
		--products $(PRODUCTS) --rounds $(ROUNDS) --out $(BENCH_OUT)/publish \
		--catalogue "$(if $(CATALOGUE),$(abspath $(CATALOGUE)))" --rows "$(if $(ROWS),$(abspath $(ROWS)))"

bench-checkout: ## measure orders and holds beside pgbench with the same statements, waits, recovery, Stripe's limit
	$(CARGO) bench --locked -p checkout --bench orders -- --out $(BENCH_OUT)/checkout

# Targets write files and sync them: where there is memory for that, they are not slowed by a disk.
fuzz: ## feed random bytes to everything that reads foreign ones: make fuzz TARGETS="segment rows" FUZZ_SECONDS=60
	@command -v cargo-fuzz >/dev/null || $(CARGO) install --locked cargo-fuzz
	@rustup toolchain list | grep -q nightly || { echo "make fuzz: cargo-fuzz needs the nightly toolchain: rustup toolchain install nightly"; exit 1; }
	rm -rf $(DEMO)-fuzz && mkdir -p $(DEMO)-fuzz/store
	$(CARGO) build --locked --bin indexer
	@set -e; for target in manifest pointer liveness rows settings segment webhook checkout_bodies; do mkdir -p fuzz/corpus/$$target; done; \
	indexer=$(BUILT)/debug/indexer; shop=$(DEMO)-fuzz/shop; built=$(DEMO)-fuzz/built; \
	$$indexer demo-catalogue --products 30 --out $$shop; \
	$$indexer build --catalogue $$shop/catalogue.toml --rejects $(DEMO)-fuzz/rejects.jsonl --out $$built $$shop/products.jsonl; \
	$$indexer publish --store file://$(abspath $(DEMO))-fuzz/store $$built; \
	cp $$(grep -l VITRSEGM $$built/objects/*) fuzz/corpus/segment/; \
	cp $(DEMO)-fuzz/store/channels/live.json fuzz/corpus/pointer/; \
	tail -1 $$shop/products.jsonl | sed 's/.*"id":"\([^"]*\)".*/{"delete":"\1"}/' > $(DEMO)-fuzz/changes.jsonl; \
	$$indexer update --rejects $(DEMO)-fuzz/rejects.jsonl --out $$built $(DEMO)-fuzz/changes.jsonl; \
	cp $$(grep -l VITRLIVE $$built/objects/*) fuzz/corpus/liveness/; cp $$built/snapshots/*.json fuzz/corpus/manifest/; \
	{ printf 0; head -3 $$shop/products.jsonl; } > fuzz/corpus/rows/jsonl; \
	printf '1id,title,price,brand\n7,"a, ""b""",12.50,Acme\n' > fuzz/corpus/rows/csv; \
	printf '2id\ttitle\tattributes.color\n7\ta\tred\n' > fuzz/corpus/rows/tsv; \
	printf '3id\ttitle\tprice\tsale_price\tproduct_detail\n7\ta\t15.00 USD\t12.00 USD\tGeneral:Socket:E27\n' > fuzz/corpus/rows/google_tsv; \
	printf '3<rss><channel><item><g:id>1</g:id><title>a &amp; b</title></item></channel></rss>' > fuzz/corpus/rows/rss; \
	printf '3<feed xmlns="http://www.w3.org/2005/Atom" xmlns:g="http://base.google.com/ns/1.0"><entry><g:id>1</g:id><title>a</title><link href="https://x"/><g:certification><g:certification_name>EPREL</g:certification_name></g:certification></entry></feed>' > fuzz/corpus/rows/atom; \
	cp $$shop/catalogue.toml fuzz/corpus/settings/; \
	printf '&{"id":"pi_1","status":"succeeded","amount_received":5,"currency":"eur","metadata":{}}' > fuzz/corpus/webhook/intent; \
	printf '1{"id":"evt_1","type":"refund.updated","data":{"object":{"id":"re_1","amount":5}}}' > fuzz/corpus/webhook/event; \
	printf '40{"lines":[{"product":"boots","quantity":1}],"email":"a@b"}' > fuzz/corpus/checkout_bodies/checkout; \
	printf '80{"amount":{"amount_minor":5,"currency":"EUR"},"reason":"x"}' > fuzz/corpus/checkout_bodies/refund; \
	memory=$$(test -w /dev/shm && echo /dev/shm || echo "$${TMPDIR:-/tmp}"); \
	scratch=$$(mktemp -d "$$memory/vitrine-fuzz.XXXXXX"); trap 'rm -rf "$$scratch"' EXIT; trap 'exit 130' INT TERM; \
	for target in $(TARGETS); do \
		TMPDIR=$$scratch cargo +nightly fuzz run $$target -- -max_total_time=$(FUZZ_SECONDS) -max_len=400000 -rss_limit_mb=4096 -timeout=20; \
	done

torture: ## mix faults into shopping, then add up the books: make torture SECONDS=60 SEED=1
	$(CARGO) test --locked -p checkout --test torture -- --seconds $(SECONDS) $(if $(SEED),--seed $(SEED))

regions-up: ## start two regions on this machine: edges, checkouts, Azurite, PostgreSQL with a standby, Redis, HAProxy
	$(CARGO) build --release --locked --bins
	infra/local/regions up --binaries $(abspath $(RELEASE))

regions-down: ## end them, and leave nothing behind
	infra/local/regions down

drill: ## break something under load, and tell what was lost: make drill NAME=region-kill [SECONDS=30], NAME=all
	@test -n "$(NAME)" || { infra/local/drills/run --help; exit 1; }
	$(CARGO) build --release --locked --bins
	infra/local/drills/run $(NAME) --binaries $(abspath $(RELEASE)) $(if $(findstring command,$(origin SECONDS)),--seconds $(SECONDS))

test-drills: ## try what drills rely on: who is signalled, what fails a drill
	python3 -m unittest discover infra/local/tests

instructions: ## count the instructions of each step, and fail where they grew by a tenth; RECORD=1 records them, CHECK=1 fails where a step is not recorded, or one that is has gone
	@command -v valgrind >/dev/null || { apt-get update -qq && apt-get install -y -qq valgrind; }
	$(MAKE) demo DEMO=$(DEMO)-10k DEMO_PRODUCTS=10000
	$(CARGO) bench --workspace --locked --bench requests -- --store file://$(abspath $(DEMO)-10k)/store \
		--instructions $(abspath edge/benches/instructions.json) $(if $(RECORD),--record) $(if $(CHECK),--check)

# What is given on the command line is in the environment of commands, where loadtests/run looks for it.
load: $(if $(TARGET),,demo) ## drive a shop with k6 and judge it: make load SCENARIO=smoke, and TARGET=https://... RATE=20 DURATION=1m
	loadtests/run $(SCENARIO) $(LOAD_FOLDERS)

test-load: demo ## see load tests fail where they must
	VITRINE_BINARIES=$(abspath $(RELEASE)) VITRINE_DEMO=$(abspath $(DEMO)) python3 -B -m unittest discover --start-directory loadtests/tests

capacity: demo wrk ## find what one edge can do, who is the bottleneck, and what that means in nodes
	loadtests/capacity $(LOAD_FOLDERS)
	@echo; loadtests/capacity-model.py --measured $(LOAD_OUT)/capacity.json

wrk h2load:
	@command -v $@ >/dev/null || { apt-get update -qq && apt-get install -y -qq $(subst h2load,nghttp2-client,$@); }

clean: ## remove what was built
	$(CARGO) clean
	rm -rf $(DEMO) $(DEMO)-[0-9]*k $(DEMO)-fuzz .drills
