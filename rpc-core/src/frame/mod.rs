//! Frames: how messages are cut out of a stream of bytes. Pure.
//!
//! ```text
//!  0        4        8    9     10       12        16                 24
//!  ┌────────┬────────┬────┬─────┬────────┬─────────┬──────────────────┬ ─ ─ ─ ─ ─ ┬ ─ ─ ─ ─ ─ ─ ─ ─ ┬──────┐
//!  │ length │ crc32c │kind│flags│ method │ gateway │     call id      │ token  8  │ remaining µs  8  │ body │
//!  └────────┴────────┴────┴─────┴────────┴─────────┴──────────────────┴ ─ ─ ─ ─ ─ ┴ ─ ─ ─ ─ ─ ─ ─ ─ ┴──────┘
//! ```
//!
//! All numbers are little-endian. `length` counts what follows it and is checked against the limit
//! before anything is allocated; `crc32c` covers what follows it. The token is there with flag
//! [`FENCED`], the remaining time with flag [`DEADLINE`]. The body is the codec's.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::codec::{self, CodecError};

/// What a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// A call that wants an answer.
    Request = 1,
    /// A call that wants none.
    OneWay = 2,
    /// The answer to a call.
    Response = 3,
    /// The caller no longer waits.
    Cancel = 4,
    /// The caller allows more time than it first said.
    Extend = 5,
    /// Asks for a small number for an endpoint's gateway.
    Resolve = 6,
    /// Is the peer there?
    Ping = 7,
    /// It is.
    Pong = 8,
}

impl Kind {
    const fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Request,
            2 => Self::OneWay,
            3 => Self::Response,
            4 => Self::Cancel,
            5 => Self::Extend,
            6 => Self::Resolve,
            7 => Self::Ping,
            8 => Self::Pong,
            _ => return None,
        })
    }
}

/// A response is an error.
pub(crate) const ERROR: u8 = 1;
/// A fencing token follows the header.
const FENCED: u8 = 2;
/// The remaining time follows the header.
const DEADLINE: u8 = 4;

/// All of a frame but its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    /// Whether a response is an error.
    pub(crate) error: bool,
    pub(crate) method: u16,
    pub(crate) gateway: u32,
    pub(crate) call: u64,
    pub(crate) token: Option<u64>,
    /// What is left of the call's time, in microseconds.
    pub(crate) remaining_us: Option<u64>,
}

impl Header {
    /// A header with all but its kind and its call empty.
    pub(crate) const fn new(kind: Kind, call: u64) -> Self {
        Self {
            kind,
            error: false,
            method: 0,
            gateway: 0,
            call,
            token: None,
            remaining_us: None,
        }
    }

    fn put(&self, out: &mut BytesMut) {
        let flags = flag(self.error, ERROR)
            | flag(self.token.is_some(), FENCED)
            | flag(self.remaining_us.is_some(), DEADLINE);
        out.put_u8(self.kind as u8);
        out.put_u8(flags);
        out.put_u16_le(self.method);
        out.put_u32_le(self.gateway);
        out.put_u64_le(self.call);
        for extra in [self.token, self.remaining_us].into_iter().flatten() {
            out.put_u64_le(extra);
        }
    }

    fn get(bytes: &mut Bytes) -> Result<Self, FrameError> {
        let kind = bytes.get_u8();
        let kind = Kind::from_byte(kind).ok_or(FrameError::Kind(kind))?;
        let flags = bytes.get_u8();
        if flags & !(ERROR | FENCED | DEADLINE) != 0 {
            return Err(FrameError::Flags(flags));
        }
        let mut header = Self::new(kind, 0);
        header.error = flags & ERROR != 0;
        header.method = bytes.get_u16_le();
        header.gateway = bytes.get_u32_le();
        header.call = bytes.get_u64_le();
        let mut extra = |flag| match flags & flag {
            0 => Ok(None),
            _ if bytes.len() < 8 => Err(FrameError::Short(bytes.len())),
            _ => Ok(Some(bytes.get_u64_le())),
        };
        header.token = extra(FENCED)?;
        header.remaining_us = extra(DEADLINE)?;
        Ok(header)
    }
}

const fn flag(set: bool, flag: u8) -> u8 {
    if set { flag } else { 0 }
}

/// A whole frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) header: Header,
    pub(crate) body: Bytes,
}

/// Appends a frame whose body is the encoding of `body`.
///
/// On an error `out` is as it was before: a message that cannot be sent leaves no trace.
pub(crate) fn put<T: serde::Serialize + ?Sized>(
    out: &mut BytesMut,
    header: &Header,
    body: &T,
    limit: usize,
) -> Result<(), PutError> {
    put_with(out, header, limit, |out| codec::encode(body, out))
}

/// Appends a frame without a body.
pub(crate) fn put_empty(out: &mut BytesMut, header: &Header) {
    let fits = put_with(out, header, usize::MAX, |_| Ok(()));
    debug_assert!(fits.is_ok(), "a frame without a body always fits");
}

fn put_with(
    out: &mut BytesMut,
    header: &Header,
    limit: usize,
    body: impl FnOnce(&mut BytesMut) -> Result<(), CodecError>,
) -> Result<(), PutError> {
    let start = out.len();
    out.put_u64_le(0);
    header.put(out);
    if let Err(error) = body(out) {
        out.truncate(start);
        return Err(PutError::Codec(error));
    }
    let size = out.len() - start;
    let Some(length) = u32::try_from(size - 4).ok().filter(|_| size <= limit) else {
        out.truncate(start);
        return Err(PutError::TooLarge { size, limit });
    };
    let crc = crc32c::crc32c(&out[start + 8..]);
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
    out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
    Ok(())
}

/// Takes the first frame out of `input`; `None` until all of it is there.
pub(crate) fn take(input: &mut BytesMut, limit: usize) -> Result<Option<Frame>, FrameError> {
    let Some(length) = input.first_chunk::<4>() else {
        return Ok(None);
    };
    let size = 4 + u32::from_le_bytes(*length) as usize;
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
    let found = crc32c::crc32c(&bytes);
    if expected != found {
        return Err(FrameError::Crc { expected, found });
    }
    let header = Header::get(&mut bytes)?;
    Ok(Some(Frame {
        header,
        body: bytes,
    }))
}

/// Why a message is not sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PutError {
    Codec(CodecError),
    TooLarge { size: usize, limit: usize },
}

/// Why bytes are not a frame. The connection is of no use then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("a frame's checksum is {found:08x} instead of {expected:08x}")]
    Crc { expected: u32, found: u32 },
    #[error("a frame has unknown flags {0:#04x}")]
    Flags(u8),
    #[error("a frame is of the unknown kind {0}")]
    Kind(u8),
    #[error("a frame of {0} bytes is too short")]
    Short(usize),
    #[error("a frame of {size} bytes is larger than the limit {limit}")]
    TooLarge { size: usize, limit: usize },
}

/// The part that every frame has.
const HEADER_BYTES: usize = 24;

#[cfg(test)]
mod tests;
