//! Merging beside a watch: segments of what is live become one while updates are read and published on top of them.
//!
//! One merge runs at a time. It takes what a build of as many products takes (a thread, and that of its text), 16 bytes a
//! product until it is published, and room for the merged segment twice. What is large is written, uploaded and read back
//! before anything is published: the publish itself is as small as that of an update. Until then no manifest names what
//! is merged, so that of a merge that is killed only objects are left that nothing refers to.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, ensure};
use futures::FutureExt;
use futures::future::{LocalBoxFuture, join_all};
use serde_json::json;
use snapshots::{Digest, KeptSegment, Liveness, Manifest, Mapping, ObjectRef, RegionName, Role, Snapshot, Store};
use tempfile::TempDir;
use tokio::time::Instant;

use crate::bring::{Brought, bring_ahead};
use crate::lineage;
use crate::merging::{due, write_merged};
use crate::opened::Scratch;
use crate::progress::{Output, Progress};
use crate::publish::{self, Change, Published};
use crate::regions::NO_TIMEOUT;
use crate::stdout::say;
use crate::telling;
use crate::threads::on_a_thread;
use crate::update::{Base, kept_segment, open_base, resegmented};
use crate::watch::{self, MAX_PAUSE, WatchRequest};
use crate::workshop::{Workshop, cache_of};

/// Where a merge writes, in the folder of updates.
const FOLDER: &str = ".merging";
/// Held while something is in that folder: two watches would take each other's away.
const LOCK: &str = ".merging.lock";
/// What could not be published so many times is thrown away: it may be at fault itself.
const MAX_FAILURES: u32 = 3;
const TOO_MUCH_OUTDATED: &str = "newer versions have taken the place of too much of it";

/// The merges of a watch.
pub(crate) struct Background<'a> {
    request: &'a WatchRequest,
    settings: &'a [(String, String)],
    running: Option<Running<'a>>,
    /// What is to be published.
    merged: Option<Merged>,
    /// What has failed is not tried again before.
    rests_until: Option<Instant>,
}

/// A merge that runs, and the segments that become one by it.
struct Running<'a> {
    parts: Vec<Digest>,
    merge: LocalBoxFuture<'a, Result<Merged>>,
}

/// A segment that every store has, but for regions that were down, and no snapshot yet.
struct Merged {
    /// The snapshot whose segments became one.
    of: Manifest,
    /// Those segments.
    parts: Vec<Digest>,
    /// The part and the document there that each product comes from.
    origins: Vec<(usize, u32)>,
    object: ObjectRef,
    file: PathBuf,
    /// What keeps it in each store; home has no region's name.
    ahead: Vec<(Option<RegionName>, Brought)>,
    /// How often it could not be published.
    failures: u32,
    _folder: Folder,
}

/// What became of a segment that was to be published.
enum Fate {
    Published(Box<Published>),
    /// The channel is held.
    Waits,
    /// Something else was published, or someone has gone back.
    ThrownAway(String),
    /// It was overtaken by updates.
    InVain(&'static str),
}

impl<'a> Background<'a> {
    pub(crate) fn new(request: &'a WatchRequest, settings: &'a [(String, String)]) -> Self {
        Self { request, settings, running: None, merged: None, rests_until: None }
    }

    /// Whether something is being merged. No manifest names what it has written, and nobody else knows of it.
    pub(crate) fn is_merging(&self) -> bool {
        self.running.is_some()
    }

    /// What is merged, and waits to be published. No manifest names it yet.
    pub(crate) fn waiting(&self) -> Option<Digest> {
        self.merged.as_ref().map(|merged| merged.object.blake3)
    }

    /// The segments that are being merged, or that something merged is to take the place of.
    pub(crate) fn parts(&self) -> &[Digest] {
        match (&self.running, &self.merged) {
            (Some(running), _) => &running.parts,
            (None, Some(merged)) => &merged.parts,
            (None, None) => &[],
        }
    }

    /// Begins the merge that is due, if nothing else is under way.
    pub(crate) async fn begin(&mut self, live: &Manifest, progress: &Progress) {
        let places = due(live);
        if places.is_empty() || self.is_merging() || self.merged.is_some() || self.rests() {
            return;
        }
        let (count, total) = (places.len(), live.segments.len());
        match self.start(live, &places, progress).await {
            Ok(running) => {
                progress.note(&format!("{count} of {total} segments are being merged in the background"));
                self.running = Some(running);
            }
            Err(error) => self.rest(&error, progress),
        }
    }

    /// Waits for the end of the merge that runs; for ever where none does. Giving up the wait loses nothing.
    pub(crate) async fn ended(&mut self, progress: &Progress) {
        let Some(running) = &mut self.running else { return std::future::pending().await };
        let ended = (&mut running.merge).await;
        self.running = None;
        match ended {
            Ok(merged) => self.merged = Some(merged),
            Err(error) => self.rest(&error, progress),
        }
    }

    /// Does something else while the merge that runs goes on: what it uploads stands still while nobody waits for it.
    pub(crate) async fn beside<T>(&mut self, work: impl Future<Output = T>, progress: &Progress) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                () = self.ended(progress) => {}
            }
        }
    }

    /// Publishes what is merged, if something is and it is known what is live: `live` becomes what is known then. Returns
    /// whether it was published.
    pub(crate) async fn publish(
        &mut self,
        live: &mut Option<Manifest>,
        output: Output,
        progress: &mut Progress,
    ) -> bool {
        if live.is_none() || self.rests() {
            return false;
        }
        let Some(mut merged) = self.merged.take() else { return false };
        match self.publish_on_top(&merged, progress).await {
            Ok(Fate::Published(published)) => {
                merged.let_go(progress).await;
                tell(&merged, &published, output);
                *live = Some(published.manifest);
                return true;
            }
            Ok(Fate::ThrownAway(why)) => {
                merged.throw_away(&why, progress).await;
                *live = None;
            }
            Ok(Fate::InVain(why)) => {
                merged.let_go(progress).await;
                // Begun again at once, it would most likely be overtaken again.
                self.rest(&anyhow!(why), progress);
                *live = None;
            }
            Ok(Fate::Waits) => self.merged = Some(merged),
            Err(error) => {
                self.rest(&error, progress);
                merged.failures += 1;
                match merged.failures < MAX_FAILURES {
                    true => self.merged = Some(merged),
                    false => merged.throw_away("it cannot be published", progress).await,
                }
            }
        }
        false
    }

    /// Lets go of what waits to be published. A merge that runs is given up with this.
    pub(crate) async fn let_go(&mut self, progress: &Progress) {
        if let Some(merged) = self.merged.take() {
            merged.let_go(progress).await;
        }
    }

    fn rests(&self) -> bool {
        self.rests_until.is_some_and(|until| Instant::now() < until)
    }

    fn rest(&mut self, error: &anyhow::Error, progress: &Progress) {
        let minutes = MAX_PAUSE.as_secs() / 60;
        progress
            .note(&format!("merging in the background has failed, and is tried again in {minutes} minutes: {error:#}"));
        self.rests_until = Some(Instant::now() + MAX_PAUSE);
    }

    async fn start(&self, live: &Manifest, places: &[usize], progress: &Progress) -> Result<Running<'a>> {
        // Its objects may go from the folder meanwhile: what is open stays readable.
        let (_, of) = self.open(live).await?;
        let parts = parts_at(live, places);
        let merge = merge(self.request, of, places.to_owned(), empty_folder(&self.request.out)?, progress.quiet());
        Ok(Running { parts, merge: merge.boxed_local() })
    }

    /// Opens what is live, with all its objects in the folder of updates.
    async fn open(&self, live: &Manifest) -> Result<(Workshop, Snapshot)> {
        let out = &self.request.out;
        let workshop = Workshop::open(out)?;
        let cache = workshop.cache()?;
        let base = Base::Of(Box::new((self.request.to.home.clone(), live.clone())));
        let opened = open_base(&workshop, &cache, out, &base, self.settings).await?;
        Ok((workshop, opened))
    }

    /// Publishes what is live now with the merged segment in the place of those that it was made of. Where it was not made
    /// of them, someone has gone back or published something else meanwhile, which a merge must not undo. A policy judges
    /// what is answered, and has no say.
    async fn publish_on_top(&self, merged: &Merged, progress: &mut Progress) -> Result<Fate> {
        let (home, channel) = (&self.request.to.home, &self.request.channel);
        let live = home.pointer(channel).await.with_context(|| format!("channel '{channel}'"))?;
        let Some(live) = live.map(|live| live.pointer).filter(|live| !live.held) else { return Ok(Fate::Waits) };
        let manifest = home.get_manifest(&live.snapshot).await?;
        if !lineage::is_made_of(&manifest, &merged.of, home).await? {
            return Ok(Fate::ThrownAway(format!(
                "channel '{channel}' is at {}, which was not made of {}",
                live.snapshot, merged.of.id
            )));
        }
        let (workshop, opened) = self.open(&manifest).await?;
        let segments = match merged.on_top(&opened) {
            Ok(segments) => segments,
            Err(why) => return Ok(Fate::InVain(why)),
        };
        // A watch that begins says by this time which files have come too late, and a merge looks at none.
        let created_at = workshop.created_at(opened.manifest.created_at).await?;
        let draft = resegmented(&opened, segments, created_at);
        let manifest = draft.write(&workshop.store).await?;
        drop(workshop);
        let change = Change::Segments { ahead: merged.held() };
        let mut publish = watch::publish_request(self.request, manifest.id, change)?;
        publish.reason = live.reason;
        let prepared = watch::prepare(&publish, &live.snapshot).await?;
        let published = publish::publish(&publish, prepared, progress).await?;
        if let Err(error) = merged.keep(&self.request.out) {
            progress.note(&format!("the next update has to download what was merged: {error:#}"));
        }
        Ok(Fate::Published(Box::new(published)))
    }
}

impl Merged {
    /// The segments of what is live with the merged one where the first of its parts stands. What was changed or deleted
    /// since is struck out of it. Otherwise why it is not to be published.
    fn on_top(&self, live: &Snapshot) -> Result<Vec<KeptSegment>, &'static str> {
        let segments = live.manifest.segments.iter().zip(&live.segments);
        let now =
            |part: &Digest| segments.clone().find(|(at, _)| at.segment == *part).map(|(_, segment)| segment.current());
        let parts: Vec<Option<Liveness>> = self.parts.iter().map(now).collect();
        let liveness = current(&self.origins, &parts, has_base(&self.of, &self.parts))?;
        let (mut kept, mut is_in) = (Vec::new(), false);
        for (at, segment) in segments {
            if !self.parts.contains(&at.segment) {
                let object =
                    live.manifest.object(&at.segment).ok_or("what is live does not list a segment of its own")?;
                let liveness = segment.liveness.clone();
                kept.push(KeptSegment { object: object.clone(), product_count: at.product_count, liveness });
            } else if !is_in {
                kept.push(kept_segment(&self.object, &liveness));
                is_in = true;
            }
        }
        Ok(kept)
    }

    /// The segment, for each store where it need not be read back once more.
    fn held(&self) -> HashMap<Option<RegionName>, Digest> {
        let held = self.ahead.iter().filter(|(_, brought)| brought.ensure_held().is_ok());
        held.map(|(region, _)| (region.clone(), self.object.blake3)).collect()
    }

    /// Keeps the segment where the next update looks for it.
    fn keep(&self, out: &Path) -> Result<()> {
        Ok(Scratch::new(Some(&cache_of(out)))?.take(&self.object, &self.file)?)
    }

    async fn throw_away(&self, why: &str, progress: &Progress) {
        self.let_go(progress).await;
        progress.note(&format!("what was merged in the background is thrown away: {why}"));
    }

    async fn let_go(&self, progress: &Progress) {
        join_all(self.ahead.iter().map(|(_, brought)| brought.let_go(progress))).await;
    }
}

/// What is current of merged products by what is current of the parts that are still there. Otherwise why nothing is
/// gained by publishing them.
fn current(origins: &[(usize, u32)], parts: &[Option<Liveness>], has_base: bool) -> Result<Liveness, &'static str> {
    let are_there: Vec<bool> = parts.iter().map(Option::is_some).collect();
    if !is_worth_it(&are_there, has_base) {
        return Err(TOO_MUCH_OUTDATED);
    }
    let mut liveness = Liveness::all_live(origins.len() as u32);
    for (number, (part, doc)) in origins.iter().enumerate() {
        if parts[*part].as_ref().is_none_or(|part| !part.is_live(*doc)) {
            liveness.kill(number as u32);
        }
    }
    let expected: u32 = parts.iter().flatten().map(Liveness::live_count).sum();
    match liveness.live_count() == expected {
        true => Ok(liveness),
        false => Err("it lacks products that are current"),
    }
}

/// One part alone is one segment already. In the first there is so much outdated that it is worth it all the same.
fn is_worth_it(are_there: &[bool], has_base: bool) -> bool {
    let is_base_there = has_base && are_there.first() == Some(&true);
    is_base_there || are_there.iter().filter(|is_there| **is_there).count() >= 2
}

/// Whether the first segment of a snapshot is among its parts that become one.
fn has_base(of: &Manifest, parts: &[Digest]) -> bool {
    of.segments.first().is_some_and(|base| parts.first() == Some(&base.segment))
}

/// That enough of what was merged is live still to be worth bringing anywhere.
async fn ensure_worth_it(request: &WatchRequest, of: &Manifest, parts: &[Digest]) -> Result<()> {
    let home = &request.to.home;
    let Some(live) = home.pointer(&request.channel).await? else { return Ok(()) };
    let live = home.get_manifest(&live.pointer.snapshot).await?;
    let is_there = |part: &Digest| live.segments.iter().any(|segment| segment.segment == *part);
    let are_there: Vec<bool> = parts.iter().map(is_there).collect();
    ensure!(is_worth_it(&are_there, has_base(of, parts)), TOO_MUCH_OUTDATED);
    Ok(())
}

fn parts_at(manifest: &Manifest, places: &[usize]) -> Vec<Digest> {
    places.iter().map(|place| manifest.segments[*place].segment).collect()
}

/// Where one merge at a time writes.
struct Folder {
    dir: TempDir,
    _lock: File,
}

/// A folder for a merge. What one that was killed has left there goes.
fn empty_folder(out: &Path) -> Result<Folder> {
    let lock = File::create(out.join(LOCK)).context(LOCK)?;
    lock.try_lock().map_err(|_| anyhow!("another watch is merging in {}", out.display()))?;
    let left = out.join(FOLDER);
    if left.exists() {
        std::fs::remove_dir_all(&left).with_context(|| left.display().to_string())?;
    }
    Ok(Folder { dir: tempfile::Builder::new().prefix(FOLDER).rand_bytes(0).tempdir_in(out)?, _lock: lock })
}

/// Merges segments, and brings what comes of it to every store.
async fn merge(
    request: &WatchRequest,
    of: Snapshot,
    places: Vec<usize>,
    folder: Folder,
    mut progress: Progress,
) -> Result<Merged> {
    let manifest = of.manifest.clone();
    let parts = parts_at(&manifest, &places);
    let (file, scratch) = (folder.dir.path().join("segment"), folder.dir.path().to_owned());
    let write = {
        let (file, mut progress) = (file.clone(), progress.quiet());
        move || write(&of, &places, &file, &scratch, &mut progress)
    };
    let (object, origins) = on_a_thread("merge", write).await??;
    ensure_worth_it(request, &manifest, &parts).await?;
    let from = Store::directory(&request.out)?;
    from.put_object_file(&object.blake3, &file).await?;
    // What a lease is to hold. It is written nowhere.
    let lone = Manifest { objects: vec![object.clone()], ..manifest.clone() };
    let mut ahead = vec![(None, bring_ahead(&from, &request.to.home, &lone, NO_TIMEOUT, &mut progress).await?)];
    let others = request.to.others.iter();
    let others = others.map(|(region, store)| {
        let brought = bring_to_region(request, region, store, &from, &lone, &progress);
        request.to.or_leave_out(region, brought)
    });
    for ((region, _), brought) in request.to.others.iter().zip(join_all(others).await) {
        match brought {
            Ok(brought) => ahead.push((Some(region.clone()), brought)),
            Err(error) => {
                progress.note(&format!("region {region} will get what is merged when it is published: {error:#}"))
            }
        }
    }
    Ok(Merged { of: manifest, parts, origins, object, file, ahead, failures: 0, _folder: folder })
}

async fn bring_to_region(
    request: &WatchRequest,
    region: &RegionName,
    to: &Store,
    from: &Store,
    manifest: &Manifest,
    progress: &Progress,
) -> Result<Brought> {
    request.to.ensure_not_left_out(region)?;
    bring_ahead(from, to, manifest, request.to.timeout, &mut progress.quiet()).await
}

fn write(
    of: &Snapshot,
    places: &[usize],
    file: &Path,
    scratch: &Path,
    progress: &mut Progress,
) -> Result<(ObjectRef, Vec<(usize, u32)>)> {
    let parts: Vec<_> = places.iter().map(|place| &of.segments[*place]).collect();
    let origins = write_merged(&parts, &of.catalogue, file, scratch, progress)?.origins;
    let bytes = Mapping::open(file, false)?;
    let object = ObjectRef { role: Role::Segment, blake3: Digest::of(&bytes), size_bytes: bytes.len() as u64 };
    Ok((object, origins))
}

fn tell(merged: &Merged, published: &Published, output: Output) {
    let (manifest, sequence, parts) = (&published.manifest, published.pointer.sequence, merged.parts.len());
    match output {
        Output::Json => {
            let told = json!({
                "event": "merged", "snapshot": manifest.id, "sequence": sequence, "parts": parts,
                "segment": merged.object.blake3, "segment_bytes": merged.object.size_bytes,
                "segments": manifest.segments.len(), "regions": telling::regions_json(&published.regions),
            });
            say(&format!("{told}\n"));
        }
        Output::Text => {
            say(&format!(
                "{} is live (sequence {sequence}): {parts} segments became one, and answer as before\n",
                manifest.id
            ));
            let behind = published.regions.iter().filter(|outcome| outcome.result.is_err());
            say(&telling::regions_text(behind));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_merged_is_published_where_that_gains_something() {
        let of = |count: u32, dead: &[u32]| {
            let mut liveness = Liveness::all_live(count);
            dead.iter().for_each(|doc| liveness.kill(*doc));
            liveness
        };
        // The second product of the second part was outdated when these were merged.
        let origins = [(0, 0), (0, 1), (1, 0), (1, 2)];
        let check = |parts: &[Option<Liveness>], has_base: bool, expected: Result<Liveness, &str>| match (
            current(&origins, parts, has_base),
            expected,
        ) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected),
            (Err(why), Err(text)) => assert!(why.contains(text), "{why}"),
            other => panic!("{other:?}"),
        };
        let (first, second) = (Some(of(2, &[])), Some(of(3, &[1])));
        check(&[first.clone(), second.clone()], false, Ok(of(4, &[])));
        check(&[Some(of(2, &[1])), second.clone()], false, Ok(of(4, &[1])));
        // An update has taken the place of the other part: there were as many segments afterwards as before.
        check(&[None, second.clone()], false, Err("too much"));
        check(&[first.clone(), None], false, Err("too much"));
        check(&[first.clone(), None], true, Ok(of(4, &[2, 3])));
        check(&[None, second], true, Err("too much"));
        check(&[first, Some(of(3, &[]))], false, Err("lacks products"));
    }
}
