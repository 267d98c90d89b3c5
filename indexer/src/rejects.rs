//! Rows that are no products: counted by field, set aside with their reasons.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use snapshots::{ProductError, id_hash};

use crate::source::{QUERY_NAME, SourceRow};

/// A file that rows are added to run after run makes room at this size: one such file stays beside it.
const MAX_KEPT_BYTES: u64 = 64 * 1024 * 1024;

/// How bad rows are treated.
#[derive(Clone, Debug)]
pub struct RejectPolicy {
    /// Where they are written; the file is made when the first one comes.
    pub file: PathBuf,
    /// Stop at the first one.
    pub strict: bool,
    /// Fail when there are more.
    pub max_rejects: u64,
    /// What earlier runs set aside stays, since most of its rows do not come again, and those that do are not written twice.
    pub keeps_earlier: bool,
}

/// The bad rows of one build.
pub struct Rejects {
    policy: RejectPolicy,
    /// The names of attributes that are written nowhere.
    private: BTreeSet<String>,
    out: Option<BufWriter<File>>,
    /// Hashes of what earlier runs have written.
    told: HashSet<u64>,
    counts: RejectCounts,
}

/// How many rows were set aside.
#[derive(Clone, Debug, Default)]
pub struct RejectCounts {
    pub all: u64,
    pub by_field: BTreeMap<String, u64>,
}

impl Rejects {
    /// Begins a build: what an earlier one set aside is out of date, unless it is to stay.
    pub fn new(policy: RejectPolicy, private: BTreeSet<String>) -> Self {
        if !policy.keeps_earlier {
            let _ = fs::remove_file(&policy.file);
        }
        Self { private, policy, out: None, told: HashSet::new(), counts: RejectCounts::default() }
    }

    /// Sets a row aside.
    ///
    /// # Errors
    /// In strict mode; when the file cannot be written.
    pub fn add(&mut self, input: &Path, row: &SourceRow, fault: &ProductError) -> Result<()> {
        let line = row.line;
        anyhow::ensure!(!self.policy.strict, "line {line}: {fault}");
        let row = json!({"input": input, "line": line, "field": fault.field, "reason": fault.reason, "row": self.public(row)});
        let path = &self.policy.file;
        let out = match &mut self.out {
            Some(out) => out,
            None => {
                let at = || format!("the rejects file {}", path.display());
                let file = open(&self.policy).with_context(at)?;
                let mut out = BufWriter::new(file);
                if self.policy.keeps_earlier {
                    self.told = read_told(path, &mut out).with_context(at)?;
                }
                self.out.insert(out)
            }
        };
        if !self.policy.keeps_earlier || self.told.insert(hash_of(&row)) {
            writeln!(out, "{row}").with_context(|| path.display().to_string())?;
        }
        self.counts.all += 1;
        *self.counts.by_field.entry(field_group(&fault.field)).or_default() += 1;
        Ok(())
    }

    /// A row without what is private. One that cannot be read may hold anything, so where something is private its line
    /// must do.
    fn public(&self, row: &SourceRow) -> Value {
        match &row.row {
            Ok(fields) => {
                let mut fields = fields.clone();
                fields.retain(|name, _| !self.private.contains(name));
                if let Some(Value::Object(attributes)) = fields.get_mut("attributes") {
                    attributes.retain(|name, _| !self.private.contains(name));
                }
                Value::Object(fields)
            }
            Err(_) if self.private.is_empty() => Value::String(row.text.clone()),
            Err(_) => Value::Null,
        }
    }

    pub fn counts(&self) -> &RejectCounts {
        &self.counts
    }

    /// Forgets to have counted what came since: it is read again later.
    pub fn back_to(&mut self, counts: RejectCounts) {
        self.counts = counts;
    }

    /// Where the rows went, if there were any.
    pub fn file(&self) -> Option<&Path> {
        self.out.is_some().then_some(self.policy.file.as_path())
    }

    /// Writes what was set aside so far, and judges how much it is.
    ///
    /// # Errors
    /// When there are more than the policy allows, or the file cannot be written.
    pub fn finish(&mut self) -> Result<RejectCounts> {
        if let Some(out) = &mut self.out {
            out.flush().with_context(|| self.policy.file.display().to_string())?;
        }
        let RejectCounts { all, by_field } = &self.counts;
        let counts = by_field.iter().map(|(field, count)| format!("{field}: {count}")).collect::<Vec<_>>();
        anyhow::ensure!(
            *all <= self.policy.max_rejects,
            "{all} rows are no products (by field: {}), and --max-rejects allows {}; see {}",
            counts.join(", "),
            self.policy.max_rejects,
            self.policy.file.display(),
        );
        Ok(self.counts.clone())
    }
}

/// Opens the file, to be written anew or behind what is to stay.
fn open(policy: &RejectPolicy) -> io::Result<File> {
    let (file, keeps) = (&policy.file, policy.keeps_earlier);
    if keeps && fs::metadata(file).is_ok_and(|meta| meta.len() > MAX_KEPT_BYTES) {
        let mut older = file.clone().into_os_string();
        older.push(".old");
        fs::rename(file, older)?;
    }
    OpenOptions::new().create(true).write(true).append(keeps).truncate(!keeps).open(file)
}

/// What a file holds already. Where whoever wrote it was killed in the middle of a line, the next one begins on its own.
fn read_told(path: &Path, out: &mut impl Write) -> io::Result<HashSet<u64>> {
    let (mut told, mut file, mut line) = (HashSet::new(), BufReader::new(File::open(path)?), Vec::new());
    while file.read_until(b'\n', &mut line)? > 0 {
        if let Ok(row) = serde_json::from_slice::<Value>(&line) {
            told.insert(hash_of(&row));
        }
        if !line.ends_with(b"\n") {
            writeln!(out)?;
        }
        line.clear();
    }
    Ok(told)
}

/// What tells one rejected row from another. The same row of a query is another one each time, in those that are read again.
fn hash_of(row: &Value) -> u64 {
    let mut row = row.clone();
    if row["input"] == QUERY_NAME
        && let Some(fields) = row.as_object_mut()
    {
        fields.remove("line");
    }
    id_hash(&row.to_string())
}

/// All attributes are one line of the report, however many there are.
fn field_group(field: &str) -> String {
    field.split('.').next().unwrap_or(field).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sets rows aside, each by its input, line and id, and gives the lines that the file has then.
    fn add(file: &Path, rows: &[(&str, u64, &str)]) -> usize {
        let policy = RejectPolicy { file: file.to_owned(), strict: false, max_rejects: 100, keeps_earlier: true };
        let mut rejects = Rejects::new(policy, BTreeSet::new());
        for (input, line, id) in rows {
            let fields = [("id".to_owned(), Value::from(*id))].into_iter().collect();
            let row = SourceRow { line: *line, text: String::new(), row: Ok(fields), is_expired: false };
            rejects.add(Path::new(input), &row, &ProductError::new("title", "is missing")).expect("it is written");
        }
        assert_eq!(rejects.finish().expect("few rows").all, rows.len() as u64, "all are counted");
        fs::read_to_string(file).expect("the rejects").lines().count()
    }

    /// A watch reads the newest rows of a query with each look, and wrote the same bad one every ten seconds.
    #[test]
    fn a_row_that_comes_again_is_written_once() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("rejects.jsonl");
        assert_eq!(add(&file, &[("sql", 3, "a"), ("1.jsonl", 1, "a"), ("1.jsonl", 2, "a")]), 3);
        assert_eq!(add(&file, &[("sql", 1, "a"), ("1.jsonl", 1, "a")]), 3, "in another run, at another place");
        assert_eq!(add(&file, &[("sql", 1, "b"), ("2.jsonl", 1, "a")]), 5, "another row, and another file");
    }

    #[test]
    fn half_a_line_stays_alone() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("rejects.jsonl");
        fs::write(&file, "{\"field\":\"ti").expect("half a line");
        assert_eq!(add(&file, &[("1.jsonl", 1, "a")]), 2);
        assert_eq!(add(&file, &[("1.jsonl", 1, "a"), ("1.jsonl", 2, "b")]), 3);
    }
}
