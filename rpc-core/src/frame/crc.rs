//! CRC-32C.

use crc_fast::{CrcAlgorithm, Digest};

/// Hashes bytes that are in one place.
pub(super) fn of(bytes: &[u8]) -> u32 {
    narrow(crc_fast::checksum(CRC32C, bytes))
}

/// The hash of bytes that come piece by piece.
#[derive(Clone, Debug)]
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

const CRC32C: CrcAlgorithm = CrcAlgorithm::Crc32Iscsi;

#[cfg(test)]
mod tests {
    use super::{Running, of};

    #[test]
    fn it_is_crc_32c() {
        assert_eq!(of(b"123456789"), 0xE306_9283);
        let mut running = Running::new();
        for piece in [&b"1234"[..], b"", b"56789"] {
            running.update(piece);
        }
        assert_eq!(running.get(), 0xE306_9283);
    }
}
