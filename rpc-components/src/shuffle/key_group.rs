//! Which subtask a key belongs to.
//!
//! Keys are dealt out to key groups, and contiguous ranges of key groups to subtasks, so that with
//! another parallelism whole groups move.

/// Returns the subtask, of `parallelism`, that has a key.
///
/// The answer is the same in every process, build and release.
#[must_use]
pub fn subtask_of_key(key: &str, parallelism: u32) -> u32 {
    let max = max_parallelism(parallelism);
    let subtask = u64::from(key_group(key, max)) * u64::from(parallelism) / u64::from(max);
    u32::try_from(subtask).unwrap_or(u32::MAX)
}

/// Returns the key group, of `max_parallelism`, that a key belongs to.
///
/// # Panics
///
/// If `max_parallelism` is 0.
#[must_use]
pub fn key_group(key: &str, max_parallelism: u32) -> u32 {
    let group = stable_hash(key.as_bytes()) % u64::from(max_parallelism);
    u32::try_from(group).unwrap_or(0)
}

/// Returns how many key groups a vertex has. Flink's `computeDefaultMaxParallelism`.
#[must_use]
pub fn max_parallelism(parallelism: u32) -> u32 {
    let half_more = parallelism.saturating_add(parallelism / 2);
    let power = half_more
        .checked_next_power_of_two()
        .unwrap_or(MAX_PARALLELISM_MAX);
    power.clamp(MAX_PARALLELISM_MIN, MAX_PARALLELISM_MAX)
}

/// FNV-1a, and the last step of Murmur3 so that all bits of the result depend on all of the key.
const fn stable_hash(mut key: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    while let [byte, rest @ ..] = key {
        hash = (hash ^ *byte as u64).wrapping_mul(0x0100_0000_01b3);
        key = rest;
    }
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

const MAX_PARALLELISM_MIN: u32 = 128;
const MAX_PARALLELISM_MAX: u32 = 32_768;
