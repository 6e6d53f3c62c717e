//! Frames that come in.

use bytes::Bytes;

use super::{HEADER_BYTES, Header, crc, mark};
use crate::codec::payload;
use crate::mutant::{self, Mutant};

/// A whole frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) header: Header,
    pub(crate) body: &'a [u8],
    /// The payloads that came behind the body.
    pub(crate) behind: &'a [u8],
    /// What the payloads are a part of, if they can be handed on.
    pub(crate) owner: Option<&'a Bytes>,
    /// How many bytes the frame had in all.
    pub(crate) size: usize,
}

impl Frame<'_> {
    /// Decodes what the frame holds.
    pub(crate) fn decode<R>(&self, decode: impl FnOnce(&[u8]) -> R) -> R {
        if self.behind.is_empty() {
            return decode(self.body);
        }
        // What is handed on keeps all of the frame's memory.
        let owner = self.owner.filter(|it| 2 * self.behind.len() >= it.len());
        let behind = match owner {
            Some(owner) => owner.slice_ref(self.behind),
            None => Bytes::copy_from_slice(self.behind),
        };
        payload::provide(behind, || decode(self.body))
    }
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

    /// Returns how long the first frame of `input` is, as far as that can be told.
    pub(crate) fn size(&self, input: &[u8]) -> Result<Option<usize>, FrameError> {
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
        Ok(Some(size))
    }

    /// Returns the first frame of `input`; `None` until all of it is there. It is for the caller to go
    /// on behind it.
    ///
    /// After an error the connection is of no use: nothing tells where the next frame begins.
    pub(crate) fn cut<'a>(&mut self, input: &'a [u8]) -> Result<Option<Frame<'a>>, FrameError> {
        let Some(frame) = self.size(input)?.and_then(|size| input.get(..size)) else {
            return Ok(None);
        };
        self.open(frame, crc::of(&frame[UNHASHED_BYTES..]))
            .map(Some)
    }

    /// The same of a whole frame that was hashed while it came.
    pub(crate) fn cut_hashed<'a>(
        &mut self,
        frame: &'a [u8],
        hash: &Hash,
    ) -> Result<Frame<'a>, FrameError> {
        self.open(frame, hash.running.get())
    }

    fn open<'a>(&mut self, frame: &'a [u8], crc: u32) -> Result<Frame<'a>, FrameError> {
        let (head, content) = frame.split_at(UNHASHED_BYTES);
        let expected = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
        let mut found = mark(self.next, crc);
        if mutant::is(Mutant::FrameRepeated) && self.next > 0 {
            let again = mark(self.next - 1, crc);
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
        let mut rest = content;
        let (header, behind) = Header::get(&mut rest)?;
        let (body, behind) = rest.split_at(rest.len() - behind);
        self.next += 1;
        Ok(Frame {
            header,
            body,
            behind,
            owner: None,
            size: frame.len(),
        })
    }
}

/// What a large frame's checksum covers, hashed piece by piece as it comes: all at once at its end it
/// would be cold, and take long.
pub(crate) struct Hash {
    running: crc::Running,
    /// How much of the frame it has seen.
    seen: usize,
}

impl Hash {
    pub(crate) fn new() -> Self {
        Self {
            running: crc::Running::new(),
            seen: UNHASHED_BYTES,
        }
    }

    /// Hashes what has come of a frame since the last time.
    pub(crate) fn update(&mut self, frame: &[u8]) {
        if let Some(more) = frame.get(self.seen..) {
            self.running.update(more);
            self.seen = frame.len();
        }
    }
}

/// The length and the checksum.
const UNHASHED_BYTES: usize = 8;

/// A frame that outlives the bytes that it was cut from.
#[cfg(any(test, feature = "testing"))]
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OwnedFrame {
    pub(crate) header: Header,
    pub(crate) body: Vec<u8>,
    pub(crate) behind: Vec<u8>,
    pub(crate) size: usize,
}

#[cfg(any(test, feature = "testing"))]
impl FrameCutter {
    /// Takes the first frame out of `input`; `None` until all of it is there.
    pub(crate) fn take(
        &mut self,
        input: &mut bytes::BytesMut,
    ) -> Result<Option<OwnedFrame>, FrameError> {
        let frame = self.cut(input)?.map(|frame| OwnedFrame {
            header: frame.header,
            body: frame.body.to_vec(),
            behind: frame.behind.to_vec(),
            size: frame.size,
        });
        let taken = frame.as_ref().map_or(0, |it| it.size);
        bytes::Buf::advance(input, taken);
        Ok(frame)
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
