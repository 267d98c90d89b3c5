//! `policy.toml`: what a snapshot must keep to before it is published.

mod judge;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

pub use judge::{NAMED, Violation, judge};

use crate::opened::NO_MARKET;
use crate::percent::Percent;

/// A policy is some lines; a file as large as this is something else.
const MAX_POLICY_BYTES: u64 = 256 * 1024;

/// Thresholds. Those that are None are not judged. The defaults stop a catastrophe and let a normal day pass.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    pub min_products: u64,
    /// Of the products before.
    pub max_removed_percent: Percent,
    pub max_added_percent: Option<Percent>,
    pub max_changed_percent: Option<Percent>,
    /// How many products a category may gain or lose, of those that it had before.
    pub max_category_change_percent: Percent,
    /// Categories that had fewer products before are not judged.
    pub min_category_products: u64,
    /// How far one price may move, of the smaller of both prices, before it is an outlier.
    pub max_price_change_percent: Percent,
    pub max_price_outliers: Option<u64>,
    /// Of the products that have a price before and now.
    pub max_price_outliers_percent: Percent,
    pub allow_currency_change: bool,
    /// Of all products now.
    pub max_without_images_percent: Option<Percent>,
    /// Of the products that had images before.
    pub max_lost_images_percent: Percent,
    pub max_without_price_percent: Option<Percent>,
    pub max_lost_price_percent: Percent,
    /// Of the rows that a build read; a few rows are not judged.
    pub max_rejected_percent: Percent,
    /// Whether no facet may be empty. Otherwise only those count that had values before.
    pub forbid_empty_facets: bool,
    /// Facets that may be empty in any case.
    pub allow_empty_facets: Vec<String>,
    pub max_size_growth_percent: Option<Percent>,
    pub golden: Option<GoldenPolicy>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            min_products: 1,
            max_removed_percent: Percent::whole(50),
            max_added_percent: None,
            max_changed_percent: None,
            max_category_change_percent: Percent::whole(90),
            min_category_products: 100,
            max_price_change_percent: Percent::whole(100),
            max_price_outliers: None,
            max_price_outliers_percent: Percent::whole(20),
            allow_currency_change: false,
            max_without_images_percent: None,
            max_lost_images_percent: Percent::whole(20),
            max_without_price_percent: None,
            max_lost_price_percent: Percent::whole(20),
            max_rejected_percent: Percent::whole(10),
            forbid_empty_facets: false,
            allow_empty_facets: Vec::new(),
            max_size_growth_percent: None,
            golden: None,
        }
    }
}

/// Queries that are asked before a publish, and what they must score.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoldenPolicy {
    /// JSON Lines of id and query.
    pub queries: PathBuf,
    /// Query id, product id and grade, separated by tabs.
    pub judgments: Option<PathBuf>,
    /// Whose rules hold; without a market, those that name none.
    pub market: Option<String>,
    /// Queries with fewer judged products are left out.
    #[serde(default = "one")]
    pub min_judged: usize,
    pub min_ndcg: Option<f64>,
    /// By how much nDCG may be below that of the snapshot before.
    pub max_ndcg_drop: Option<f64>,
    pub max_zero_results_percent: Option<Percent>,
}

fn one() -> usize {
    1
}

impl Policy {
    /// Reads a policy; the files that it names lie beside it, where their paths are not absolute.
    ///
    /// # Errors
    /// Names the file, and the key at fault.
    pub fn read(path: &Path) -> Result<Self> {
        let at = || path.display().to_string();
        let size_bytes = std::fs::metadata(path).with_context(at)?.len();
        ensure!(size_bytes <= MAX_POLICY_BYTES, "{} is larger than {MAX_POLICY_BYTES} bytes", at());
        let text = std::fs::read_to_string(path).with_context(at)?;
        let mut policy = Self::parse(&text).with_context(at)?;
        if let Some(golden) = &mut policy.golden {
            let folder = path.parent().unwrap_or(Path::new(""));
            golden.queries = folder.join(&golden.queries);
            golden.judgments = golden.judgments.take().map(|judgments| folder.join(judgments));
        }
        Ok(policy)
    }

    /// # Errors
    /// Names the key at fault.
    pub fn parse(text: &str) -> Result<Self> {
        let policy: Self = toml::from_str(text)?;
        if let Some(golden) = &policy.golden {
            golden.validate()?;
        }
        Ok(policy)
    }
}

impl GoldenPolicy {
    /// Whose rules hold, as an index takes it.
    pub fn market(&self) -> &str {
        self.market.as_deref().unwrap_or(NO_MARKET)
    }

    fn validate(&self) -> Result<()> {
        for (key, value) in [("min_ndcg", self.min_ndcg), ("max_ndcg_drop", self.max_ndcg_drop)] {
            let Some(value) = value else { continue };
            ensure!((0.0..=1.0).contains(&value), "golden.{key}: {value} is not from 0 to 1");
            ensure!(self.judgments.is_some(), "golden.{key}: needs golden.judgments, which tell what is good");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_read_key_by_key() {
        let policy = Policy::parse(
            "max_removed_percent = 12.5\nmax_price_outliers = 0\nallow_empty_facets = [\"color\"]\n\
             [golden]\nqueries = \"golden.jsonl\"\nmax_zero_results_percent = 5\n",
        );
        let policy = policy.expect("a policy");
        assert_eq!(Some(policy.max_removed_percent), Percent::parse("12.5"));
        assert_eq!((policy.max_price_outliers, policy.min_products), (Some(0), 1));
        assert_eq!(policy.golden.map(|golden| golden.min_judged), Some(1));
        assert_eq!(Policy::parse("").expect("nothing is a policy"), Policy::default());
    }

    #[test]
    fn faults_name_the_key() {
        let check = |text: &str, expected: &str| {
            let error = Policy::parse(text).expect_err(text);
            assert!(format!("{error:#}").contains(expected), "{error:#}");
        };
        check("max_removed = 5", "max_removed");
        check("max_removed_percent = -5", "max_removed_percent");
        check("max_removed_percent = -5", "'-5' is no percentage");
        check("max_removed_percent = true", "is no percentage");
        check("min_products = \"many\"", "min_products");
        check("[golden]\njudgments = \"a.tsv\"", "queries");
        check("[golden]\nqueries = \"a\"\nfloor = 1", "floor");
        check("[golden]\nqueries = \"a\"\nmin_ndcg = 0.5", "golden.min_ndcg: needs golden.judgments");
        check("[golden]\nqueries = \"a\"\njudgments = \"b\"\nmin_ndcg = 40", "golden.min_ndcg: 40 is not from 0 to 1");
    }

    #[test]
    fn files_lie_beside_the_policy() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("policy.toml");
        std::fs::write(&path, "[golden]\nqueries = \"golden.jsonl\"\njudgments = \"/far/judgments.tsv\"\n")
            .expect("a file");
        let golden = Policy::read(&path).expect("a policy").golden.expect("golden queries");
        assert_eq!(golden.queries, folder.path().join("golden.jsonl"));
        assert_eq!(golden.judgments, Some(PathBuf::from("/far/judgments.tsv")));
        assert!(Policy::read(&folder.path().join("none.toml")).is_err());
    }
}
