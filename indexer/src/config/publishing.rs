//! The commands that move channels and pins, and those that write to a store otherwise.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::Args;
use jiff::SignedDuration;
use snapshots::{ChannelName, RegionName, SnapshotId, StatusBoard};

use super::stores::board;
use super::{StoreArgs, StoresArgs};
use crate::canary::CanaryPlan;
use crate::ending::Ending;
use crate::gc::{Mode, Retention};
use crate::lease::MAX_HELD_HOURS;
use crate::mend::{MAX_SEQUENCE, MendRequest};

#[derive(Debug, Args)]
pub struct ChannelArgs {
    #[command(flatten)]
    pub stores: StoresArgs,
    /// The channel that is meant.
    #[arg(long, default_value = "live")]
    pub channel: ChannelName,
}

/// Waiting for the nodes.
#[derive(Debug, Args)]
pub struct WaitArgs {
    /// Wait until every node that was heard of in the last minute serves it; fail with those that do not.
    #[arg(long, requires = "status_store")]
    pub wait: bool,
    /// How long to wait, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    pub wait_timeout_s: u64,
}

#[derive(Debug, Args)]
pub struct Rollback {
    #[command(flatten)]
    pub channel: ChannelArgs,
    #[command(flatten)]
    pub wait: WaitArgs,
    /// The snapshot to go back to; what was live before where it is not given.
    #[arg(long, value_name = "ID")]
    pub to: Option<SnapshotId>,
    /// Why, for those who find the channel held.
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Write the channel's pointer anew where what stands there is damaged, not trusted, or gone: beyond the highest sequence
    /// that the regions, and the nodes of the status store, know of. Edges follow no lower one.
    #[arg(long, requires = "to")]
    pub mend: bool,
    /// The sequence to write, where you know better: a higher one than any edge has seen. Edges and regions that a restored
    /// home store is behind follow nothing until it is past them.
    #[arg(
        long, value_name = "NUMBER", requires = "to",
        value_parser = clap::value_parser!(u64).range(1..=MAX_SEQUENCE)
    )]
    pub sequence: Option<u64>,
    /// Say what would be done, and do nothing.
    #[arg(long)]
    pub dry_run: bool,
}

impl Rollback {
    /// What to write anew, if that is what is asked for.
    pub fn mend(&self) -> Option<MendRequest> {
        let to = self.to.clone().filter(|_| self.mend)?;
        let (channel, reason) = (self.channel.channel.clone(), self.reason.clone());
        Some(MendRequest { channel, to, reason, sequence: self.sequence, dry_run: self.dry_run })
    }
}

#[derive(Debug, Args)]
pub struct Hold {
    #[command(flatten)]
    pub channel: ChannelArgs,
    /// Why, for those who find the channel held.
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

#[derive(Debug, Args)]
pub struct Pin {
    #[command(flatten)]
    pub stores: StoresArgs,
    /// The region, as its edges are told by --region.
    #[arg(value_name = "REGION")]
    pub pinned: RegionName,
    /// The snapshot that it is to serve.
    #[arg(long, value_name = "ID")]
    pub to: SnapshotId,
    /// Why, for those who find it pinned.
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Pin it in the home store although nothing tells that there is such a region: neither --region nor a node of the status
    /// store.
    #[arg(long)]
    pub force: bool,
}

#[derive(Debug, Args)]
pub struct Unpin {
    #[command(flatten)]
    pub stores: StoresArgs,
    /// The region that is pinned.
    #[arg(value_name = "REGION")]
    pub pinned: RegionName,
}

#[derive(Debug, Args)]
pub struct Withdraw {
    #[command(flatten)]
    pub stores: StoresArgs,
    /// Why.
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

#[derive(Debug, Args)]
pub struct Sync {
    #[command(flatten)]
    pub stores: StoresArgs,
    /// Say how far each region is behind, and do nothing.
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Args)]
pub struct Gc {
    #[command(flatten)]
    pub store: StoreArgs,
    /// Keep so many of the newest snapshots.
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    pub keep: usize,
    /// Keep what was written in the last days, so many of them.
    #[arg(long, value_name = "DAYS", default_value_t = 7, value_parser = clap::value_parser!(u32).range(0..=36_500))]
    pub keep_days: u32,
    /// Keep what was needed so many seconds ago: an edge may be opening it.
    #[arg(long, value_name = "SECONDS", default_value_t = 3_600, value_parser = clap::value_parser!(u32).range(0..=31_536_000))]
    pub grace_s: u32,
    /// Take leases for expired after so many hours: their publishes have died.
    #[arg(
        long, value_name = "HOURS", default_value_t = 24,
        value_parser = clap::value_parser!(u64).range(MAX_HELD_HOURS + 1..=8_760)
    )]
    pub lease_hours: u64,
    /// Where nodes tell what they serve, which is kept too.
    #[arg(long, value_name = "URL", env = "VITRINE_STATUS_STORE")]
    pub status_store: Option<String>,
    /// Go on although this manifest cannot be read, and let go of what it needs. Repeatable.
    #[arg(long = "ignore-manifest", value_name = "ID")]
    pub ignored: Vec<SnapshotId>,
    /// Remove what was unreachable a grace ago and still is, and mark what is unreachable now.
    #[arg(long)]
    pub apply: bool,
    /// Then wait for the grace, and remove that too.
    #[arg(long, requires = "apply")]
    pub wait: bool,
}

#[derive(Debug, Args)]
pub struct Keygen {
    /// The file for the private key; the public one goes beside it, as FILE.pub.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

#[derive(Debug, Args)]
pub struct Publish {
    #[command(flatten)]
    pub stores: StoresArgs,
    #[command(flatten)]
    pub wait: WaitArgs,
    /// The channel to announce to: 'live' is what storefronts see.
    #[arg(long, default_value = "live")]
    pub channel: ChannelName,
    /// Let a share of the nodes try it first, such as 5%: one at the least.
    #[arg(long, value_name = "PERCENT", value_parser = percent, requires = "status_store")]
    pub canary: Option<u32>,
    /// How long a canary is tried, in seconds: ten hours at the most.
    // What was brought is relied on for little longer.
    #[arg(
        long, value_name = "SECONDS", default_value_t = 300,
        value_parser = clap::value_parser!(u64).range(1..=(MAX_HELD_HOURS - 2) * 3_600)
    )]
    pub canary_window_s: u64,
    /// A canary with fewer requests is withdrawn.
    #[arg(long, value_name = "COUNT", default_value_t = 200)]
    pub canary_min_requests: u64,
    /// What a publish may change, as TOML; without it, only what looks like a catastrophe is stopped.
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Publish in spite of what the policy says, and why; the manifest keeps it.
    #[arg(long = "override", value_name = "REASON")]
    pub override_reason: Option<String>,
    /// Where objects are kept between runs that compare with what is live; a folder in FOLDER where it is not given.
    #[arg(long, value_name = "FOLDER")]
    pub cache_dir: Option<PathBuf>,
    /// The snapshot to publish; the newest one of the folder where it is not given.
    #[arg(long, value_name = "ID")]
    pub snapshot: Option<SnapshotId>,
    /// Say what would be done, and do nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// The folder that 'build' wrote to.
    #[arg(value_name = "FOLDER")]
    pub folder: PathBuf,
}

impl Gc {
    /// Where nodes tell of themselves, if that was said.
    ///
    /// # Errors
    /// When the store cannot be opened.
    pub fn board(&self) -> Result<Option<StatusBoard>> {
        board(self.status_store.as_deref())
    }

    pub fn retention(&self) -> Retention {
        Retention {
            keep: self.keep,
            keep_for: SignedDuration::from_hours(i64::from(self.keep_days) * 24),
            grace: SignedDuration::from_secs(self.grace_s.into()),
            lease_for: SignedDuration::from_hours(self.lease_hours as i64),
            ignored: self.ignored.clone(),
        }
    }

    pub fn mode(&self) -> Mode {
        match (self.apply, self.wait) {
            (false, _) => Mode::DryRun,
            (true, false) => Mode::Apply,
            (true, true) => Mode::ApplyAndWait,
        }
    }
}

impl Publish {
    /// How a canary is to be tried, if one is.
    ///
    /// # Errors
    /// When the status store cannot be opened, or the channel is not the live one.
    pub fn canary(&self) -> Result<Option<(CanaryPlan, StatusBoard)>> {
        let Some(percent) = self.canary else { return Ok(None) };
        let is_live = self.channel == ChannelName::live();
        ensure!(is_live, Ending::settings("a canary is tried before the live channel moves, and no other"));
        let window = std::time::Duration::from_secs(self.canary_window_s);
        let plan = CanaryPlan { percent, window, min_requests: self.canary_min_requests };
        Ok(self.stores.board()?.map(|board| (plan, board)))
    }
}

/// "5%" or "5" is 5.
fn percent(text: &str) -> Result<u32, String> {
    let number = text.trim_end_matches('%').parse::<u32>().ok().filter(|number| (1..=99).contains(number));
    number.ok_or_else(|| format!("'{text}' is not a share from 1% to 99%"))
}
