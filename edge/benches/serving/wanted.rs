//! Measures that have something to reach: a table, and JSON.

use serde_json::{Value, json};

use crate::{Settings, machine};

/// What is to be reached.
#[derive(Clone, Copy)]
pub enum Wanted {
    AtLeast(f64),
    AtMost(f64),
}

impl Wanted {
    pub fn is_reached(self, seen: f64) -> bool {
        match self {
            Self::AtLeast(least) => seen >= least,
            Self::AtMost(most) => seen <= most,
        }
    }

    pub fn told(self) -> String {
        match self {
            Self::AtLeast(least) => format!("at least {least}"),
            Self::AtMost(most) => format!("at most {most}"),
        }
    }

    pub fn json(self) -> Value {
        match self {
            Self::AtLeast(least) => json!({ "at_least": least }),
            Self::AtMost(most) => json!({ "at_most": most }),
        }
    }
}

/// A measure, what is to be reached, what was seen, and what that is made of.
pub struct Limit {
    pub name: &'static str,
    pub wanted: Wanted,
    pub seen: f64,
    pub parts: Value,
}

/// Prints all of them, and keeps them.
pub fn tell(settings: &Settings, products: u64, limits: &[Limit]) {
    println!("{:<66} {:>14} {:>8}", "measure", "wanted", "seen");
    for Limit { name, wanted, seen, parts } in limits {
        let not = if wanted.is_reached(*seen) { "" } else { "NOT REACHED " };
        println!("{name:<66} {:>14} {seen:>8.2}  {not}{parts}", wanted.told());
    }
    let rows = limits.iter().map(|Limit { name, wanted, seen, parts }| {
        let is_reached = wanted.is_reached(*seen);
        json!({ "measure": name, "wanted": wanted.json(), "seen": seen, "is_reached": is_reached, "parts": parts })
    });
    let result = json!({
        "machine": machine(), "rows": rows.collect::<Vec<_>>(), "products": products, "rounds": settings.rounds,
        "seconds": settings.load.seconds, "connections": settings.load.connections,
    });
    // What one group was is not all there is.
    let name =
        if settings.only.is_empty() { "limits.json".to_owned() } else { format!("limits-{}.json", settings.only) };
    let target = settings.out.join(name);
    std::fs::write(&target, format!("{result:#}")).expect("the result is kept");
    println!("medians of {} rounds; kept in {}", settings.rounds, target.display());
}
