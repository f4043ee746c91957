//! The entry table and the sums.

/// The most entries of a table.
pub const MAX_ENTRIES: usize = 1_000_000;
/// The longest table, in plain bytes.
pub const MAX_LENGTH: u64 = 512 << 20;
/// Bytes of one line of the sums.
pub const SUM_LINE: usize = 67;
