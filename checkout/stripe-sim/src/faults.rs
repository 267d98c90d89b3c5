//! The fault script: which calls go wrong, and how.

use serde::{Deserialize, Serialize};

/// How many faults may be scripted at once.
pub(crate) const MAX_FAULTS: usize = 1_000;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// Nothing is done; a 500 is answered, and kept under the idempotency key.
    #[serde(rename = "cached_500")]
    Cached500,
    /// The work is done, but a 500 is answered, and kept under the idempotency key.
    #[serde(rename = "executed_500")]
    Executed500,
    /// Nothing is done; a 500 is answered, and not kept.
    #[serde(rename = "unstored_500")]
    Unstored500,
    /// Nothing is done; the connection is closed without an answer.
    DropBefore,
    /// The work is done; the connection is closed without an answer.
    DropAfter,
    /// Nothing is done; the connection is closed after `delay_ms`.
    HangBefore,
    /// The work is done; the connection is closed after `delay_ms`.
    HangAfter,
    /// The work is done; the answer is a 200 whose body is no JSON.
    Undecodable,
    /// The work is done; the body breaks off in the middle.
    HalfBody,
    /// Nothing is done; a proxy's page with status 502 is answered.
    BadGateway,
    /// Nothing is done; a 503 is answered.
    Unavailable,
    /// Nothing is done; a 429 is answered.
    RateLimited,
    /// Nothing is done; a 429 of code `lock_timeout` is answered.
    LockTimeout,
    /// The work is done; the answer has members that nobody knows, and lacks one.
    Drifted,
    /// The work is done after `delay_ms`, in which the idempotency key is in use.
    Delay,
}

impl FaultKind {
    /// Whether it strikes before the request is looked at.
    fn is_before(self) -> bool {
        use FaultKind::*;
        matches!(self, Unstored500 | DropBefore | HangBefore | BadGateway | Unavailable | RateLimited | LockTimeout)
    }
}

/// One line of the script.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// `POST /v1/payment_intents/*/confirm`, where `*` stands for an id; `*` alone means every call under `/v1`.
    pub on: String,
    pub fault: FaultKind,
    /// How often it strikes; 0 for until it is cleared.
    #[serde(default = "once")]
    pub times: u64,
    /// How many calls pass unharmed first.
    #[serde(default)]
    pub skip: u64,
    #[serde(default)]
    pub delay_ms: u64,
}

/// A fault, and how often it struck.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FaultStatus {
    pub fault: Fault,
    pub seen: u64,
    pub struck: u64,
}

/// When in a call faults are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Before the request is looked at.
    Before,
    /// When its work is about to be done.
    Work,
}

#[derive(Default)]
pub(crate) struct Faults {
    script: Vec<FaultStatus>,
}

impl Fault {
    /// One that strikes once.
    pub fn once(on: &str, fault: FaultKind) -> Self {
        Self { on: on.to_owned(), fault, times: once(), skip: 0, delay_ms: 0 }
    }

    /// Whether `on` can be understood.
    pub(crate) fn is_well_formed(&self) -> bool {
        self.on == "*" || self.on.split_once(' ').is_some_and(|(_, path)| path.starts_with("/v1/"))
    }

    fn matches(&self, method: &str, path: &str) -> bool {
        if self.on == "*" {
            return true;
        }
        let Some((wanted_method, wanted_path)) = self.on.split_once(' ') else { return false };
        let (mut wanted, mut given) = (wanted_path.split('/'), path.split('/'));
        if wanted_method != "*" && wanted_method != method {
            return false;
        }
        loop {
            match (wanted.next(), given.next()) {
                (None, None) => return true,
                (Some(wanted), Some(given)) if wanted == "*" || wanted == given => {}
                _ => return false,
            }
        }
    }
}

impl Faults {
    pub(crate) fn add(&mut self, fault: Fault) -> Result<(), String> {
        if !fault.is_well_formed() {
            return Err(format!("'{}' is neither * nor METHOD /v1/...", fault.on));
        }
        if self.script.len() >= MAX_FAULTS {
            return Err(format!("there are {MAX_FAULTS} faults already; clear some"));
        }
        self.script.push(FaultStatus { fault, seen: 0, struck: 0 });
        Ok(())
    }

    pub(crate) fn clear(&mut self) {
        self.script.clear();
    }

    pub(crate) fn status(&self) -> Vec<FaultStatus> {
        self.script.clone()
    }

    /// The fault that strikes this call now, the first of the script that does.
    pub(crate) fn take(&mut self, stage: Stage, method: &str, path: &str) -> Option<Fault> {
        for status in &mut self.script {
            let fault = &status.fault;
            let is_over = fault.times > 0 && status.struck >= fault.times;
            if is_over || fault.fault.is_before() != (stage == Stage::Before) || !fault.matches(method, path) {
                continue;
            }
            status.seen += 1;
            if status.seen > fault.skip {
                status.struck += 1;
                return Some(fault.clone());
            }
        }
        None
    }
}

fn once() -> u64 {
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_match_skip_and_end() {
        let mut faults = Faults::default();
        let scripted = r#"{"on": "POST /v1/payment_intents/*/confirm", "fault": "cached_500", "times": 2, "skip": 1}"#;
        faults.add(serde_json::from_str(scripted).expect("a fault")).expect("well formed");
        let mut strikes = |method, path| faults.take(Stage::Work, method, path).is_some();
        assert!(!strikes("POST", "/v1/payment_intents"));
        assert!(!strikes("POST", "/v1/payment_intents/pi_1/capture"));
        assert!(!strikes("GET", "/v1/payment_intents/pi_1/confirm"));
        let struck: Vec<bool> = (0..5).map(|_| strikes("POST", "/v1/payment_intents/pi_1/confirm")).collect();
        assert_eq!(struck, [false, true, true, false, false]);
    }

    #[test]
    fn each_fault_has_its_stage() {
        let mut faults = Faults::default();
        faults.add(Fault::once("*", FaultKind::DropAfter)).expect("well formed");
        faults.add(Fault::once("*", FaultKind::DropBefore)).expect("well formed");
        let kind = |fault: Option<Fault>| fault.map(|fault| fault.fault);
        assert_eq!(kind(faults.take(Stage::Before, "GET", "/v1/events")), Some(FaultKind::DropBefore));
        assert_eq!(kind(faults.take(Stage::Before, "GET", "/v1/events")), None);
        assert_eq!(kind(faults.take(Stage::Work, "GET", "/v1/events")), Some(FaultKind::DropAfter));
        faults.add(Fault::once("everything", FaultKind::Delay)).expect_err("neither * nor a path");
    }
}
