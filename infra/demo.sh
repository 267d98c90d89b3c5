#!/bin/sh
# The demo shop until Ctrl-C: an edge, a checkout with its own database, and a Stripe that moves no money. With
# STRIPE_SECRET_KEY=sk_test_... payments are Stripe's, in its test mode. `make run` calls this; it says where things are.
set -eu
programs=$1 demo=$2 listen=$3 admin_listen=$4
checkout_listen=${CHECKOUT_LISTEN:-127.0.0.1:8090}
checkout_admin_listen=${CHECKOUT_ADMIN_LISTEN:-127.0.0.1:8091}
stripe_listen=${STRIPE_SIM_LISTEN:-127.0.0.1:12111}
export CHECKOUT_DATA_DIR="$demo/checkout"
# What other uses of these programs left in the shell: another database, another Stripe, a topic that is in use, a log that
# does not say when they listen, a point of the tests at which they die.
unset PRIMARY_SQL_URL PRIMARY_SQL_URL_FILE READ_SQL_URL READ_SQL_URL_FILE REDIS_URL REDIS_URL_FILE \
	STRIPE_API_URL STRIPE_SECRET_KEY_FILE STRIPE_WEBHOOK_SECRET_FILE EVENT_GRID_URL EVENT_GRID_KEY EVENT_GRID_KEY_FILE \
	CHECKOUT_LOG CHECKOUT_FAIL_POINT STRIPE_SIM_LOG

started=
end() {
	trap - EXIT
	# shellcheck disable=SC2086 # One word a process.
	kill $started 2>/dev/null || true
	wait
}
# wait_for PROCESS LOG: until it listens. One whose port is taken ends at once, and only its log says so.
wait_for() {
	tries=0
	until grep -qs '"listening"' "$2"; do
		tries=$((tries + 1))
		if ! kill -0 "$1" 2>/dev/null || [ "$tries" -gt 300 ]; then
			echo "it does not begin to listen; the end of $2:" >&2
			tail -n 5 "$2" >&2
			exit 1
		fi
		sleep 0.1
	done
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

rm -f "$demo/stripe-sim.log" "$demo/checkout.log"
if [ ! -f "$demo/token" ]; then
	"$programs/checkout" token new demo >"$demo/token"
	sed -n '$p' "$demo/token" >"$demo/staff"
fi
if [ ! -f "$demo/stocked" ]; then
	"$programs/checkout" stock import "$demo/shop/stock.csv" --actor demo
	touch "$demo/stocked"
fi

if [ -z "${STRIPE_SECRET_KEY:-}" ]; then
	export STRIPE_SECRET_KEY=sk_test_demo STRIPE_WEBHOOK_SECRET=whsec_demo STRIPE_API_URL="http://$stripe_listen"
	"$programs/stripe-sim" --listen "$stripe_listen" --state "$demo/stripe.json" --webhook-secret whsec_demo \
		--webhook "http://$checkout_listen/checkout/webhooks/stripe" >"$demo/stripe-sim.log" 2>&1 &
	started="$started $!"
	wait_for "$!" "$demo/stripe-sim.log"
fi
# Stripe's webhooks do not reach this machine, and payments are found without them.
STRIPE_WEBHOOK_SECRET=${STRIPE_WEBHOOK_SECRET:-whsec_none} "$programs/checkout" serve --staff-tokens "$demo/staff" \
	--listen "$checkout_listen" --admin-listen "$checkout_admin_listen" --edge-url "http://$listen" \
	--cors-origin "http://$listen" --drain-ms 0 >"$demo/checkout.log" 2>&1 &
started="$started $!"
wait_for "$!" "$demo/checkout.log"

cat <<TEXT

Try:
  curl "http://$listen/v1/search?q=leather+boots&per_page=3&fields=id,title,price"
  curl "http://$listen/v1/search?q=lamp&facets=brand,price&filters=price%3C100+AND+color:black&per_page=1"
  curl "http://$listen/v1/categories/Home/Lighting"
Order (checkout/README.md goes on from here):
  curl http://$checkout_listen/checkout/v1/checkouts -H "Idempotency-Key: \$(cat /proc/sys/kernel/random/uuid)" \\
    -d '{"lines": [{"product": "10001-0", "quantity": 1}]}'
Shop: http://$listen/    Checkout: http://$checkout_listen/checkout/openapi.json    Logs: $demo/*.log    Stop: Ctrl-C

TEXT
"$programs/edge" --market "demo=file://$demo/store" --cache-dir "$demo/cache" --pictures "$demo/shop/pictures" \
	--listen "$listen" --admin-listen "$admin_listen" --drain-ms 0 &
edge=$!
started="$started $edge"
wait "$edge"
