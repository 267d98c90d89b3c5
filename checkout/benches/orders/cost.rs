//! What CPU time the processes of a run took.

use test_servers::processes::{cpu_us, own_cpu_us};

const US_PER_S: f64 = 1e6;

/// Seconds of CPU, user and system, by who used them.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    pub checkout_s: f64,
    pub postgres_s: f64,
    pub stripe_s: f64,
    pub edge_s: f64,
    /// This process: the load, and the subscriber that events are told to.
    pub generator_s: f64,
}

impl Cost {
    pub fn since(self, before: Self) -> Self {
        Self {
            checkout_s: self.checkout_s - before.checkout_s,
            postgres_s: self.postgres_s - before.postgres_s,
            stripe_s: self.stripe_s - before.stripe_s,
            edge_s: self.edge_s - before.edge_s,
            generator_s: self.generator_s - before.generator_s,
        }
    }
}

/// What one process used so far; nothing where it is gone.
pub fn of_process(process: u32) -> f64 {
    own_cpu_us(process).map_or(0.0, |us| us / US_PER_S)
}

/// What a process used with its children, those that have ended too.
pub fn of_family(process: u32) -> f64 {
    cpu_us(process).map_or(0.0, |us| us / US_PER_S)
}
