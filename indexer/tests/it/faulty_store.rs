//! The store answers with faults at every step of a publish: nothing is half announced, and what cannot be done now is done
//! by running it again.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use test_servers::{Azurite, Moment, Outcome, Passing, Proxy};

use crate::command::build_products;
use crate::killed::{check_live, publish, succeeds};

const FAULTS: [(Moment, Outcome); 5] = [
    (Moment::Before, Outcome::Refused(503)),
    (Moment::After, Outcome::Refused(500)),
    (Moment::Before, Outcome::Cut),
    (Moment::After, Outcome::Cut),
    (Moment::After, Outcome::Halved),
];

#[test]
fn a_store_that_fails_once_at_any_request_costs_nothing() {
    let azurite = Azurite::start();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let base = build_products(folder.path(), "base", 2);
    let next = build_products(folder.path(), "next", 3);
    let plan = Arc::new(Mutex::new((usize::MAX, Moment::Before, Outcome::Passes)));
    let count = Arc::new(AtomicUsize::new(0));
    let hook = {
        let (plan, count) = (plan.clone(), count.clone());
        move |passing: &Passing| {
            let number = match passing.moment {
                Moment::Before => count.fetch_add(1, Ordering::SeqCst),
                Moment::After => count.load(Ordering::SeqCst) - 1,
            };
            let mut plan = plan.lock().expect("the plan");
            match (number, passing.moment) == (plan.0, plan.1) {
                // Once: whoever tries again gets through.
                true => std::mem::replace(&mut *plan, (usize::MAX, Moment::Before, Outcome::Passes)).2,
                false => Outcome::Passes,
            }
        }
    };
    let proxy = Proxy::start(azurite.address(), hook);
    let endpoint = format!("http://{}{}", proxy.address, azurite.account_path());
    let run = |prefix: &str| {
        count.store(0, Ordering::SeqCst);
        let _ = std::fs::remove_dir_all(folder.path().join("next/.cache"));
        publish(&azurite, Some(&endpoint), folder.path(), prefix, "next").output().expect("the indexer runs")
    };
    succeeds(publish(&azurite, None, folder.path(), "calm", "base"));
    assert!(run("calm").status.success());
    let requests = count.load(Ordering::SeqCst);
    let mut again = 0;
    for request in 0..requests {
        for (moment, outcome) in FAULTS {
            let prefix = format!("fault-{request}-{moment:?}-{outcome:?}");
            let prefix = prefix.replace(['(', ')'], "-").to_lowercase();
            succeeds(publish(&azurite, None, folder.path(), &prefix, "base"));
            *plan.lock().expect("the plan") = (request, moment, outcome);
            let output = run(&prefix);
            assert_eq!(plan.lock().expect("the plan").0, usize::MAX, "{prefix}: the fault was not met");
            match output.status.success() {
                true => assert_eq!(check_live(&azurite, &prefix), next, "{prefix}"),
                false => {
                    again += 1;
                    let live = check_live(&azurite, &prefix);
                    assert!(live == base || live == next, "{prefix}: {live}");
                    succeeds(publish(&azurite, None, folder.path(), &prefix, "next"));
                    assert_eq!(check_live(&azurite, &prefix), next, "{prefix}: running it again finishes the job");
                }
            }
        }
    }
    assert!(again < requests, "most faults are gone by trying the same request again: {again} were not");
}
