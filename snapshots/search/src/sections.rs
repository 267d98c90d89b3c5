//! Sections of a segment as the numbers that they hold.

/// What a section holds. Bytes at its end that make no whole number are passed over: whoever opens it counts what is there.
#[inline]
pub(crate) fn numbers<T: bytemuck::AnyBitPattern>(bytes: &[u8]) -> &[T] {
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
        assert_eq!(numbers::<u64>(bytes), [1, 2]);
        assert_eq!(numbers::<u64>(&bytes[..15]), [1]);
        assert!(numbers::<u32>(&bytes[..3]).is_empty());
    }
}
