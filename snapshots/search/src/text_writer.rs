//! Inverting the text of a segment on a thread of its own: it takes about as long as everything else of a build.

use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use snapshots::Catalogue;
use tantivy::schema::TantivyDocument;
use tantivy::{Index, IndexSettings, SingleSegmentIndexWriter};

use crate::error::Error;
use crate::text::{AnalysedText, Fields, tokenizers};

/// tantivy sizes its tables by this; a segment is never split, however much memory its text needs.
const TEXT_BUDGET_BYTES: usize = 256 * 1024 * 1024;
/// tantivy addresses a segment's text in memory with 32 bits, and panics beyond.
const MAX_TEXT_BYTES: usize = 3 << 30;
/// So many products are handed over at once, and so many such batches may wait.
const BATCH: usize = 256;
const WAITING: usize = 4;

/// The words of a product's text, and their short prefixes.
type Texts = (String, String);

enum Message {
    Products(Vec<Texts>),
    Finish,
}

/// Hands products over to the thread that writes tantivy's files.
pub(crate) struct TextWriter {
    batch: Vec<Texts>,
    to: SyncSender<Message>,
    thread: Option<JoinHandle<Result<Option<Index>, Error>>>,
}

impl TextWriter {
    /// Writes into a folder.
    ///
    /// # Errors
    /// When a file cannot be written, here and below.
    pub(crate) fn new(catalogue: &Catalogue, folder: &Path) -> Result<Self, Error> {
        let fields = Fields::new();
        let settings = IndexSettings { docstore_compression: tantivy::store::Compressor::None, ..Default::default() };
        let builder = Index::builder().schema(fields.schema.clone()).settings(settings);
        let directory = tantivy::directory::MmapDirectory::open(folder).map_err(tantivy::TantivyError::from)?;
        let writer =
            builder.tokenizers(tokenizers(catalogue)).single_segment_index_writer(directory, TEXT_BUDGET_BYTES)?;
        let (to, from) = sync_channel(WAITING);
        let thread = std::thread::Builder::new().name("text".to_owned());
        let thread =
            thread.spawn(move || write(writer, &fields, &from)).map_err(|error| Error::io("a thread", error))?;
        Ok(Self { batch: Vec::with_capacity(BATCH), to, thread: Some(thread) })
    }

    pub(crate) fn add(&mut self, text: &AnalysedText) -> Result<(), Error> {
        self.batch.push((text.stems.clone(), text.prefixes.clone()));
        if self.batch.len() == BATCH { self.hand_over() } else { Ok(()) }
    }

    /// Waits until all is written.
    pub(crate) fn finish(mut self) -> Result<Index, Error> {
        self.hand_over()?;
        // Where nobody listens any more, joining says why.
        let _ = self.to.send(Message::Finish);
        self.join()?.ok_or_else(|| Error::io("the text's thread", std::io::Error::other("it has ended too early")))
    }

    fn hand_over(&mut self) -> Result<(), Error> {
        let batch = std::mem::replace(&mut self.batch, Vec::with_capacity(BATCH));
        if self.to.send(Message::Products(batch)).is_err() {
            self.join()?;
        }
        Ok(())
    }

    fn join(&mut self) -> Result<Option<Index>, Error> {
        let Some(thread) = self.thread.take() else { return Ok(None) };
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

/// Writes what comes; None where the build was given up.
fn write(
    mut writer: SingleSegmentIndexWriter,
    fields: &Fields,
    from: &Receiver<Message>,
) -> Result<Option<Index>, Error> {
    let mut count = 0_u64;
    while let Ok(message) = from.recv() {
        let Message::Products(batch) = message else { return Ok(Some(writer.finalize()?)) };
        for (stems, prefixes) in batch {
            let mut document = TantivyDocument::new();
            document.add_text(fields.text, stems);
            document.add_text(fields.prefix, prefixes);
            writer.add_document(document)?;
            count += 1;
            if writer.mem_usage() > MAX_TEXT_BYTES {
                let reason = format!("the text of {count} products; leave the longest fields out of the search");
                return Err(snapshots::Error::TooLarge(reason).into());
            }
        }
    }
    Ok(None)
}
