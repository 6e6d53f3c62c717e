//! Frames: how messages are cut out of a stream of bytes. Pure.
//!
//! ```text
//!  0        4        8    9     10       12        16                 24
//!  ┌────────┬────────┬────┬─────┬────────┬─────────┬──────────────────┬ ─ ─ ─ ┬ ─ ─ ─ ─ ─ ┬ ─ ─ ─ ─┬ ─ ─ ─ ─ ┬──────┬ ─ ─ ─ ─ ┬ ─ ─ ─ ─ ┐
//!  │ length │ crc32c │kind│flags│ method │ gateway │     call id      │token 8│time left 8│trace 25│behind 4 │ body │ payloads│crc32c 4 │
//!  └────────┴────────┴────┴─────┴────────┴─────────┴──────────────────┴ ─ ─ ─ ┴ ─ ─ ─ ─ ─ ┴ ─ ─ ─ ─┴ ─ ─ ─ ─ ┴──────┴ ─ ─ ─ ─ ┴ ─ ─ ─ ─ ┘
//! ```
//!
//! All numbers are little-endian. `length` counts what follows it and is checked against the limit
//! before anything is allocated. The first `crc32c` covers what follows it up to the end of the body. If
//! payloads come behind that, another behind them covers them: they are hashed piece by piece while they
//! are written, and by whoever writes them. Both are combined by exclusive or with
//! the lower half of the frame's number, which is not sent: both sides count the frames of each
//! direction from 0, so that a frame which is lost, repeated or out of order is as bad as one whose
//! bytes are wrong. The token is there with flag [`FENCED`], the time that is left to the call, in microseconds, with flag
//! [`DEADLINE`], the trace (id 16, span 8, flags 1) with flag [`TRACED`], and with flag [`BEHIND`] how
//! many bytes of payloads come behind the body. The body is the codec's.

mod buffer;
mod crc;
mod cutter;

pub(crate) use self::buffer::{FrameBuffer, Mark, Output, PutError};
#[cfg(any(test, feature = "testing"))]
pub(crate) use self::cutter::OwnedFrame;
pub(crate) use self::cutter::{Frame, FrameCutter, FrameError, Hash};

use bytes::Buf;

use crate::trace::TraceContext;

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
    /// The callee has handled messages of this many bytes in all; `call` has the number.
    Credit = 9,
    /// The endpoint behind a gateway has ended.
    Gone = 10,
    /// The callee's service ends: nothing more of this connection is answered. `call` says how many
    /// frames the bulk lane has carried, which are to be read first.
    Goodbye = 11,
    /// The caller needs a gateway's number no more.
    Release = 12,
    /// The requests of a gateway come by the bulk lane from here on.
    Move = 13,
    /// The callee has much to say, and asks for a bulk lane.
    Widen = 14,
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
            9 => Self::Credit,
            10 => Self::Gone,
            11 => Self::Goodbye,
            12 => Self::Release,
            13 => Self::Move,
            14 => Self::Widen,
            _ => return None,
        })
    }
}

/// A response is an error.
const ERROR: u8 = 1;
/// A fencing token follows the header.
const FENCED: u8 = 2;
/// The remaining time follows the header.
const DEADLINE: u8 = 4;
/// A trace context follows the header.
const TRACED: u8 = 8;
/// The number of bytes follows the header that come behind the body.
const BEHIND: u8 = 16;

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
    pub(crate) trace: Option<TraceContext>,
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
            trace: None,
        }
    }

    /// Appends it, with zeroes in place of the length and the checksum.
    fn put(&self, out: &mut Vec<u8>) {
        let flags = flag(self.error, ERROR)
            | flag(self.token.is_some(), FENCED)
            | flag(self.remaining_us.is_some(), DEADLINE)
            | flag(self.trace.is_some(), TRACED);
        let mut fixed = [0; HEADER_BYTES];
        fixed[8] = self.kind as u8;
        fixed[9] = flags;
        fixed[10..12].copy_from_slice(&self.method.to_le_bytes());
        fixed[12..16].copy_from_slice(&self.gateway.to_le_bytes());
        fixed[16..24].copy_from_slice(&self.call.to_le_bytes());
        out.reserve(HEADER_BYTES_MAX);
        out.extend_from_slice(&fixed);
        if let Some(token) = self.token {
            out.extend_from_slice(&token.to_le_bytes());
        }
        if let Some(remaining_us) = self.remaining_us {
            out.extend_from_slice(&remaining_us.to_le_bytes());
        }
        if let Some(trace) = &self.trace {
            out.extend_from_slice(&trace.trace_id().to_le_bytes());
            out.extend_from_slice(&trace.span_id().to_le_bytes());
            out.push(trace.flags());
        }
    }

    /// Says in a header that was put that payloads come behind the body.
    fn announce(header: &mut [u8]) {
        header[1] |= BEHIND;
    }

    /// Reads a header. Returns also how many bytes of payloads come behind the body.
    #[inline]
    fn get(fixed: &[u8; HEADER_BYTES], bytes: &mut &[u8]) -> Result<(Self, usize), FrameError> {
        let [_, _, _, _, _, _, _, _, kind, flags, ..] = *fixed;
        let kind = Kind::from_byte(kind).ok_or(FrameError::Kind(kind))?;
        if flags & !(ERROR | FENCED | DEADLINE | TRACED | BEHIND) != 0 {
            return Err(FrameError::Flags(flags));
        }
        let mut fields = &fixed[10..];
        let mut header = Self {
            kind,
            error: flags & ERROR != 0,
            method: fields.get_u16_le(),
            gateway: fields.get_u32_le(),
            call: fields.get_u64_le(),
            token: None,
            remaining_us: None,
            trace: None,
        };
        let mut extra = |flag| match flags & flag {
            0 => Ok(None),
            _ if bytes.len() < 8 => Err(FrameError::Short(bytes.len())),
            _ => Ok(Some(bytes.get_u64_le())),
        };
        header.token = extra(FENCED)?;
        header.remaining_us = extra(DEADLINE)?;
        if flags & TRACED != 0 {
            if bytes.len() < TRACE_BYTES {
                return Err(FrameError::Short(bytes.len()));
            }
            let (trace, span) = (bytes.get_u128_le(), bytes.get_u64_le());
            let context = TraceContext::new(trace, span, bytes.get_u8());
            header.trace = Some(context.ok_or(FrameError::Trace)?);
        }
        let mut behind = 0;
        if flags & BEHIND != 0 {
            if bytes.len() < 4 {
                return Err(FrameError::Short(bytes.len()));
            }
            behind = bytes.get_u32_le() as usize;
            if behind.saturating_add(TRAILER_BYTES) > bytes.len() {
                return Err(FrameError::Short(bytes.len()));
            }
        }
        Ok((header, behind))
    }

    /// Returns where the body of a frame of this size ends, of which at least so much is there as the
    /// longest header has. That is where the frame ends, too, if nothing comes behind, or if what it
    /// says of that makes no sense: nobody has looked at its checksum yet.
    fn end_of_body(frame: &[u8], size: usize) -> usize {
        let flags = frame.get(9).copied().unwrap_or_default();
        if flags & BEHIND == 0 {
            return size;
        }
        let of = |flag, bytes| if flags & flag == 0 { 0 } else { bytes };
        let place = HEADER_BYTES + of(FENCED, 8) + of(DEADLINE, 8) + of(TRACED, TRACE_BYTES);
        let behind = frame.get(place..).and_then(|it| it.first_chunk());
        let behind = behind.map(|it| u32::from_le_bytes(*it) as usize);
        let end = behind.and_then(|it| size.checked_sub(it.saturating_add(TRAILER_BYTES)));
        end.filter(|it| *it >= place + 4).unwrap_or(size)
    }
}

const fn flag(set: bool, flag: u8) -> u8 {
    if set { flag } else { 0 }
}

/// Makes the checksum of a frame of what it covers.
#[cfg(any(test, feature = "testing"))]
pub(crate) fn checksum(number: u64, content: &[u8]) -> u32 {
    mark(number, crc::of(content))
}

/// Makes the length and the checksums of a frame right, whatever is in it.
#[cfg(any(test, feature = "testing"))]
pub(crate) fn seal(number: u64, frame: &mut [u8]) {
    let size = frame.len();
    let length = u32::try_from(size - 4).expect("it is small");
    frame[..4].copy_from_slice(&length.to_le_bytes());
    let end = Header::end_of_body(frame, size);
    let head = checksum(number, &frame[8..end]);
    frame[4..8].copy_from_slice(&head.to_le_bytes());
    if end < size {
        let (payloads, trailer) = frame[end..].split_at_mut(size - end - TRAILER_BYTES);
        trailer.copy_from_slice(&checksum(number, payloads).to_le_bytes());
    }
}

/// Makes a hash that of one frame and no other.
#[expect(
    clippy::cast_possible_truncation,
    reason = "half of the number will do"
)]
const fn mark(number: u64, crc: u32) -> u32 {
    crc ^ number as u32
}

/// The part that every frame has.
const HEADER_BYTES: usize = 24;
/// The ids and the flags of a trace context.
const TRACE_BYTES: usize = 25;
/// The longest header.
const HEADER_BYTES_MAX: usize = HEADER_BYTES + 8 + 8 + TRACE_BYTES + 4;
/// The checksum of payloads.
const TRAILER_BYTES: usize = 4;

#[cfg(test)]
mod tests;
