//! The steps that a database's schema is made by. They are applied in order, each once, and never edited: what was
//! applied is compared by its checksum. Both databases note them in the table `schema_migrations`.

use sha2::{Digest, Sha256};

use super::StoreError;

/// A step.
#[derive(Debug, PartialEq, Eq)]
pub struct Migration {
    /// From 1, without gaps.
    pub version: u32,
    pub name: &'static str,
    pub sql: &'static str,
    /// Whether older binaries run on it: it only adds what they do not look at. A change that is not compatible is made
    /// in two releases, one that expands and one that contracts.
    pub is_compatible: bool,
}

/// A step that a database has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Applied {
    pub(crate) version: u32,
    pub(crate) sha256: String,
    pub(crate) is_compatible: bool,
}

static POSTGRES: [Migration; 10] = [
    Migration {
        version: 1,
        name: "orders",
        sql: include_str!("../../migrations/postgres/0001_orders.sql"),
        is_compatible: true,
    },
    Migration {
        version: 2,
        name: "sweeping",
        sql: include_str!("../../migrations/postgres/0002_sweeping.sql"),
        is_compatible: true,
    },
    Migration {
        version: 3,
        name: "outbox",
        sql: include_str!("../../migrations/postgres/0003_outbox.sql"),
        is_compatible: true,
    },
    Migration {
        version: 4,
        name: "ended",
        sql: include_str!("../../migrations/postgres/0004_ended.sql"),
        is_compatible: true,
    },
    Migration {
        version: 5,
        name: "ended_index",
        sql: include_str!("../../migrations/postgres/0005_ended_index.sql"),
        is_compatible: true,
    },
    Migration {
        version: 6,
        name: "ended_before",
        sql: include_str!("../../migrations/postgres/0006_ended_before.sql"),
        is_compatible: true,
    },
    Migration {
        version: 7,
        name: "dead_webhooks",
        sql: include_str!("../../migrations/postgres/0007_dead_webhooks.sql"),
        is_compatible: true,
    },
    Migration {
        version: 8,
        name: "dead_webhooks_index",
        sql: include_str!("../../migrations/postgres/0008_dead_webhooks_index.sql"),
        is_compatible: true,
    },
    Migration {
        version: 9,
        name: "resolved_breaks",
        sql: include_str!("../../migrations/postgres/0009_resolved_breaks.sql"),
        is_compatible: true,
    },
    Migration {
        version: 10,
        name: "disputes",
        sql: include_str!("../../migrations/postgres/0010_disputes.sql"),
        is_compatible: true,
    },
];

static SQLITE: [Migration; 5] = [
    Migration {
        version: 1,
        name: "orders",
        sql: include_str!("../../migrations/sqlite/0001_orders.sql"),
        is_compatible: true,
    },
    Migration {
        version: 2,
        name: "ended",
        sql: include_str!("../../migrations/sqlite/0002_ended.sql"),
        is_compatible: true,
    },
    Migration {
        version: 3,
        name: "dead_webhooks",
        sql: include_str!("../../migrations/sqlite/0003_dead_webhooks.sql"),
        is_compatible: true,
    },
    Migration {
        version: 4,
        name: "resolved_breaks",
        sql: include_str!("../../migrations/sqlite/0004_resolved_breaks.sql"),
        is_compatible: true,
    },
    Migration {
        version: 5,
        name: "disputes",
        sql: include_str!("../../migrations/sqlite/0005_disputes.sql"),
        is_compatible: true,
    },
];

pub fn postgres() -> &'static [Migration] {
    &POSTGRES
}

pub fn sqlite() -> &'static [Migration] {
    &SQLITE
}

/// The steps that a database lacks, in order. One that is ahead by steps that older binaries run on lacks nothing.
///
/// # Errors
/// When a step that it has is not the one that this version knows, or this version cannot run on a later one.
pub(crate) fn pending(all: &'static [Migration], applied: &[Applied]) -> Result<Vec<&'static Migration>, StoreError> {
    let newest = all.iter().map(|migration| migration.version).max().unwrap_or(0);
    for have in applied {
        match all.iter().find(|migration| migration.version == have.version) {
            Some(migration) if checksum(migration) != have.sha256 => {
                let (version, name) = (migration.version, migration.name);
                return Err(StoreError::Broken(format!(
                    "migration {version} ({name}) was applied with another text than this version has"
                )));
            }
            Some(_) => {}
            None if have.version > newest && have.is_compatible => {}
            None => {
                return Err(StoreError::Broken(format!(
                    "the database has migration {}, which this version cannot run on: use a newer one",
                    have.version
                )));
            }
        }
    }
    let lacks = |migration: &&Migration| !applied.iter().any(|have| have.version == migration.version);
    Ok(all.iter().filter(lacks).collect())
}

/// SHA-256 of its text, as hexadecimal digits.
pub(crate) fn checksum(migration: &Migration) -> String {
    Sha256::digest(migration.sql).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    static STEPS: [Migration; 3] = [
        Migration { version: 1, name: "one", sql: "SELECT 1", is_compatible: true },
        Migration { version: 2, name: "two", sql: "SELECT 2", is_compatible: false },
        Migration { version: 3, name: "three", sql: "SELECT 3", is_compatible: true },
    ];

    fn applied(count: usize) -> Vec<Applied> {
        let of = |step: &Migration| Applied {
            version: step.version,
            sha256: checksum(step),
            is_compatible: step.is_compatible,
        };
        STEPS.iter().take(count).map(of).collect()
    }

    fn names(applied: &[Applied]) -> Vec<&'static str> {
        pending(&STEPS, applied).expect("a plan").iter().map(|step| step.name).collect()
    }

    #[test]
    fn what_is_missing_is_applied_in_order() {
        assert_eq!(names(&[]), ["one", "two", "three"]);
        assert_eq!(names(&applied(2)), ["three"]);
        assert!(names(&applied(3)).is_empty());
    }

    #[test]
    fn a_database_may_be_ahead_by_what_older_binaries_run_on() {
        let mut ahead = applied(3);
        ahead.push(Applied { version: 4, sha256: "of the future".to_owned(), is_compatible: true });
        assert!(names(&ahead).is_empty());
        ahead.push(Applied { version: 5, sha256: "of the future".to_owned(), is_compatible: false });
        let refused = pending(&STEPS, &ahead).expect_err("a refusal").to_string();
        assert!(refused.contains("migration 5") && refused.contains("newer"), "{refused}");
    }

    #[test]
    fn a_step_that_was_edited_is_told() {
        let mut edited = applied(1);
        edited[0].sha256.replace_range(..1, "x");
        let refused = pending(&STEPS, &edited).expect_err("a refusal").to_string();
        assert!(refused.contains("migration 1 (one)"), "{refused}");
    }

    #[test]
    fn steps_are_numbered_without_gaps() {
        for steps in [postgres(), sqlite()] {
            let versions: Vec<u32> = steps.iter().map(|step| step.version).collect();
            let expected: Vec<u32> = (1..).take(steps.len()).collect();
            assert_eq!(versions, expected);
        }
    }
}
