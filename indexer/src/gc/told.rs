//! What a run did, told to people and to programs.

use serde_json::{Map, Value, json};

use super::{Collected, Mode, Tally};
use crate::report;

pub fn collected_json(collected: &Collected) -> Value {
    let reasons: Map<String, Value> = collected
        .reasons
        .iter()
        .map(|(why, count)| (json!(why).as_str().unwrap_or_default().to_owned(), json!(count)))
        .collect();
    json!({
        "event": if collected.mode == Mode::DryRun { "dry_run" } else { "collected" }, "store": collected.store,
        "kept": collected.kept, "kept_for": reasons, "leases": collected.leases,
        "expired_leases": collected.expired_leases, "due": collected.due, "later": collected.later,
        "removed": collected.removed, "next_at": collected.next_at,
    })
}

pub fn collected_text(collected: &Collected) -> String {
    let row = |name: &str, tally: &Tally| {
        vec![name.to_owned(), tally.snapshots.to_string(), tally.objects.to_string(), report::bytes(tally.bytes)]
    };
    let is_dry = collected.mode == Mode::DryRun;
    let gone = match is_dry {
        true => row("would go", &collected.due),
        false => row("gone", &collected.removed),
    };
    let rows = vec![row("stays", &collected.kept), gone, row("unreachable, too lately to go", &collected.later)];
    let mut text = report::table(&["", "SNAPSHOTS", "OBJECTS", "SIZE"], rows);
    for (why, count) in &collected.reasons {
        text += &format!("{count:>6} stay: {}\n", why.text());
    }
    if collected.leases > 0 {
        text += &format!("{:>6} leases of publishes are in use\n", collected.leases);
    }
    for lease in &collected.expired_leases {
        let state = if is_dry { "has expired, and would go" } else { "had expired, and is gone" };
        text += &format!("lease {lease} {state}\n");
    }
    let spared = collected.due.less(collected.removed);
    if !is_dry && spared != Tally::default() {
        text += "some of what was to go is needed by now, and stays\n";
    }
    text += &match (is_dry, collected.next_at) {
        (true, _) => {
            "nothing was changed. 'indexer gc --apply' removes what would go, and marks the rest for a run after the grace; \
             with --wait it waits for that\n"
                .to_owned()
        }
        (false, Some(next_at)) => format!("what is unreachable is marked: a run from {next_at:.0} on removes it\n"),
        (false, None) => String::new(),
    };
    text
}
