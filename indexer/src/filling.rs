//! Products into a segment: made and analysed on every core, and added in their order.

use anyhow::Result;
use search::{AnalysedProduct, SegmentBuilder};
use snapshots::Product;

use crate::in_order;
use crate::progress::Progress;

/// Adds the products of all batches. `product` makes each of the place where it is kept, on any thread.
///
/// # Errors
/// When a product cannot be made or added.
pub(crate) fn add_all<P: Send>(
    builder: &mut SegmentBuilder,
    workers: usize,
    batches: impl Iterator<Item = Vec<P>>,
    product: impl Fn(P) -> Result<Product> + Sync,
    progress: &mut Progress,
) -> Result<()> {
    let analysis = builder.analysis();
    let analysed = |place: P| -> Result<(Product, AnalysedProduct)> {
        let product = product(place)?;
        let analysed = analysis.read(&product);
        Ok((product, analysed))
    };
    let work = |batch: Vec<P>| batch.into_iter().map(&analysed).collect::<Vec<_>>();
    let mut number = 0;
    let take = |batch: Vec<Result<(Product, AnalysedProduct)>>| -> Result<()> {
        for one in batch {
            let (product, analysed) = one?;
            builder.add_analysed(&product, analysed)?;
            progress.at(number);
            number += 1;
        }
        Ok(())
    };
    in_order::map(workers, batches, work, take)
}
