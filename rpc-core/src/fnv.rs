//! The FNV-1a hash of text: the same in each process and with each version of Rust.
//!
//! Whoever wants to can make two texts of one hash: it tells apart, and keeps nobody out.

use std::fmt::{self, Write};

/// Hashes what is written to it.
#[derive(Debug)]
pub(crate) struct Fnv(u64);

impl Fnv {
    pub(crate) const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    pub(crate) const fn hash(&self) -> u64 {
        self.0
    }
}

impl Write for Fnv {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::Fnv;

    /// By the test vectors of the hash's authors.
    #[test]
    fn known_texts_have_their_known_hashes() {
        for (text, hash) in [
            ("", 0xcbf2_9ce4_8422_2325),
            ("a", 0xaf63_dc4c_8601_ec8c),
            ("foobar", 0x8594_4171_f739_67e8),
        ] {
            let mut fnv = Fnv::new();
            fnv.write_str(text).unwrap();
            assert_eq!(fnv.hash(), hash, "{text}");
        }
    }
}
