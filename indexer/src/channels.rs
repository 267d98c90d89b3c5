//! Moving channels without publishing: back to an older snapshot, held, resumed; and pinning regions.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};
use jiff::Timestamp;
use snapshots::{
    ChannelName, Error, Manifest, Pointer, PointerVersion, ReadPointer, RegionName, SnapshotId, StatusBoard, Store,
};

use crate::bring::ensure_whole;
use crate::canary;
use crate::checks::is_damage;
use crate::lease::HeldLease;
use crate::progress::Progress;
use crate::publish::announce;
use crate::regions::{RegionOutcome, Regions};

/// A channel that was moved, or would be.
#[derive(Debug)]
pub struct Moved {
    /// None where it could not be read.
    pub before: Option<Pointer>,
    pub pointer: Pointer,
    pub regions: Vec<RegionOutcome>,
}

impl Moved {
    fn from(before: &ReadPointer, pointer: Pointer) -> Self {
        Self { before: Some(before.pointer.clone()), pointer, regions: Vec::new() }
    }
}

/// Goes back to an older snapshot, and holds the channel: whoever published what is wrong would do so again. `sequence` is for
/// a channel that must get past what edges or regions have seen of it; it may stay at its snapshot.
///
/// # Errors
/// When nothing is known to go back to, that snapshot is not whole or of another catalogue, the sequence is no higher one, or
/// the home store fails.
pub async fn roll_back(
    stores: &Regions,
    channel: &ChannelName,
    to: Option<SnapshotId>,
    sequence: Option<u64>,
    reason: Option<String>,
    dry_run: bool,
    progress: &mut Progress,
) -> Result<Moved> {
    let before = current(&stores.home, channel).await?;
    let to = match to {
        Some(to) => to,
        None => {
            ensure!(
                !before.pointer.held,
                "channel '{channel}' is held at {} already: say where to go back to with --to (see 'indexer list')",
                before.pointer.snapshot
            );
            let previous = before.pointer.previous.clone();
            previous.with_context(|| {
                format!("what was live on channel '{channel}' before that is not known: give --to (see 'indexer list')")
            })?
        }
    };
    let stays = to == before.pointer.snapshot;
    ensure!(!stays || sequence.is_some(), "channel '{channel}' is at {to} already: 'indexer hold' keeps it there");
    let manifest = stores.home.get_manifest(&to).await.with_context(|| format!("snapshot {to}"))?;
    ensure_of(catalogue_of(&stores.home, &before.pointer).await?, channel, &manifest)?;
    let mut pointer = Pointer::after(Some(&before.pointer), to).of_catalogue(&manifest.catalogue);
    (pointer.held, pointer.reason) = (true, Some(reason.unwrap_or_else(|| "rolled back".to_owned())));
    if !stays {
        // What was gone back from is not to be gone back to, and what was live before this nobody knows.
        pointer.previous = None;
    }
    if let Some(sequence) = sequence {
        let announced = before.pointer.sequence;
        ensure!(
            sequence > announced,
            "sequence {announced} was announced to channel '{channel}': --sequence must be higher"
        );
        pointer.sequence = sequence;
    }
    let moved = Moved::from(&before, pointer);
    if dry_run {
        ensure_followable(&stores.home, &manifest).await?;
        return Ok(moved);
    }
    go_to(stores, channel, &manifest, Some(before.version()), moved, progress).await
}

/// Moves a channel to a snapshot that was there before, from where `version` saw it.
pub(crate) async fn go_to(
    stores: &Regions,
    channel: &ChannelName,
    manifest: &Manifest,
    version: Option<&PointerVersion>,
    moved: Moved,
    progress: &Progress,
) -> Result<Moved> {
    // Nothing may hold what is that old, so that it could be removed just now.
    let lease = HeldLease::take(&stores.home, manifest, progress).await?;
    let moved = match make_followable(&stores.home, manifest).await {
        Ok(()) => finish(stores, channel, version, moved, progress).await,
        Err(error) => Err(error),
    };
    lease.let_go(progress).await;
    if moved.is_ok() && *channel == ChannelName::live() {
        end_canary(stores, progress).await;
    }
    moved
}

/// Whoever goes back wants no node to try what is newer, which nobody can announce from now on.
async fn end_canary(stores: &Regions, progress: &Progress) {
    let reason = Some("rolled back".to_owned());
    if let Err(error) = canary::withdraw(stores, None, reason, progress).await {
        progress.note(&format!("a canary may be under way still, 'indexer withdraw' takes it back: {error:#}"));
    }
}

/// That a snapshot of long ago is whole, and can be signed with the key of today, if it is not: nodes may trust no older one
/// any more. Only what was verified is signed, which takes a key to trust.
///
/// # Errors
/// When it is not, or the store fails.
pub(crate) async fn ensure_followable(store: &Store, manifest: &Manifest) -> Result<()> {
    ensure_whole(store, manifest).await?;
    let is_followed = !store.trusted_keys().is_empty() || store.has_signed(&manifest.id).await?;
    ensure!(
        is_followed,
        "snapshot {} is not signed with this key (--sign-key), and no node that trusts that alone would follow: name the key that \
         it was signed with, too (--trust), and it is signed anew. Where nobody has signed it, publish it again from its folder, \
         or leave out --sign-key if no node trusts a key alone",
        manifest.id
    );
    Ok(())
}

/// That nodes can follow a snapshot of long ago.
async fn make_followable(store: &Store, manifest: &Manifest) -> Result<()> {
    ensure_followable(store, manifest).await?;
    if !store.trusted_keys().is_empty() {
        store.put_manifest(manifest).await.with_context(|| format!("signing in {}", store.url()))?;
    }
    Ok(())
}

/// Holds a channel where it is.
///
/// # Errors
/// When it is held already, or the home store fails.
pub async fn hold(
    stores: &Regions,
    channel: &ChannelName,
    reason: Option<String>,
    progress: &mut Progress,
) -> Result<Moved> {
    let before = current(&stores.home, channel).await?;
    ensure!(!before.pointer.held, "channel '{channel}' is held already");
    let mut pointer = staying(&stores.home, &before.pointer).await?;
    (pointer.held, pointer.reason) = (true, reason);
    finish(stores, channel, Some(before.version()), Moved::from(&before, pointer), progress).await
}

/// Lets publishers go on.
///
/// # Errors
/// When the channel is not held, or the home store fails.
pub async fn resume(stores: &Regions, channel: &ChannelName, progress: &mut Progress) -> Result<Moved> {
    let before = current(&stores.home, channel).await?;
    ensure!(before.pointer.held, "channel '{channel}' is not held");
    let pointer = staying(&stores.home, &before.pointer).await?;
    finish(stores, channel, Some(before.version()), Moved::from(&before, pointer), progress).await
}

/// Signs what a channel points at anew, with the key of today, and says which pins are to be.
///
/// # Errors
/// When the home store fails.
pub async fn sign(stores: &Regions, channel: &ChannelName, progress: &mut Progress) -> Result<Moved> {
    let before = current(&stores.home, channel).await?;
    let manifest = stores.home.get_manifest(&before.pointer.snapshot).await?;
    // The regions are brought the signature with the pointer.
    stores.home.put_manifest(&manifest).await.with_context(|| format!("signing in {}", stores.home.url()))?;
    let pointer = Pointer::after(Some(&before.pointer), manifest.id.clone()).of_catalogue(&manifest.catalogue);
    let pointer = Pointer { held: before.pointer.held, reason: before.pointer.reason.clone(), ..pointer };
    let moved = finish(stores, channel, Some(before.version()), Moved::from(&before, pointer), progress).await?;
    note_pins(stores, progress).await;
    Ok(moved)
}

/// Pins stay as they were signed, and a region that is pinned serves nothing once its edges trust no key that its pin has: says
/// which these may be.
async fn note_pins(stores: &Regions, progress: &Progress) {
    let mut pinned = BTreeSet::new();
    for store in stores.others.iter().map(|(_, store)| store).chain([&stores.home]) {
        match stores.in_time(store.list_pins()).await {
            Ok(pins) => pinned.extend(pins),
            Err(error) => {
                progress.note(&format!("which regions are pinned in {} is not known: {error:#}", store.url()))
            }
        }
    }
    for region in pinned {
        progress.note(&format!(
            "region {region} is pinned, which is not signed anew: do so with 'indexer pin {region} --to ID --trust OLD,NEW \
             --sign-key NEW' before its edges no longer trust the old key"
        ));
    }
}

/// Where a region was pinned, or let go of.
#[derive(Debug)]
pub struct PinnedIn {
    /// The URLs of the stores.
    pub stores: Vec<String>,
    /// Whether a store of the region's own is known. Otherwise its edges read the home store, or heed nothing of this.
    pub has_own_store: bool,
}

/// That there is such a region: one with a store of its own here, or one that a node tells it is in.
///
/// # Errors
/// When there is none, or the nodes' statuses cannot be read.
pub async fn ensure_known(stores: &Regions, board: Option<&StatusBoard>, region: &RegionName) -> Result<()> {
    if own_store(stores, region).is_some() {
        return Ok(());
    }
    let nodes = match board {
        Some(board) => board.read_all().await.context("asking the nodes which region they are in")?,
        None => Vec::new(),
    };
    ensure!(
        nodes.iter().any(|node| node.region == *region),
        "no region '{region}' is known: name its store (--region {region}=URL), or where nodes tell which region they are in \
         (--status-store); --force pins it in {} all the same",
        stores.home.url()
    );
    Ok(())
}

/// Holds a region at one snapshot, whatever its channel says.
///
/// # Errors
/// When the snapshot is not whole in the region's store, or of another catalogue than is live there, or a store fails.
pub async fn pin(
    stores: &Regions,
    region: &RegionName,
    to: &SnapshotId,
    reason: Option<String>,
    progress: &Progress,
) -> Result<PinnedIn> {
    let there = own_store(stores, region).unwrap_or(&stores.home);
    let manifest = there.get_manifest(to).await.with_context(|| format!("snapshot {to} in {}", there.url()))?;
    ensure_live(there, &manifest).await?;
    let lease = HeldLease::take(there, &manifest, progress).await?;
    let pinned = pin_leased(stores, region, &manifest, reason).await;
    lease.let_go(progress).await;
    let pinned = pinned?;
    stores.tell(&ChannelName::live(), None, progress).await;
    Ok(pinned)
}

/// That a snapshot is of the catalogue that the live channel serves. A channel that cannot be read keeps nobody from pinning.
async fn ensure_live(store: &Store, to: &Manifest) -> Result<()> {
    let channel = ChannelName::live();
    match store.pointer(&channel).await {
        Ok(None) => Ok(()),
        Ok(Some(live)) => ensure_of(catalogue_of(store, &live.pointer).await?, &channel, to),
        Err(error) if is_damage(&error) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

async fn pin_leased(stores: &Regions, region: &RegionName, to: &Manifest, reason: Option<String>) -> Result<PinnedIn> {
    let own = own_store(stores, region);
    make_followable(own.unwrap_or(&stores.home), to).await?;
    let mut pinned = PinnedIn { stores: Vec::new(), has_own_store: own.is_some() };
    for store in pinned_stores(stores, region) {
        let before = store.pointer(region).await?;
        let pointer = Pointer::after(before.as_ref().map(|before| &before.pointer), to.id.clone());
        let pointer = Pointer { reason: reason.clone(), ..pointer.of_catalogue(&to.catalogue) };
        let moved = store.move_pointer(region, before.as_ref(), &pointer).await;
        moved.with_context(|| format!("pinning in {}", store.url()))?;
        pinned.stores.push(store.url().to_owned());
    }
    Ok(pinned)
}

/// Lifts the pin of a region.
///
/// # Errors
/// When it is not pinned, or a store fails.
pub async fn unpin(stores: &Regions, region: &RegionName, progress: &Progress) -> Result<PinnedIn> {
    let mut lifted = PinnedIn { stores: Vec::new(), has_own_store: own_store(stores, region).is_some() };
    for store in pinned_stores(stores, region) {
        if store.unpin(region).await.with_context(|| format!("unpinning in {}", store.url()))? {
            lifted.stores.push(store.url().to_owned());
        }
    }
    ensure!(!lifted.stores.is_empty(), "region '{region}' is not pinned");
    stores.tell(&ChannelName::live(), None, progress).await;
    Ok(lifted)
}

fn own_store<'a>(stores: &'a Regions, region: &RegionName) -> Option<&'a Store> {
    stores.others.iter().find(|(name, _)| name == region).map(|(_, store)| store)
}

/// Where a region's pin stands: in its own store, which its edges read, and at home, so that whoever looks there sees it.
fn pinned_stores<'a>(stores: &'a Regions, region: &RegionName) -> impl Iterator<Item = &'a Store> + use<'a> {
    let own = own_store(stores, region).filter(|own| own.url() != stores.home.url());
    own.into_iter().chain([&stores.home])
}

/// What a channel points at, if anything.
///
/// # Errors
/// When the store fails, or the pointer cannot be read: names what mends it.
pub async fn read(store: &Store, channel: &ChannelName) -> Result<Option<ReadPointer>> {
    let read = store.pointer(channel).await;
    let remedy = read.as_ref().map_or_else(remedy, |_| "");
    read.with_context(|| format!("channel '{channel}'{remedy}"))
}

/// What mends a channel that is damaged or lost, to be told behind its name.
pub(crate) const MENDING: &str = " ('indexer rollback --mend --to ID' writes it anew)";

/// What mends a channel that cannot be read.
pub(crate) fn remedy(error: &Error) -> &'static str {
    match error {
        Error::Corrupt { .. } => MENDING,
        _ => "",
    }
}

async fn current(home: &Store, channel: &ChannelName) -> Result<ReadPointer> {
    match read(home, channel).await? {
        Some(read) => Ok(read),
        None => bail!("nothing has been announced to channel '{channel}' of {}", home.url()),
    }
}

/// What comes after a pointer that stays at its snapshot. One that does not say which catalogue that is of could not be signed.
///
/// # Errors
/// When the store fails.
pub(crate) async fn staying(home: &Store, before: &Pointer) -> Result<Pointer> {
    let catalogue = catalogue_of(home, before).await?;
    Ok(Pointer { catalogue, ..Pointer::after(Some(before), before.snapshot.clone()) })
}

/// The catalogue that a pointer is of. Where it does not say so, the manifest does, unless that is damaged, which keeps nobody
/// from moving a channel.
async fn catalogue_of(store: &Store, pointer: &Pointer) -> Result<Option<String>> {
    if pointer.catalogue.is_some() {
        return Ok(pointer.catalogue.clone());
    }
    match store.get_manifest(&pointer.snapshot).await {
        Ok(manifest) => Ok(Some(manifest.catalogue)),
        Err(error) if is_damage(&error) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// That a snapshot is of the catalogue that a channel serves, where that is known: the edges of a shop would serve another one.
/// Nobody knows which of the two is wrong, so that the other takes several steps.
///
/// # Errors
/// When it is not.
pub(crate) fn ensure_of(serves: Option<String>, channel: &ChannelName, to: &Manifest) -> Result<()> {
    let Some(serves) = serves.filter(|serves| *serves != to.catalogue) else { return Ok(()) };
    let (id, catalogue) = (&to.id, &to.catalogue);
    bail!(
        "channel '{channel}' serves the catalogue '{serves}', and snapshot {id} is of '{catalogue}'. If it should serve that one, \
         remove channels/{channel}.json from its store and from those of the regions, and write it anew: 'indexer rollback --mend \
         --channel {channel} --to {id} --sequence NUMBER', with a higher number than 'indexer status' shows"
    )
}

/// Moves the pointer at home from where `version` saw it, then in every region, which is first brought what it lacks.
async fn finish(
    stores: &Regions,
    channel: &ChannelName,
    version: Option<&PointerVersion>,
    mut moved: Moved,
    progress: &Progress,
) -> Result<Moved> {
    moved.pointer.announced_at = Timestamp::now();
    let announced = announce(&stores.home, channel, version, &moved.pointer).await?;
    // A region may take minutes to follow: edges that read the home store need not wait for it.
    stores.tell(channel, Some(moved.pointer.sequence), progress).await;
    moved.regions = stores.follow(channel, &announced, progress).await;
    Ok(moved)
}
