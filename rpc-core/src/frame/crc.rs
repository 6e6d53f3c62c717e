//! CRC-32C, and how two of them become one.

use crc_fast::{CrcAlgorithm, Digest};

/// Hashes bytes that are in one place.
pub(super) fn of(bytes: &[u8]) -> u32 {
    narrow(crc_fast::checksum(CRC32C, bytes))
}

/// Hashes bytes that are in several places.
pub(super) fn of_all<'a>(parts: impl Iterator<Item = &'a [u8]>) -> u32 {
    let mut running = Running::new();
    parts.for_each(|part| running.update(part));
    running.get()
}

/// The hash of bytes that come piece by piece.
pub(super) struct Running(Digest);

impl Running {
    pub(super) fn new() -> Self {
        Self(Digest::new(CRC32C))
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(super) fn get(&self) -> u32 {
        narrow(self.0.finalize())
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a CRC of 32 bits")]
const fn narrow(crc: u64) -> u32 {
    crc as u32
}

/// Returns the hash of bytes behind which there are so many others, of the hashes of both.
///
/// A hash is a polynomial over GF(2), modulo another. To append bytes multiplies it by x to the power of
/// their bits, which is a product of some of the powers in a table; the library, which goes bit by bit,
/// takes a hundred times as long.
pub(super) const fn join(front: u32, behind: u32, mut bytes_behind: usize) -> u32 {
    let mut front = front;
    let mut bit = 3;
    while bytes_behind > 0 {
        if bytes_behind & 1 == 1 {
            front = product(POWERS[bit], front);
        }
        bytes_behind >>= 1;
        bit += 1;
    }
    front ^ behind
}

/// Multiplies two polynomials; the coefficient of 1 is the highest bit.
const fn product(a: u32, mut b: u32) -> u32 {
    let mut product = 0;
    let mut bit = 1 << 31;
    while bit > 0 {
        if a & bit != 0 {
            product ^= b;
        }
        bit >>= 1;
        b = (b >> 1) ^ if b & 1 == 1 { POLYNOMIAL } else { 0 };
    }
    product
}

/// For each bit of a number, x to the power of its value.
static POWERS: [u32; 3 + usize::BITS as usize] = {
    let mut powers = [1 << 30; 3 + usize::BITS as usize];
    let mut bit = 1;
    while bit < powers.len() {
        powers[bit] = product(powers[bit - 1], powers[bit - 1]);
        bit += 1;
    }
    powers
};

/// That of Castagnoli, without its highest term.
const POLYNOMIAL: u32 = 0x82F6_3B78;
const CRC32C: CrcAlgorithm = CrcAlgorithm::Crc32Iscsi;

#[cfg(test)]
mod tests {
    use super::{join, of, of_all};

    #[test]
    fn it_is_crc_32c() {
        assert_eq!(of(b"123456789"), 0xE306_9283);
        assert_eq!(
            of_all([&b"1234"[..], b"", b"56789"].into_iter()),
            0xE306_9283
        );
    }

    #[test]
    fn two_become_one() {
        let mut random = fastrand::Rng::with_seed(1);
        let bytes: Vec<u8> = std::iter::repeat_with(|| random.u8(..))
            .take(100_000)
            .collect();
        for _ in 0..200 {
            let end = random.usize(..=bytes.len());
            let middle = random.usize(..=end);
            let (front, behind) = bytes[..end].split_at(middle);
            let joined = join(of(front), of(behind), behind.len());
            assert_eq!(joined, of(&bytes[..end]), "{middle} of {end}");
        }
    }
}
