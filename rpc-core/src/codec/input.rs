//! The bytes of a message, and what they may still become.

use bincode::Decode;
use bincode::error::DecodeError;

use super::error::{CodecError, Reason};
use super::{CONFIG, EXPANDED_BYTES_MIN, EXPANDED_FACTOR, MESSAGE_BYTES_MAX};

/// What is left of a message while it is decoded.
pub(super) struct Input<'de> {
    rest: &'de [u8],
    /// How much memory the value may still take.
    allowance: usize,
    /// The size of the whole message.
    size: usize,
}

impl<'de> Input<'de> {
    pub(super) const fn new(bytes: &'de [u8]) -> Result<Self, Reason> {
        let size = bytes.len();
        if size > MESSAGE_BYTES_MAX {
            let limit = MESSAGE_BYTES_MAX;
            return Err(Reason::TooLarge { size, limit });
        }
        Ok(Self {
            rest: bytes,
            allowance: allowance(size),
            size,
        })
    }

    /// Reads a value of a fixed or self-delimiting encoding, none of which allocates.
    #[inline]
    pub(super) fn read<T: Decode<()>>(&mut self) -> Result<T, CodecError> {
        match bincode::decode_from_slice(self.rest, CONFIG) {
            Ok((value, used)) => {
                self.rest = &self.rest[used..];
                Ok(value)
            }
            Err(error) => Err(self.unreadable(error)),
        }
    }

    /// Reads bytes whose number comes before them.
    #[inline]
    pub(super) fn read_bytes(&mut self) -> Result<&'de [u8], CodecError> {
        let needed: u64 = self.read()?;
        let split = usize::try_from(needed).ok();
        let Some((bytes, rest)) = split.and_then(|it| self.rest.split_at_checked(it)) else {
            let left = self.rest.len();
            return Err(Reason::Short { needed, left }.into());
        };
        self.rest = rest;
        self.charge(1, bytes.len())?;
        Ok(bytes)
    }

    /// Accounts for memory that `count` values of `size` bytes take.
    #[inline]
    pub(super) fn charge(&mut self, count: usize, size: usize) -> Result<(), CodecError> {
        match self.allowance.checked_sub(count.saturating_mul(size)) {
            Some(left) => {
                self.allowance = left;
                Ok(())
            }
            None => Err(self.expanded()),
        }
    }

    /// How many bytes are left.
    #[inline]
    pub(super) const fn len(&self) -> usize {
        self.rest.len()
    }

    /// Makes sure that nothing is left.
    pub(super) const fn finish(self) -> Result<(), Reason> {
        match self.rest.len() {
            0 => Ok(()),
            rest => Err(Reason::LeftOver(rest)),
        }
    }

    #[cold]
    fn expanded(&self) -> CodecError {
        let (size, limit) = (self.size, allowance(self.size));
        Reason::Expanded { size, limit }.into()
    }

    #[cold]
    fn unreadable(&self, error: DecodeError) -> CodecError {
        let left = self.rest.len();
        match error {
            DecodeError::UnexpectedEnd { additional } => {
                let needed = (left + additional) as u64;
                Reason::Short { needed, left }.into()
            }
            error => Reason::Value(error.to_string()).into(),
        }
    }
}

/// How much memory a message of this size may take.
const fn allowance(size: usize) -> usize {
    EXPANDED_BYTES_MIN.saturating_add(EXPANDED_FACTOR.saturating_mul(size))
}
