//! Rows that are no products: counted by field, set aside with their reasons.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use snapshots::ProductError;

use crate::source::SourceRow;

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
    /// What earlier runs set aside stays: its rows do not come again.
    pub keeps_earlier: bool,
}

/// The bad rows of one build.
pub struct Rejects {
    policy: RejectPolicy,
    /// The names of attributes that are written nowhere.
    private: BTreeSet<String>,
    out: Option<BufWriter<File>>,
    count: u64,
    by_field: BTreeMap<String, u64>,
}

impl Rejects {
    /// Begins a build: what an earlier one set aside is out of date, unless it is to stay.
    pub fn new(policy: RejectPolicy, private: BTreeSet<String>) -> Self {
        if !policy.keeps_earlier {
            let _ = fs::remove_file(&policy.file);
        }
        Self { private, policy, out: None, count: 0, by_field: BTreeMap::new() }
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
                let file = open(&self.policy).with_context(|| format!("the rejects file {}", path.display()))?;
                self.out.insert(BufWriter::new(file))
            }
        };
        writeln!(out, "{row}").with_context(|| path.display().to_string())?;
        self.count += 1;
        *self.by_field.entry(field_group(&fault.field)).or_default() += 1;
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

    pub fn count(&self) -> u64 {
        self.count
    }

    /// Where the rows went, if there were any.
    pub fn file(&self) -> Option<&Path> {
        self.out.is_some().then_some(self.policy.file.as_path())
    }

    /// Ends the file and judges the count.
    ///
    /// # Errors
    /// When there are more than the policy allows, or the file cannot be written.
    pub fn finish(&mut self) -> Result<BTreeMap<String, u64>> {
        if let Some(out) = &mut self.out {
            out.flush().with_context(|| self.policy.file.display().to_string())?;
        }
        let counts = self.by_field.iter().map(|(field, count)| format!("{field}: {count}")).collect::<Vec<_>>();
        anyhow::ensure!(
            self.count <= self.policy.max_rejects,
            "{} rows are no products (by field: {}), and --max-rejects allows {}; see {}",
            self.count,
            counts.join(", "),
            self.policy.max_rejects,
            self.policy.file.display(),
        );
        Ok(self.by_field.clone())
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

/// All attributes are one line of the report, however many there are.
fn field_group(field: &str) -> String {
    field.split('.').next().unwrap_or(field).to_owned()
}
