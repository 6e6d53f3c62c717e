//! New inputs out of those that are kept.

use super::INPUT_BYTES_MAX;
use super::wire::seal;

/// Makes an input out of the `corpus`: the same one for the same `seed`.
#[must_use]
pub fn mutate(corpus: &[Vec<u8>], seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut input = match random.choice(corpus) {
        Some(kept) if random.u8(..16) > 0 => kept.clone(),
        _ => noise(&mut random, 256),
    };
    for _ in 0..random.usize(1..=6) {
        change(&mut input, corpus, &mut random);
    }
    input.truncate(INPUT_BYTES_MAX);
    // Half of the inputs get past the checksums.
    if random.bool() {
        seal(&mut input);
    }
    input
}

fn change(input: &mut Vec<u8>, corpus: &[Vec<u8>], random: &mut fastrand::Rng) {
    let start = random.usize(..=input.len());
    let end = input.len().min(start + random.usize(..32));
    match random.u8(..10) {
        0 => input.truncate(start),
        1 => drop(input.drain(start..end)),
        2 => drop(input.splice(start..start, noise(random, 16))),
        3 => {
            let copied = input[start..end].to_vec();
            let times = random.usize(1..=32);
            input.splice(start..start, copied.repeat(times));
        }
        4 => {
            if let Some(other) = random.choice(corpus) {
                let from = random.usize(..=other.len());
                input.splice(start.., other[from..].iter().copied());
            }
        }
        5 => {
            // A length in four bytes, as frames have them.
            let length = number(random).to_le_bytes();
            input.splice(start..input.len().min(start + 4), length[..4].to_vec());
        }
        6 => {
            // A length as the codec has them, in a byte or behind a mark.
            let length = number(random);
            let coded = match u8::try_from(length) {
                Ok(length) if length <= 250 => vec![length],
                _ => [&[253][..], &length.to_le_bytes()].concat(),
            };
            input.splice(start..input.len().min(start + 1), coded);
        }
        _ if start < input.len() => match random.bool() {
            true => input[start] ^= 1 << random.u8(..8),
            false => input[start] = random.u8(..),
        },
        _ => input.push(random.u8(..)),
    }
}

fn noise(random: &mut fastrand::Rng, bytes_max: usize) -> Vec<u8> {
    let length = random.usize(..=bytes_max);
    std::iter::repeat_with(|| random.u8(..))
        .take(length)
        .collect()
}

/// A number at which something may change.
fn number(random: &mut fastrand::Rng) -> u64 {
    let near = 1u64 << random.u8(..64);
    match random.u8(..4) {
        0 => near - 1,
        1 => near,
        2 => random.u64(..1024),
        _ => random.u64(..),
    }
}
