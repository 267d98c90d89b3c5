//! Sections of a segment as the numbers that they hold.

use std::ops::Range;

use bytemuck::AnyBitPattern;
use snapshots::Segment;

/// What a section of a segment holds.
#[inline]
pub(crate) fn numbers<'s, T: AnyBitPattern>(segment: &'s Segment, section: &Range<usize>) -> &'s [T] {
    whole_numbers(&segment.bytes()[section.clone()])
}

/// Bytes at the end that make no whole number are passed over: whoever opens a section counts what is there.
#[inline]
fn whole_numbers<T: AnyBitPattern>(bytes: &[u8]) -> &[T] {
    let size = size_of::<T>();
    bytemuck::cast_slice(&bytes[..bytes.len() / size * size])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_whole_number_is_passed_over() {
        let two: [u64; 2] = [1, 2];
        let bytes: &[u8] = bytemuck::cast_slice(&two);
        assert_eq!(whole_numbers::<u64>(bytes), [1, 2]);
        assert_eq!(whole_numbers::<u64>(&bytes[..15]), [1]);
        assert!(whole_numbers::<u32>(&bytes[..3]).is_empty());
    }
}
