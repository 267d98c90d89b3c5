//! What a key makes of a request.

use super::{Bench, NOW, begins, checkout, done, nothing};
use crate::domain::{Checkout, CheckoutState, Order};
use crate::ids::{OrderId, PaymentId};
use crate::store::{Answer, Claim, ClaimUse, Claimed, Store};

const LEASE_MS: i64 = 10_000;

fn claim(key: &str, subject: &str, now_ms: i64) -> Claim {
    Claim {
        caller: "caller".to_owned(),
        endpoint: "POST /checkout/v1/checkouts".to_owned(),
        key: key.to_owned(),
        fingerprint: [1; 32],
        subject: subject.to_owned(),
        now_ms,
        lease_until_ms: now_ms + LEASE_MS,
    }
}

fn created(checkout: &Checkout) -> Answer {
    Answer { status: 201, body: checkout.id.to_string().into_bytes() }
}

fn first(order: &Order) -> Answer {
    Answer { status: 200, body: order.id.to_string().into_bytes() }
}

fn second(_: &Order) -> Answer {
    Answer { status: 202, body: b"another".to_vec() }
}

#[tokio::test]
async fn whole_work_is_done_once_and_answered_again() {
    let bench = Bench::start().await;
    bench.set_stock("lamp", 5).await;
    let store = &bench.store;
    let new = checkout(&[("lamp", 1)]);
    let answer = created(&new);
    let outcome = store.place_checkout(&new, &ClaimUse::Whole(&claim("key", "one", NOW), &created)).await;
    assert!(matches!(&outcome, Ok(Claimed::Done(made, Some(told))) if *made == new && *told == answer), "{outcome:?}");

    let again = store.place_checkout(&new, &ClaimUse::Whole(&claim("key", "one", NOW), &created)).await;
    assert!(matches!(&again, Ok(Claimed::Done(made, Some(told))) if *made == new && *told == answer), "{again:?}");

    let other = checkout(&[("lamp", 1)]);
    let outcome = store.place_checkout(&other, &ClaimUse::Whole(&claim("key", "two", NOW), &created)).await;
    assert!(matches!(&outcome, Ok(Claimed::Replayed(told)) if *told == answer), "{outcome:?}");
    let reused = Claim { fingerprint: [2; 32], ..claim("key", "two", NOW) };
    let outcome = store.place_checkout(&other, &ClaimUse::Whole(&reused, &created)).await;
    assert!(matches!(outcome, Ok(Claimed::Reused)), "{outcome:?}");
    assert_eq!(store.checkout(other.id).await.expect("an answer"), None);
    // Another caller's key is another key, and so is one of another path.
    let elsewhere = Claim { caller: "another".to_owned(), ..claim("key", "two", NOW) };
    done(store.place_checkout(&other, &ClaimUse::Whole(&elsewhere, &created)).await);
    assert_eq!(bench.stock("lamp").await, (3, 2));
}

#[tokio::test]
async fn what_is_refused_leaves_no_key() {
    let bench = Bench::start().await;
    let store = &bench.store;
    let new = checkout(&[("lamp", 1)]);
    let outcome = store.place_checkout(&new, &ClaimUse::Whole(&claim("key", "one", NOW), &created)).await;
    assert!(outcome.is_err(), "{outcome:?}");
    bench.set_stock("lamp", 1).await;
    done(store.place_checkout(&new, &ClaimUse::Whole(&claim("key", "two", NOW), &created)).await);
}

#[tokio::test]
async fn work_that_was_begun_is_waited_for_resumed_and_finished() {
    let bench = Bench::start().await;
    bench.set_stock("lamp", 5).await;
    let store = &bench.store;
    let placed = bench.place(&[("lamp", 1)]).await;
    let order = OrderId::new();
    let begun = claim("key", "one", NOW);
    let payment = PaymentId::new();
    let begin = async |claim: &Claim| {
        store.open_order(placed.id, order, &begins(payment), &ClaimUse::Begin(claim), NOW).await.expect("an outcome")
    };
    let outcome = begin(&begun).await;
    assert!(matches!(outcome, Claimed::Done(_, None)), "{outcome:?}");
    let outcome = begin(&begun).await;
    assert!(matches!(outcome, Claimed::Done(_, None)), "our own, whose acknowledgement was lost: {outcome:?}");
    let outcome = begin(&claim("key", "two", NOW + 1)).await;
    assert!(matches!(outcome, Claimed::InFlight { retry_after_ms } if retry_after_ms == LEASE_MS - 1), "{outcome:?}");
    let outcome = begin(&Claim { fingerprint: [2; 32], ..claim("key", "two", NOW) }).await;
    assert!(matches!(outcome, Claimed::Reused), "{outcome:?}");

    let later = NOW + LEASE_MS;
    let outcome = begin(&claim("key", "two", later)).await;
    assert!(matches!(&outcome, Claimed::Resumed { subject } if subject == "one"), "{outcome:?}");
    let outcome = begin(&claim("key", "three", later)).await;
    assert!(matches!(outcome, Claimed::InFlight { .. }), "the lease was taken over: {outcome:?}");

    let resumed = claim("key", "one", later);
    let outcome = store.change_order(order, &nothing, &ClaimUse::Finish(&resumed, &first), None, None, later).await;
    assert!(matches!(&outcome, Ok(Claimed::Done(_, Some(told))) if told.status == 200), "{outcome:?}");
    let outcome = store.change_order(order, &nothing, &ClaimUse::Finish(&begun, &second), None, None, later).await;
    assert!(matches!(&outcome, Ok(Claimed::Done(_, Some(told))) if told.status == 200), "the first stays: {outcome:?}");
    let outcome = begin(&claim("key", "four", later)).await;
    assert!(matches!(&outcome, Claimed::Replayed(told) if told.status == 200), "{outcome:?}");

    assert_eq!(store.forget_answers(NOW, 10).await.expect("none"), 0);
    assert_eq!(store.forget_answers(NOW + 1, 10).await.expect("one"), 1);
    let outcome =
        store.open_order(placed.id, order, &nothing, &ClaimUse::Begin(&claim("key", "five", later)), NOW).await;
    assert!(matches!(outcome, Ok(Claimed::Done(_, None))), "{outcome:?}");
}

#[tokio::test]
async fn whole_work_runs_where_an_earlier_request_gave_up() {
    let bench = Bench::start().await;
    bench.set_stock("lamp", 5).await;
    let store = &bench.store;
    let placed = bench.place(&[("lamp", 1)]).await;
    done(store.cancel_checkout(placed.id, &ClaimUse::Begin(&claim("key", "one", NOW)), NOW).await);
    let early = claim("key", "two", NOW);
    let outcome = store.cancel_checkout(placed.id, &ClaimUse::Whole(&early, &created), NOW).await;
    assert!(matches!(outcome, Ok(Claimed::InFlight { .. })), "{outcome:?}");
    let late = claim("key", "two", NOW + LEASE_MS);
    let outcome = store.cancel_checkout(placed.id, &ClaimUse::Whole(&late, &created), NOW).await;
    match outcome {
        Ok(Claimed::Done(cancelled, Some(told))) => {
            assert_eq!((cancelled.state, told), (CheckoutState::Cancelled, created(&placed)));
        }
        other => panic!("it was to be done: {other:?}"),
    }
}

#[tokio::test]
async fn a_fault_of_ours_is_never_kept() {
    let bench = Bench::start().await;
    bench.set_stock("lamp", 5).await;
    let fault = |_: &Checkout| Answer { status: 500, body: Vec::new() };
    let new = checkout(&[("lamp", 1)]);
    let outcome = bench.store.place_checkout(&new, &ClaimUse::Whole(&claim("key", "one", NOW), &fault)).await;
    assert!(outcome.is_err(), "{outcome:?}");
    assert_eq!(bench.store.checkout(new.id).await.expect("an answer"), None);
    done(bench.store.place_checkout(&new, &ClaimUse::Whole(&claim("key", "one", NOW), &created)).await);
    bench.expect_sound_books().await;
}
