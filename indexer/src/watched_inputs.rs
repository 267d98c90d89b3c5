//! What may be new in a source that is followed.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use snapshots::{Inbox, LateFiles, Manifest};

use crate::changes::{FILES_MARK, SQL_MARK};
use crate::progress::Progress;
use crate::source::Input;
use crate::watch::WatchedSource;

/// What may be new by what is live: so many files at the most. `from` says where to begin when that does not.
///
/// # Errors
/// When what is live follows something else, or the first file cannot be fetched.
pub(crate) async fn inputs(
    source: &WatchedSource,
    from: Option<&str>,
    live: &Manifest,
    files: usize,
    scratch: &Path,
    progress: &Progress,
) -> Result<Vec<Input>> {
    let mark = live.source_watermark.as_deref();
    match source {
        WatchedSource::Sql { query, column, overlap_s } => {
            let after = after(mark, SQL_MARK)?.or(from);
            Ok(vec![Input::Sql(query.since(column, after, *overlap_s))])
        }
        WatchedSource::Files(inbox) => {
            // How far a query was read says nothing about an inbox. A build of one leaves that, and updates carry it on; but so
            // does a watch of the query, which an inbox that was meant for another channel would end.
            let is_of_query = mark.is_some_and(|mark| mark.starts_with(SQL_MARK));
            ensure!(
                !is_of_query || live.parent.is_none() || from.is_some(),
                "what is live follows a query ('{}'), which an inbox ends: say with --from after which file it takes its place",
                mark.unwrap_or_default()
            );
            let mark = mark.filter(|_| !is_of_query);
            let after = after(mark, FILES_MARK)?.or(from);
            let arrived = inbox.look(after, live.created_at, files).await.with_context(|| inbox.url().to_owned())?;
            // With --from someone has said that they are not to be taken.
            if let (Some(mark), Some(late)) = (after.filter(|_| mark.is_some()), &arrived.late) {
                tell_late(late, mark, progress);
            }
            fetch(inbox, &arrived.next, scratch).await
        }
    }
}

/// Says which files will never be taken.
fn tell_late(late: &LateFiles, taken: &str, progress: &Progress) {
    let LateFiles { first, count } = late;
    let more = match count {
        1 => String::new(),
        several => format!(" and {} more", several - 1),
    };
    progress.note(&format!(
        "{first}{more} came too late, and will not be taken: {taken} was taken before. Leave it under a name that stands behind \
         that"
    ));
}

/// Brings files to disk, up to the first that cannot be: it may have been moved away, and what lies before it does not wait.
async fn fetch(inbox: &Inbox, names: &[String], scratch: &Path) -> Result<Vec<Input>> {
    let mut files = Vec::with_capacity(names.len());
    for name in names {
        let file = scratch.join(name);
        match inbox.fetch(name, &file).await {
            Ok(()) => files.push(Input::File(file)),
            Err(_) if !files.is_empty() => break,
            Err(error) => return Err(error).with_context(|| format!("{name} of {}", inbox.url())),
        }
    }
    Ok(files)
}

/// Where what is live left off.
fn after<'m>(mark: Option<&'m str>, kind: &str) -> Result<Option<&'m str>> {
    let Some(mark) = mark else { return Ok(None) };
    let after = mark.strip_prefix(kind);
    ensure!(
        after.is_some(),
        "what is live was made from another kind of source ('{mark}'): build and publish a snapshot from this one first"
    );
    Ok(after)
}

#[cfg(test)]
mod tests {
    use super::*;
    use snapshots::Store;

    /// A file that was moved away between the list and its turn failed the look, and with it all files before.
    #[tokio::test]
    async fn a_file_that_is_gone_keeps_none_before_it() {
        let (left, scratch) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let inbox = Inbox::new(Store::directory(left.path()).expect("a store"));
        ["1.jsonl", "3.jsonl"].iter().for_each(|name| std::fs::write(left.path().join(name), "").expect("a file"));
        let names = ["1.jsonl", "2.jsonl", "3.jsonl"].map(str::to_owned);
        let files = fetch(&inbox, &names, scratch.path()).await.expect("the first");
        assert_eq!(files.iter().map(Input::name).collect::<Vec<_>>(), [scratch.path().join("1.jsonl")]);
        let error = fetch(&inbox, &names[1..], scratch.path()).await.expect_err("nothing lies before it");
        assert!(error.to_string().starts_with("2.jsonl of "), "{error:#}");
    }
}
