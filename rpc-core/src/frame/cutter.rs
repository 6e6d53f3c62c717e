//! Frames that come in.

use bytes::{Buf, Bytes, BytesMut};

use super::{HEADER_BYTES, Header, checksum};
use crate::mutant::{self, Mutant};

/// A whole frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) header: Header,
    pub(crate) body: Bytes,
    /// How many bytes the frame had in all.
    pub(crate) size: usize,
}

/// Cuts the bytes of one direction of a connection into frames, which it numbers.
#[derive(Debug)]
pub(crate) struct FrameCutter {
    /// The number of the next frame.
    next: u64,
    limit: usize,
}

impl FrameCutter {
    pub(crate) const fn new(limit: usize) -> Self {
        Self { next: 0, limit }
    }

    /// Takes the first frame out of `input`; `None` until all of it is there.
    ///
    /// After an error the connection is of no use: nothing tells where the next frame begins.
    pub(crate) fn take(&mut self, input: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
        let Some(length) = input.first_chunk::<4>() else {
            return Ok(None);
        };
        let size = 4 + u32::from_le_bytes(*length) as usize;
        let limit = self.limit;
        if size > limit {
            return Err(FrameError::TooLarge { size, limit });
        }
        if size < HEADER_BYTES {
            return Err(FrameError::Short(size));
        }
        if input.len() < size {
            input.reserve(size - input.len());
            return Ok(None);
        }
        let mut bytes = input.split_to(size).freeze();
        bytes.advance(4);
        let expected = bytes.get_u32_le();
        let mut found = checksum(self.next, &bytes);
        if mutant::is(Mutant::FrameRepeated) && self.next > 0 {
            let again = checksum(self.next - 1, &bytes);
            if again == expected {
                found = again;
                self.next -= 1;
            }
        }
        if expected != found {
            return Err(FrameError::Crc {
                number: self.next,
                expected,
                found,
            });
        }
        let header = Header::get(&mut bytes)?;
        self.next += 1;
        Ok(Some(Frame {
            header,
            body: bytes,
            size,
        }))
    }
}

/// Why bytes are not a frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("the checksum of frame {number} is {found:08x} instead of {expected:08x}")]
    Crc {
        number: u64,
        expected: u32,
        found: u32,
    },
    #[error("a frame has unknown flags {0:#04x}")]
    Flags(u8),
    #[error("a frame is of the unknown kind {0}")]
    Kind(u8),
    #[error("a frame of {0} bytes is too short")]
    Short(usize),
    #[error("a frame of {size} bytes is larger than the limit {limit}")]
    TooLarge { size: usize, limit: usize },
    #[error("a frame's trace has no id")]
    Trace,
}
