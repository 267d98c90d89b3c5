//! Idempotency keys: the work is done once, and answered the same every time.

use checkout::domain::{Checkout, Effects, News, Order, Refusal};
use checkout::ids::OrderId;
use checkout::store::{Answer, Claim, ClaimUse, Claimed, OrderChange, StockChange, StockLevel, Store, StoreError};
use futures::future::join_all;

use super::shop::{
    ALL, LEASE_MS, NOW, answer_with_checkout, answer_with_levels, answer_with_order, audit, checkout, claim, done,
    nothing, open_order, place, refused, set_stock, stock,
};
use super::{Bench, Case};

pub const CASES: &[Case] = &[
    ("a whole work is answered once", |bench| Box::pin(whole(bench))),
    ("a work that began is in flight, resumed and finished", |bench| Box::pin(begun(bench))),
    ("a key that began is finished as a whole when its lease is over", |bench| Box::pin(whole_after_begun(bench))),
    ("another body is another request", |bench| Box::pin(reused(bench))),
    ("keys are of their caller and path", |bench| Box::pin(scoped(bench))),
    ("a refusal leaves no key", |bench| Box::pin(refusal_leaves_no_key(bench))),
    ("the first answer stays", |bench| Box::pin(first_answer_stays(bench))),
    ("one of many with one key does the work", |bench| Box::pin(concurrent_whole(bench))),
    ("one of many with one key begins the work", |bench| Box::pin(concurrent_begin(bench))),
    ("one of many resumes the work", |bench| Box::pin(concurrent_resume(bench))),
    ("a key is looked up and left as it is", |bench| Box::pin(looked_up(bench))),
    ("answers are forgotten", |bench| Box::pin(forgotten(bench))),
    ("the database tells neither keys nor answers", |bench| Box::pin(sealed(bench))),
    ("an adjustment with a key counts once", |bench| Box::pin(adjusted_once(bench))),
];

async fn place_whole(store: &dyn Store, new: &Checkout, claim: &Claim) -> Result<Claimed<Checkout>, StoreError> {
    store.place_checkout(new, &ClaimUse::Whole(claim, &answer_with_checkout)).await
}

/// A request that comes with this key: its work's id is its own.
fn request(key: &str, now_ms: i64) -> (Checkout, Claim) {
    let new = checkout(&[("boots", 1, 100)]);
    let claim = claim(key, &new.id.to_string(), now_ms);
    (new, claim)
}

fn is_replay_of<T>(claimed: &Claimed<T>, answer: &Answer) -> bool {
    matches!(claimed, Claimed::Replayed(replayed) if replayed == answer)
}

async fn whole(bench: Bench) {
    let store = bench.store.as_ref();
    set_stock(store, "boots", 5).await;
    let (new, first) = request("key", NOW);
    let answer = answer_with_checkout(&new);
    // The same request again is one whose acknowledgement was lost.
    for _ in 0..2 {
        match place_whole(store, &new, &first).await {
            Ok(Claimed::Done(placed, Some(told))) => assert_eq!((placed, told), (new.clone(), answer.clone())),
            other => panic!("{other:?}"),
        }
    }
    let (other, second) = request("key", NOW + 1);
    let replayed = place_whole(store, &other, &second).await.expect("it is replayed");
    assert!(is_replay_of(&replayed, &answer), "{replayed:?}");
    assert_eq!(store.checkout(other.id).await.expect("it is looked for"), None);
    assert_eq!(stock(store, "boots").await, (4, 1));
    let cancel = claim("cancel", "cancel", NOW);
    let used: ClaimUse<'_, Checkout> = ClaimUse::Whole(&cancel, &answer_with_checkout);
    for _ in 0..2 {
        let cancelled = store.cancel_checkout(new.id, &used, NOW).await.expect("it is cancelled");
        assert!(matches!(cancelled, Claimed::Done(_, Some(ref told)) if *told == answer), "{cancelled:?}");
    }
    assert_eq!(stock(store, "boots").await, (5, 0));
}

/// Begins a work on an order, which changes nothing.
async fn begin(store: &dyn Store, order: OrderId, claim: &Claim) -> Claimed<Order> {
    let begun = store.change_order(order, &nothing, &ClaimUse::Begin(claim), None, None, claim.now_ms).await;
    begun.expect("it is told")
}

async fn begun(bench: Bench) {
    let store = bench.store.as_ref();
    set_stock(store, "boots", 5).await;
    let placed = place(store, &checkout(&[("boots", 1, 100)])).await;
    let (order, _) = open_order(store, placed.id).await;
    let first = claim("key", "first", NOW);
    for _ in 0..2 {
        let begun = begin(store, order.id, &first).await;
        assert!(matches!(begun, Claimed::Done(_, None)), "{begun:?}");
    }
    match begin(store, order.id, &claim("key", "second", NOW + 1)).await {
        Claimed::InFlight { retry_after_ms } => assert!((1..=LEASE_MS).contains(&retry_after_ms), "{retry_after_ms}"),
        other => panic!("it is not in flight: {other:?}"),
    }
    // Whoever comes when the lease is over goes on with the first one's work, alone.
    let third = claim("key", "third", NOW + LEASE_MS);
    let resumed = begin(store, order.id, &third).await;
    assert!(matches!(resumed, Claimed::Resumed { ref subject } if subject == "first"), "{resumed:?}");
    let in_flight = begin(store, order.id, &claim("key", "fourth", NOW + LEASE_MS + 1)).await;
    assert!(matches!(in_flight, Claimed::InFlight { .. }), "{in_flight:?}");
    let finish: ClaimUse<'_, Order> = ClaimUse::Finish(&third, &answer_with_order);
    let answer = match store.change_order(order.id, &nothing, &finish, None, None, NOW).await {
        Ok(Claimed::Done(order, Some(answer))) => {
            assert_eq!(answer, answer_with_order(&order));
            answer
        }
        other => panic!("it is not finished: {other:?}"),
    };
    let replayed = begin(store, order.id, &claim("key", "fifth", NOW + 3 * LEASE_MS)).await;
    assert!(is_replay_of(&replayed, &answer), "{replayed:?}");
}

async fn whole_after_begun(bench: Bench) {
    let store = bench.store.as_ref();
    set_stock(store, "boots", 5).await;
    let (new, begin) = request("key", NOW);
    done(store.place_checkout(&new, &ClaimUse::Begin(&begin)).await);
    let (early, second) = request("key", NOW + 1);
    let in_flight = place_whole(store, &early, &second).await.expect("it is in flight");
    assert!(matches!(in_flight, Claimed::InFlight { .. }), "{in_flight:?}");
    let (late, third) = request("key", NOW + LEASE_MS);
    let whole = place_whole(store, &late, &third).await.expect("it is done");
    let answer = answer_with_checkout(&late);
    assert!(matches!(whole, Claimed::Done(_, Some(ref told)) if *told == answer), "{whole:?}");
    let (fourth, fourth_claim) = request("key", NOW + LEASE_MS + 1);
    let replayed = place_whole(store, &fourth, &fourth_claim).await.expect("it is replayed");
    assert!(is_replay_of(&replayed, &answer), "{replayed:?}");
}

async fn reused(bench: Bench) {
    let store = bench.store.as_ref();
    set_stock(store, "boots", 5).await;
    let (new, first) = request("key", NOW);
    done(place_whole(store, &new, &first).await);
    let (other, mut second) = request("key", NOW);
    second.fingerprint = [2; 32];
    let outcome = place_whole(store, &other, &second).await.expect("it is told");
    assert!(matches!(outcome, Claimed::Reused), "{outcome:?}");
    let begun = store.place_checkout(&other, &ClaimUse::Begin(&second)).await.expect("it is told");
    assert!(matches!(begun, Claimed::Reused), "{begun:?}");
    assert_eq!(stock(store, "boots").await, (4, 1));
}

async fn scoped(bench: Bench) {
    let store = bench.store.as_ref();
    set_stock(store, "boots", 5).await;
    let (new, first) = request("key", NOW);
    done(place_whole(store, &new, &first).await);
    let (new, mut of_another) = request("key", NOW);
    of_another.caller = "another shopper".to_owned();
    done(place_whole(store, &new, &of_another).await);
    let (new, mut elsewhere) = request("key", NOW);
    elsewhere.endpoint = "POST /checkout/v1/carts".to_owned();
    done(place_whole(store, &new, &elsewhere).await);
    assert_eq!(stock(store, "boots").await, (2, 3));
}

async fn refusal_leaves_no_key(bench: Bench) {
    let store = bench.store.as_ref();
    set_stock(store, "boots", 0).await;
    let (new, first) = request("key", NOW);
    assert!(matches!(refused(place_whole(store, &new, &first).await), Refusal::SoldOut { .. }));
    set_stock(store, "boots", 1).await;
    let (new, second) = request("key", NOW + 1);
    done(place_whole(store, &new, &second).await);
    let (order, _) = open_order(store, new.id).await;
    let refuse = |_: &mut Order| -> Result<Effects, Refusal> { Err(Refusal::NothingToPay) };
    let begin = claim("begin", "begin", NOW);
    let refusal = refused(store.change_order(order.id, &refuse, &ClaimUse::Begin(&begin), None, None, NOW).await);
    assert_eq!(refusal, Refusal::NothingToPay);
    let again = claim("begin", "again", NOW);
    done(store.change_order(order.id, &nothing, &ClaimUse::Begin(&again), None, None, NOW).await);
}

async fn first_answer_stays(bench: Bench) {
    let store = bench.store.as_ref();
    set_stock(store, "boots", 5).await;
    let placed = place(store, &checkout(&[("boots", 1, 100)])).await;
    let (order, _) = open_order(store, placed.id).await;
    let key = claim("key", "work", NOW);
    done(store.change_order(order.id, &nothing, &ClaimUse::Begin(&key), None, None, NOW).await);
    let first = |_: &Order| Answer { status: 200, body: b"first".to_vec() };
    let second = |_: &Order| Answer { status: 202, body: b"second".to_vec() };
    let finishes: [ClaimUse<'_, Order>; 2] = [ClaimUse::Finish(&key, &first), ClaimUse::Finish(&key, &second)];
    for finish in &finishes {
        match store.change_order(order.id, &nothing, finish, None, None, NOW).await {
            Ok(Claimed::Done(_, Some(answer))) => assert_eq!(answer, first(&order)),
            other => panic!("it is not finished: {other:?}"),
        }
    }
}

async fn concurrent_whole(bench: Bench) {
    set_stock(bench.store.as_ref(), "boots", 40).await;
    let tries = (0..20).map(|_| {
        let store = bench.store.clone();
        tokio::spawn(async move {
            let (new, claim) = request("key", NOW);
            place_whole(store.as_ref(), &new, &claim).await
        })
    });
    let tries: Vec<_> = tries.collect();
    let (mut works, mut answers) = (0, Vec::new());
    for outcome in join_all(tries).await {
        match outcome.expect("it ends") {
            Ok(Claimed::Done(_, Some(answer))) => {
                works += 1;
                answers.push(answer);
            }
            Ok(Claimed::Replayed(answer)) => answers.push(answer),
            Ok(Claimed::InFlight { .. }) => {}
            other => panic!("a duplicate is no error: {other:?}"),
        }
    }
    assert_eq!(works, 1);
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert_eq!(stock(bench.store.as_ref(), "boots").await, (39, 1));
}

async fn concurrent_begin(bench: Bench) {
    let store = bench.store.as_ref();
    set_stock(store, "boots", 5).await;
    let placed = place(store, &checkout(&[("boots", 1, 100)])).await;
    let tries = (0..20).map(|number| {
        let store = bench.store.clone();
        tokio::spawn(async move {
            let claim = claim("key", &format!("work {number}"), NOW);
            store.open_order(placed.id, OrderId::new(), &nothing, &ClaimUse::Begin(&claim), NOW).await
        })
    });
    let tries: Vec<_> = tries.collect();
    let mut begun = 0;
    for outcome in join_all(tries).await {
        match outcome.expect("it ends") {
            Ok(Claimed::Done(..)) => begun += 1,
            Ok(Claimed::InFlight { .. }) => {}
            other => panic!("a duplicate is no error: {other:?}"),
        }
    }
    assert_eq!(begun, 1);
}

async fn concurrent_resume(bench: Bench) {
    let store = bench.store.as_ref();
    set_stock(store, "boots", 5).await;
    let (new, begin) = request("key", NOW);
    done(store.place_checkout(&new, &ClaimUse::Begin(&begin)).await);
    let tries = (0..10).map(|_| {
        let store = bench.store.clone();
        tokio::spawn(async move {
            let (other, later) = request("key", NOW + LEASE_MS);
            store.place_checkout(&other, &ClaimUse::Begin(&later)).await
        })
    });
    let tries: Vec<_> = tries.collect();
    let mut resumed = 0;
    for outcome in join_all(tries).await {
        match outcome.expect("it ends") {
            Ok(Claimed::Resumed { subject }) => {
                assert_eq!(subject, new.id.to_string());
                resumed += 1;
            }
            Ok(Claimed::InFlight { .. }) => {}
            other => panic!("neither resumed nor in flight: {other:?}"),
        }
    }
    assert_eq!(resumed, 1);
    assert_eq!(stock(store, "boots").await, (4, 1));
}

async fn look_up(store: &dyn Store, claim: &Claim) -> Option<Claimed<()>> {
    store.look_up_key(claim).await.expect("it is read")
}

async fn looked_up(bench: Bench) {
    let store = bench.store.as_ref();
    set_stock(store, "boots", 5).await;
    let (new, first) = request("key", NOW);
    for _ in 0..2 {
        assert!(look_up(store, &first).await.is_none(), "looking leaves no key");
    }
    done(store.place_checkout(&new, &ClaimUse::Begin(&first)).await);
    let (_, mut second) = request("key", NOW + 1);
    let in_flight = look_up(store, &second).await;
    assert!(matches!(in_flight, Some(Claimed::InFlight { retry_after_ms }) if retry_after_ms == LEASE_MS - 1));
    second.fingerprint = [2; 32];
    assert!(matches!(look_up(store, &second).await, Some(Claimed::Reused)));
    // Nobody is at it any more, and looking takes nothing over.
    let (other, late) = request("key", NOW + LEASE_MS);
    for _ in 0..2 {
        let begun = look_up(store, &late).await;
        assert!(matches!(begun, Some(Claimed::Resumed { ref subject }) if *subject == new.id.to_string()), "{begun:?}");
    }
    let resumed = store.place_checkout(&other, &ClaimUse::Begin(&late)).await.expect("it is told");
    assert!(matches!(resumed, Claimed::Resumed { ref subject } if *subject == new.id.to_string()), "{resumed:?}");
    let (new, whole) = request("another key", NOW);
    done(place_whole(store, &new, &whole).await);
    let answer = answer_with_checkout(&new);
    let own = look_up(store, &whole).await;
    assert!(matches!(own, Some(Claimed::Done((), Some(ref told))) if *told == answer), "{own:?}");
    let (_, again) = request("another key", NOW + 1);
    let replayed = look_up(store, &again).await;
    assert!(replayed.as_ref().is_some_and(|told| is_replay_of(told, &answer)), "{replayed:?}");
}

async fn forgotten(bench: Bench) {
    let store = bench.store.as_ref();
    set_stock(store, "boots", 5).await;
    for number in 0..3 {
        let (new, claim) = request(&format!("key {number}"), NOW + number);
        done(place_whole(store, &new, &claim).await);
    }
    assert_eq!(store.forget_answers(NOW + 2, 1).await.expect("one is forgotten"), 1);
    assert_eq!(store.forget_answers(NOW + 2, ALL).await.expect("another is forgotten"), 1);
    assert_eq!(store.forget_answers(NOW + 2, ALL).await.expect("none is left"), 0);
    let (new, again) = request("key 2", NOW + 3);
    assert!(matches!(place_whole(store, &new, &again).await, Ok(Claimed::Replayed(_))));
    let (new, again) = request("key 0", NOW + 3);
    done(place_whole(store, &new, &again).await);
}

/// Whoever read the database had the tokens and the client secrets of two days, and keys to ask for more.
async fn sealed(bench: Bench) {
    let store = bench.store.as_ref();
    set_stock(store, "boots", 5).await;
    let (new, whole) = request("a key of one transaction", NOW);
    done(place_whole(store, &new, &whole).await);
    // An answer that is stored with a change, and one that is stored under the lock, since somebody was first.
    let (order, _) = open_order(store, new.id).await;
    let change = |order: &mut Order| order.apply(&News::CancelRequested, NOW);
    let changes: [(&str, OrderChange<'_>); 2] =
        [("a key that changes something", &change), ("a key that changes nothing", &nothing)];
    for (key, change) in changes {
        let key = claim(key, key, NOW);
        begin(store, order.id, &key).await;
        let finish: ClaimUse<'_, Order> = ClaimUse::Finish(&key, &answer_with_order);
        done(store.change_order(order.id, change, &finish, None, None, NOW).await);
    }
    let kept = bench.kept_answers().await;
    assert_eq!(kept.len(), 3);
    for (key, body) in kept {
        let body = String::from_utf8_lossy(&body);
        assert!(!key.contains("key") && !body.contains(&new.id.to_string()) && !body.contains(&order.id.to_string()));
    }
}

/// Whoever lost the answer to an adjustment, and asked again, had it counted twice.
async fn adjusted_once(bench: Bench) {
    let store = bench.store.as_ref();
    set_stock(store, "boots", 5).await;
    let render = |levels: &Vec<StockLevel>| answer_with_levels(levels);
    let adjust = async |by: i64, claim: &Claim| {
        let change = StockChange::Adjust { product: "boots".to_owned(), by, reason: "delivered".to_owned() };
        store.change_stock(&[change], &ClaimUse::Whole(claim, &render), &audit(), NOW).await
    };
    let first = claim("key", "first", NOW);
    let answer = Answer { status: 200, body: b"boots: 8, 0".to_vec() };
    // The same request again is one whose acknowledgement was lost.
    for _ in 0..2 {
        match adjust(3, &first).await {
            Ok(Claimed::Done(levels, Some(told))) => assert_eq!((levels[0].available, &told), (8, &answer)),
            other => panic!("{other:?}"),
        }
    }
    let replayed = adjust(3, &claim("key", "second", NOW + 1)).await.expect("it is replayed");
    assert!(is_replay_of(&replayed, &answer), "{replayed:?}");
    let mut other = claim("key", "third", NOW + 1);
    other.fingerprint = [2; 32];
    assert!(matches!(adjust(4, &other).await, Ok(Claimed::Reused)));
    assert_eq!(stock(store, "boots").await, (8, 0));
    // What is refused leaves no key.
    let key = claim("another key", "fourth", NOW);
    assert_eq!(refused(adjust(-9, &key).await), Refusal::StockOutOfBounds(-1));
    assert_eq!(done(adjust(-8, &key).await)[0].available, 0);
}
