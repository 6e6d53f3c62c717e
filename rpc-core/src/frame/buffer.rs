//! Frames that wait to be written.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::mem;

use bytes::{Buf, Bytes};

use super::{Header, crc, mark};
use crate::codec::{self, CodecError};
use crate::error::RpcError;

/// The frames of one direction of a connection, one behind the other, which it numbers.
#[derive(Clone, Debug, Default)]
pub(crate) struct FrameBuffer {
    output: Output,
    /// The number of the next frame.
    next: u64,
    /// Who hashes the payloads of the next frame that is put.
    hashing: Hashing,
}

/// Where large payloads are hashed. It takes long, and is not to be done while others want to put
/// frames: whoever asks for it gets them back, and puts them again with their hash.
#[derive(Clone, Debug, Default)]
pub(crate) enum Hashing {
    /// By the buffer.
    #[default]
    Here,
    /// If they are large, elsewhere.
    Apart,
    Done(HashedPayloads),
}

/// Payloads and their hash.
#[derive(Clone, Debug)]
pub(crate) struct HashedPayloads {
    payloads: Vec<Bytes>,
    crc: u32,
}

impl HashedPayloads {
    pub(crate) fn new(payloads: Vec<Bytes>) -> Self {
        let crc = crc::of_all(payloads.iter().map(|it| &it[..]));
        Self { payloads, crc }
    }

    /// Tells whether these are the very same.
    fn are(&self, payloads: &[Bytes]) -> bool {
        let place = |it: &Bytes| (it.as_ptr(), it.len());
        self.payloads
            .iter()
            .map(place)
            .eq(payloads.iter().map(place))
    }
}

/// Where a frame begins in a buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    chunks: usize,
    tail: usize,
}

/// Bytes on their way out: frames that were copied together, and payloads as they lie.
#[derive(Clone, Debug, Default)]
pub(crate) struct Output {
    /// What goes before the tail.
    chunks: VecDeque<Bytes>,
    tail: Vec<u8>,
    /// How much of the tail is written.
    written: usize,
    /// How many bytes all are, but for those of the tail.
    chunked: usize,
}

impl FrameBuffer {
    /// Returns how many bytes wait.
    pub(crate) fn len(&self) -> usize {
        self.output.len()
    }

    /// Says where the payloads of the next frame are hashed that is put.
    pub(crate) fn set_hashing(&mut self, hashing: Hashing) {
        self.hashing = hashing;
    }

    /// Returns how many frames were put in all.
    pub(crate) const fn frames(&self) -> u64 {
        self.next
    }

    /// Returns where the next frame begins.
    pub(crate) fn mark(&self) -> Mark {
        Mark {
            chunks: self.output.chunks.len(),
            tail: self.output.tail.len(),
        }
    }

    /// Moves the last frame, which began at `mark`, behind those of another buffer.
    pub(crate) fn move_last(&mut self, mark: Mark, to: &mut Self) {
        let Output {
            chunks,
            tail,
            chunked,
            ..
        } = &mut self.output;
        let mut payloads = chunks.split_off(mark.chunks);
        let start = to.output.tail.len();
        match payloads.pop_front() {
            Some(mut sealed) => {
                to.output.tail.extend_from_slice(&sealed[mark.tail..]);
                sealed.truncate(mark.tail);
                let moved: usize = payloads.iter().map(Bytes::len).sum();
                *chunked -= moved + to.output.tail.len() - start;
                if !sealed.is_empty() {
                    chunks.push_back(sealed);
                }
                debug_assert!(tail.is_empty(), "the last frame ends with a payload");
            }
            None => {
                to.output.tail.extend_from_slice(&tail[mark.tail..]);
                tail.truncate(mark.tail);
            }
        }
        self.next -= 1;
        // Its checksum is that of its content and its number.
        let crc = &mut to.output.tail[start + 4..start + 8];
        let number = (self.next ^ to.next).to_le_bytes();
        crc.iter_mut()
            .zip(number)
            .for_each(|(byte, it)| *byte ^= it);
        to.next += 1;
        // Each payload came with an empty piece before it, but for the first.
        payloads.retain(|it| !it.is_empty());
        payloads.into_iter().for_each(|it| to.output.append(it));
    }

    /// Gives what waits, and goes on with the memory of what is empty.
    pub(crate) const fn swap(&mut self, empty: &mut Output) {
        mem::swap(&mut self.output, empty);
    }

    /// Takes what waits.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn take(&mut self) -> Output {
        mem::take(&mut self.output)
    }

    /// Appends a frame whose body is the encoding of `body`, and returns the frame's size.
    ///
    /// On an error the buffer is as it was before: a message that cannot be sent leaves no trace.
    pub(crate) fn put<T: serde::Serialize + ?Sized>(
        &mut self,
        header: &Header,
        body: &T,
        limit: usize,
    ) -> Result<usize, PutError> {
        self.put_with(header, limit, |out| {
            let (encoded, behind) = codec::payload::collect(|| codec::encode(body, out));
            encoded.map(|()| behind)
        })
    }

    /// Appends a frame whose body is encoded already.
    pub(crate) fn put_encoded(
        &mut self,
        header: &Header,
        body: &[u8],
        limit: usize,
    ) -> Result<usize, PutError> {
        self.put_with(header, limit, |out| {
            out.extend_from_slice(body);
            Ok(Vec::new())
        })
    }

    /// Appends a frame without a body.
    pub(crate) fn put_empty(&mut self, header: &Header) {
        let fits = self.put_with(header, usize::MAX, |_| Ok(Vec::new()));
        debug_assert!(fits.is_ok(), "a frame without a body always fits");
    }

    /// Appends what is no frame at all.
    #[cfg(test)]
    pub(crate) fn put_text(&mut self, text: &str) {
        self.output.tail.extend_from_slice(text.as_bytes());
    }

    fn put_with(
        &mut self,
        header: &Header,
        limit: usize,
        body: impl FnOnce(&mut Vec<u8>) -> Result<Vec<Bytes>, CodecError>,
    ) -> Result<usize, PutError> {
        let hashing = mem::take(&mut self.hashing);
        let Self { output, next, .. } = self;
        let mut begun = Begun::new(&mut output.tail);
        let (start, out) = (begun.start, &mut *begun.out);
        header.put(out);
        let header_end = out.len();
        let behind = body(out).map_err(PutError::Codec)?;
        let behind_bytes: usize = behind.iter().map(Bytes::len).sum();
        if let Ok(bytes) = u32::try_from(behind_bytes)
            && bytes > 0
        {
            Header::announce(&mut out[start + 8..]);
            out.splice(header_end..header_end, bytes.to_le_bytes());
        }
        let size = out.len() - start + behind_bytes;
        let length = u32::try_from(size - 4).ok().filter(|_| size <= limit);
        let length = length.ok_or(PutError::TooLarge { size, limit })?;
        let content = &out[start + 8..];
        let crc = match hashing {
            _ if behind.is_empty() => crc::of(content),
            Hashing::Apart if behind_bytes >= HASHED_APART_MIN => {
                return Err(PutError::Unhashed(behind));
            }
            Hashing::Done(hashed) if hashed.are(&behind) => {
                crc::join(crc::of(content), hashed.crc, behind_bytes)
            }
            _ => {
                let behind = behind.iter().map(|it| &it[..]);
                crc::of_all(std::iter::once(content).chain(behind))
            }
        };
        out[start..start + 4].copy_from_slice(&length.to_le_bytes());
        out[start + 4..start + 8].copy_from_slice(&mark(*next, crc).to_le_bytes());
        begun.is_whole = true;
        drop(begun);
        *next += 1;
        if !behind.is_empty() {
            behind.into_iter().for_each(|it| output.append(it));
        }
        Ok(size)
    }
}

/// A frame that is begun. It leaves no trace if it does not become whole, also when a value panics that
/// is encoded.
struct Begun<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
    is_whole: bool,
}

impl<'a> Begun<'a> {
    const fn new(out: &'a mut Vec<u8>) -> Self {
        let start = out.len();
        Self {
            out,
            start,
            is_whole: false,
        }
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        if !self.is_whole {
            self.out.truncate(self.start);
        }
    }
}

impl Output {
    /// Returns how many bytes are left.
    pub(crate) fn len(&self) -> usize {
        self.chunked + self.tail.len() - self.written
    }

    /// Returns how much memory is kept for what comes next.
    pub(crate) fn capacity(&self) -> usize {
        self.tail.capacity()
    }

    fn append(&mut self, payload: Bytes) {
        debug_assert_eq!(self.written, 0, "nothing is put while it is written");
        let sealed = Bytes::from(mem::take(&mut self.tail));
        for chunk in [sealed, payload] {
            self.chunked += chunk.len();
            self.chunks.push_back(chunk);
        }
    }

    /// Returns what is to be written next, of so many bytes at most, if it is one piece.
    pub(crate) fn as_one(&self, most: usize) -> Option<&[u8]> {
        let tail = &self.tail[self.written..];
        self.chunks
            .is_empty()
            .then(|| &tail[..tail.len().min(most)])
    }

    /// Returns what is to be written next, of so many bytes at most. Returns how many of the slices are
    /// filled.
    pub(crate) fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>], mut most: usize) -> usize {
        let tail = &self.tail[self.written..];
        let all = self.chunks.iter().map(|it| &it[..]).chain([tail]);
        let mut filled = 0;
        for (slice, bytes) in slices.iter_mut().zip(all.filter(|it| !it.is_empty())) {
            let bytes = &bytes[..bytes.len().min(most)];
            *slice = IoSlice::new(bytes);
            filled += 1;
            most -= bytes.len();
            if most == 0 {
                break;
            }
        }
        filled
    }

    /// So many bytes are written.
    pub(crate) fn advance(&mut self, mut written: usize) {
        while let Some(chunk) = self.chunks.front_mut() {
            let of_it = written.min(chunk.len());
            chunk.advance(of_it);
            self.chunked -= of_it;
            written -= of_it;
            if !chunk.is_empty() {
                return;
            }
            self.chunks.pop_front();
        }
        self.written += written;
        if self.written == self.tail.len() {
            self.tail.clear();
            self.written = 0;
        }
    }

    /// Returns all that is left as one piece.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn to_vec(&self) -> Vec<u8> {
        let mut all: Vec<u8> = self.chunks.iter().flatten().copied().collect();
        all.extend_from_slice(&self.tail[self.written..]);
        all
    }
}

/// Why a message is not sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PutError {
    Codec(CodecError),
    TooLarge {
        size: usize,
        limit: usize,
    },
    /// Its payloads are large, and to be hashed first; see [`Hashing`].
    Unhashed(Vec<Bytes>),
    /// The callee is to handle what it has first.
    Window {
        limit: u64,
    },
}

impl PutError {
    /// Returns what the message's sender is told.
    pub(crate) fn into_error(self, method: &str, response: bool) -> RpcError {
        let method = method.to_owned();
        match self {
            Self::Codec(error) => RpcError::Codec {
                method,
                response,
                detail: error.to_string(),
            },
            Self::TooLarge { size, limit } => RpcError::TooLarge {
                method,
                response,
                size: size as u64,
                limit: limit as u64,
            },
            Self::Unhashed(_) => unreachable!("they are hashed where they are sent"),
            Self::Window { limit } => RpcError::Overloaded {
                queue: String::from("the window"),
                limit,
            },
        }
    }
}

/// Payloads that are smaller in all are hashed as quickly as one gets a lock.
const HASHED_APART_MIN: usize = 32 << 10;
