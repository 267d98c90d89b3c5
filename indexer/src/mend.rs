//! Writing a channel's pointer anew where what stands there cannot be read, or is gone.
//!
//! Edges follow no lower sequence than one that they have seen, so that the new one must be beyond all that were announced.
//! What those were, the copies in the regions and the nodes know.

use anyhow::{Context, Result, bail, ensure};
use snapshots::{ChannelName, Followed, Pointer, PointerVersion, SnapshotId, StatusBoard, Store};

use crate::channels::{Moved, ensure_followable, ensure_of, go_to};
use crate::progress::Progress;
use crate::regions::Regions;

/// Nodes tell what they serve. What they have seen and could not open they tell nobody, and regions may be behind: so many
/// announcements are taken to be unknown.
const UNKNOWN_ANNOUNCEMENTS: u64 = 1_000;
/// No higher sequence is written: more are left than a channel will ever need, which cannot go back.
pub(crate) const MAX_SEQUENCE: u64 = u64::MAX / 2;

/// Which channel to write anew, and how.
pub struct MendRequest {
    pub channel: ChannelName,
    pub to: SnapshotId,
    pub reason: Option<String>,
    /// The sequence to write, for whoever knows it better.
    pub sequence: Option<u64>,
    pub dry_run: bool,
}

/// Points a channel that cannot be read at a snapshot, and holds it there: whether it was held, nobody can tell.
///
/// # Errors
/// When the channel can be read, the snapshot is not whole, or of another catalogue than a region's copy is of, nobody knows
/// which sequences were announced, or the home store fails.
pub async fn mend(
    stores: &Regions,
    board: Option<&StatusBoard>,
    request: &MendRequest,
    progress: &Progress,
) -> Result<Moved> {
    let (home, to) = (&stores.home, &request.to);
    let version = lost(home, &request.channel).await?;
    let manifest = home.get_manifest(to).await.with_context(|| format!("snapshot {to}"))?;
    let copy = in_regions(stores, &request.channel, progress).await;
    ensure_of(copy.as_ref().and_then(|copy| copy.catalogue.clone()), &request.channel, &manifest)?;
    let known = copy.map(|copy| copy.sequence).max(at_nodes(board, &manifest.catalogue, &request.channel).await?);
    let reason = request.reason.clone().unwrap_or_else(|| "written anew".to_owned());
    let pointer = Pointer::new(to.clone(), next_sequence(request, known)?).of_catalogue(&manifest.catalogue);
    let pointer = Pointer { held: true, reason: Some(reason), ..pointer };
    let moved = Moved { before: None, pointer, regions: Vec::new() };
    if request.dry_run {
        ensure_followable(home, &manifest).await?;
        return Ok(moved);
    }
    go_to(stores, &request.channel, &manifest, version.as_ref(), moved, progress).await
}

/// The version of what cannot be read; None where nothing is left of it.
async fn lost(home: &Store, channel: &ChannelName) -> Result<Option<PointerVersion>> {
    let version = home.unreadable_pointer(channel).await?;
    if version.is_none() {
        let read = home.pointer(channel).await?;
        ensure!(read.is_none(), "channel '{channel}' can be read: leave out --mend");
    }
    Ok(version)
}

fn next_sequence(request: &MendRequest, known: Option<u64>) -> Result<u64> {
    let next = match (request.sequence, known) {
        (Some(given), Some(known)) if given <= known => {
            bail!("sequence {known} was announced to channel '{}': --sequence must be higher", request.channel)
        }
        (Some(given), _) => given,
        (None, Some(known)) => known.saturating_add(1 + UNKNOWN_ANNOUNCEMENTS),
        (None, None) => bail!(
            "nobody tells which sequences were announced to channel '{}', and edges follow no lower one: name where nodes tell \
             what they serve (--status-store), or a --sequence above the one that /v1/snapshot of the edges shows",
            request.channel
        ),
    };
    ensure!(
        next <= MAX_SEQUENCE,
        "sequence {next} is higher than a channel goes ({MAX_SEQUENCE}): find out which copy or node tells one so high, and \
         leave it out"
    );
    Ok(next)
}

/// The regions' copy with the highest sequence. What a region does not tell is told.
async fn in_regions(stores: &Regions, channel: &ChannelName, progress: &Progress) -> Option<Pointer> {
    let mut copies = Vec::new();
    for (region, store) in &stores.others {
        let copy = async { store.pointer(channel).await.context("its copy of the pointer") };
        match stores.in_time(copy).await {
            Ok(copy) => copies.extend(copy.map(|copy| copy.pointer)),
            Err(error) => progress.note(&format!("region {region} does not tell its sequence: {error:#}")),
        }
    }
    copies.into_iter().max_by_key(|copy| copy.sequence)
}

/// The highest sequence that nodes follow the channel by.
async fn at_nodes(board: Option<&StatusBoard>, catalogue: &str, channel: &ChannelName) -> Result<Option<u64>> {
    let Some(board) = board else { return Ok(None) };
    let nodes = board.read_all().await.context("asking what the nodes serve")?;
    let markets = nodes.iter().flat_map(|node| node.serving(catalogue, channel.as_str()));
    let served = markets.filter_map(|market| market.served.as_ref());
    Ok(served.filter(|served| served.followed == Followed::Channel).map(|served| served.sequence).max())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_that_is_written_anew_goes_beyond_all_that_is_known() {
        let request = |sequence| MendRequest {
            channel: ChannelName::live(),
            to: "a".parse().expect("an id"),
            reason: None,
            sequence,
            dry_run: false,
        };
        let next = |given, known| next_sequence(&request(given), known).map_err(|error| error.to_string());
        assert_eq!(next(None, Some(7)), Ok(1_008));
        assert_eq!(next(Some(8), Some(7)), Ok(8));
        assert_eq!(next(Some(8), None), Ok(8));
        assert!(next(Some(7), Some(7)).is_err_and(|error| error.contains("must be higher")));
        assert!(next(None, None).is_err_and(|error| error.contains("--status-store")));
        // Nothing could have been announced after it any more.
        for (given, known) in [(None, Some(u64::MAX)), (Some(u64::MAX), Some(7)), (None, Some(MAX_SEQUENCE))] {
            assert!(next(given, known).is_err_and(|error| error.contains("higher than a channel goes")), "{given:?}");
        }
        assert_eq!(next(Some(MAX_SEQUENCE), None), Ok(MAX_SEQUENCE));
    }
}
