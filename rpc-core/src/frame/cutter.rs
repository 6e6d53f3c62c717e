//! Frames that come in.

use std::mem;

use bytes::Bytes;

use super::{HEADER_BYTES, HEADER_BYTES_MAX, Header, TRAILER_BYTES, crc, mark};
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
    #[inline]
    pub(crate) fn size(&self, input: &[u8]) -> Result<Option<usize>, FrameError> {
        let Some(length) = input.first_chunk::<4>() else {
            return Ok(None);
        };
        let size = (u32::from_le_bytes(*length) as usize).saturating_add(4);
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
    #[inline]
    pub(crate) fn cut<'a>(&mut self, input: &'a [u8]) -> Result<Option<Frame<'a>>, FrameError> {
        let Some(frame) = self.size(input)?.and_then(|size| input.get(..size)) else {
            return Ok(None);
        };
        let end = Header::end_of_body(frame, frame.len());
        let head = crc::of(&frame[UNHASHED_BYTES..end]);
        let payloads = payloads(frame, end).map(crc::of);
        self.open(frame, end, head, payloads).map(Some)
    }

    /// The same of a whole frame that was hashed while it came.
    pub(crate) fn cut_hashed<'a>(
        &mut self,
        frame: &'a [u8],
        hash: &Hash,
    ) -> Result<Frame<'a>, FrameError> {
        match hash.head {
            Some((end, head)) => {
                let payloads = payloads(frame, end).map(|_| hash.running.get());
                self.open(frame, end, head, payloads)
            }
            None => Err(FrameError::Short(frame.len())),
        }
    }

    /// Returns a frame with these hashes, if they are the right ones.
    #[inline]
    fn open<'a>(
        &mut self,
        frame: &'a [u8],
        end: usize,
        head: u32,
        payloads_crc: Option<u32>,
    ) -> Result<Frame<'a>, FrameError> {
        let Some((fixed, mut rest)) = frame.split_first_chunk() else {
            return Err(FrameError::Short(frame.len()));
        };
        let expected = u32::from_le_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]);
        if mutant::is(Mutant::FrameRepeated)
            && self.next > 0
            && mark(self.next - 1, head) == expected
        {
            self.next -= 1;
        }
        self.check(expected, head)?;
        let (header, _) = Header::get(fixed, &mut rest)?;
        if let Some(crc) = payloads_crc
            && let Some(trailer) = frame.last_chunk()
        {
            self.check(u32::from_le_bytes(*trailer), crc)?;
        }
        self.next += 1;
        Ok(Frame {
            header,
            body: &frame[frame.len() - rest.len()..end],
            behind: payloads(frame, end).unwrap_or_default(),
            owner: None,
            size: frame.len(),
        })
    }

    /// Checks a hash of the next frame.
    const fn check(&self, expected: u32, crc: u32) -> Result<(), FrameError> {
        let found = mark(self.next, crc);
        if expected == found {
            return Ok(());
        }
        Err(FrameError::Crc {
            number: self.next,
            expected,
            found,
        })
    }
}

/// Returns the payloads of a frame whose body ends there, if it has any.
fn payloads(frame: &[u8], end: usize) -> Option<&[u8]> {
    frame.get(end..frame.len().checked_sub(TRAILER_BYTES)?)
}

/// What a large frame's checksums cover, hashed piece by piece as it comes: all at once at its end it
/// would be cold, and take long.
pub(crate) struct Hash {
    /// How much of the frame was hashed.
    seen: usize,
    running: crc::Running,
    /// Where the body ends, and the hash of all up to there.
    head: Option<(usize, u32)>,
}

impl Hash {
    pub(crate) fn new() -> Self {
        Self {
            seen: UNHASHED_BYTES,
            running: crc::Running::new(),
            head: None,
        }
    }

    /// Hashes what has come since the last time of a frame that will be so long.
    pub(crate) fn update(&mut self, frame: &[u8], size: usize) {
        if self.head.is_none() {
            if frame.len() < HEADER_BYTES_MAX.min(size) {
                return;
            }
            let end = Header::end_of_body(frame, size);
            self.update_to(frame, end);
            if self.seen < end {
                return;
            }
            let head = mem::replace(&mut self.running, crc::Running::new());
            self.head = Some((end, head.get()));
        }
        self.update_to(frame, size - TRAILER_BYTES);
    }

    /// Hashes what has come of what is before `end`.
    fn update_to(&mut self, frame: &[u8], end: usize) {
        let there = end.min(frame.len());
        if let Some(more) = frame.get(self.seen..there) {
            self.running.update(more);
            self.seen = there;
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
