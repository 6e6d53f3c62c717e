//! Frames that wait to be written.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::mem;

use bytes::{Buf, Bytes};

use super::{Header, TRAILER_BYTES, crc, mark};
use crate::codec::{self, CodecError};
use crate::error::RpcError;

/// The frames of one direction of a connection, one behind the other, which it numbers.
#[derive(Clone, Debug, Default)]
pub(crate) struct FrameBuffer {
    output: Output,
    /// The number of the next frame.
    next: u64,
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
    chunks: VecDeque<Chunk>,
    tail: Vec<u8>,
    /// How much of the tail is written.
    written: usize,
    /// How many bytes all are, but for those of the tail.
    chunked: usize,
    /// The hash of those of a frame's payloads that are ready, if others are not.
    hash: Option<Box<crc::Running>>,
}

/// A piece of what goes before the tail.
#[derive(Clone, Debug)]
enum Chunk {
    /// It may be written.
    Ready(Bytes),
    /// A part of a payload that is to be hashed first. It takes long, and is not to be done where a frame
    /// is put, while others want to put theirs.
    Payload(Bytes),
    /// The checksum of the payloads before it, which are those of the frame with this number.
    Trailer(u64),
}

impl Chunk {
    fn len(&self) -> usize {
        match self {
            Self::Ready(bytes) | Self::Payload(bytes) => bytes.len(),
            Self::Trailer(_) => TRAILER_BYTES,
        }
    }
}

impl FrameBuffer {
    /// Returns how many bytes wait.
    pub(crate) fn len(&self) -> usize {
        self.output.len()
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
        let mut behind = chunks.split_off(mark.chunks);
        let start = to.output.tail.len();
        match behind.pop_front() {
            Some(first) => {
                debug_assert!(tail.is_empty(), "the last frame ends with a checksum");
                *chunked -= first.len() + behind.iter().map(Chunk::len).sum::<usize>();
                if let Chunk::Ready(mut sealed) = first {
                    to.output.tail.extend_from_slice(&sealed[mark.tail..]);
                    sealed.truncate(mark.tail);
                    self.output.push(Chunk::Ready(sealed));
                }
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
        if !behind.is_empty() {
            to.output.seal();
        }
        for chunk in behind {
            to.output.push(match chunk {
                Chunk::Trailer(_) => Chunk::Trailer(to.next),
                chunk => chunk,
            });
        }
        to.next += 1;
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
        let Self { output, next } = self;
        let mut begun = Begun::new(&mut output.tail);
        let (start, out) = (begun.start, &mut *begun.out);
        header.put(out);
        let header_end = out.len();
        let payloads = body(out).map_err(PutError::Codec)?;
        let mut behind: usize = payloads.iter().map(Bytes::len).sum();
        if let Ok(bytes) = u32::try_from(behind)
            && bytes > 0
        {
            Header::announce(&mut out[start + 8..]);
            out.splice(header_end..header_end, bytes.to_le_bytes());
            behind += TRAILER_BYTES;
        }
        let size = out.len() - start + behind;
        let length = u32::try_from(size - 4).ok().filter(|_| size <= limit);
        let length = length.ok_or(PutError::TooLarge { size, limit })?;
        let crc = crc::of(&out[start + 8..]);
        out[start..start + 4].copy_from_slice(&length.to_le_bytes());
        out[start + 4..start + 8].copy_from_slice(&mark(*next, crc).to_le_bytes());
        begun.is_whole = true;
        drop(begun);
        if behind > 0 {
            output.append(payloads, *next);
        }
        *next += 1;
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

    /// Appends what comes behind the frame with this number, which is the last.
    fn append(&mut self, payloads: Vec<Bytes>, number: u64) {
        self.seal();
        for mut payload in payloads {
            while !payload.is_empty() {
                let piece = payload.split_to(payload.len().min(PIECE_BYTES));
                self.push(Chunk::Payload(piece));
            }
        }
        self.push(Chunk::Trailer(number));
    }

    /// What is put from here on goes behind what may be pushed now.
    fn seal(&mut self) {
        debug_assert_eq!(self.written, 0, "nothing is put while it is written");
        let sealed = Bytes::from(mem::take(&mut self.tail));
        self.push(Chunk::Ready(sealed));
    }

    fn push(&mut self, chunk: Chunk) {
        let bytes = chunk.len();
        if bytes > 0 {
            self.chunked += bytes;
            self.chunks.push_back(chunk);
        }
    }

    /// Makes so many bytes ready that are to be written next, or a little more.
    pub(crate) fn prepare(&mut self, bytes: usize) {
        let mut ready = 0;
        for chunk in &mut self.chunks {
            if ready >= bytes {
                return;
            }
            ready += chunk.len();
            match chunk {
                Chunk::Ready(_) => {}
                Chunk::Payload(payload) => {
                    let hash = self
                        .hash
                        .get_or_insert_with(|| Box::new(crc::Running::new()));
                    hash.update(payload);
                    *chunk = Chunk::Ready(mem::take(payload));
                }
                Chunk::Trailer(number) => {
                    let crc = self.hash.take().map_or(0, |it| it.get());
                    let trailer = mark(*number, crc).to_le_bytes();
                    *chunk = Chunk::Ready(Bytes::copy_from_slice(&trailer));
                }
            }
        }
    }

    /// Returns what is to be written next, of so many bytes at most, if it is one piece.
    pub(crate) fn as_one(&self, most: usize) -> Option<&[u8]> {
        let tail = &self.tail[self.written..];
        self.chunks
            .is_empty()
            .then(|| &tail[..tail.len().min(most)])
    }

    /// Returns what is to be written next and is [ready](Self::prepare), of so many bytes at most.
    /// Returns how many of the slices are filled.
    pub(crate) fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>], mut most: usize) -> usize {
        let ready = self.chunks.iter().map_while(|it| match it {
            Chunk::Ready(bytes) => Some(&bytes[..]),
            Chunk::Payload(_) | Chunk::Trailer(_) => None,
        });
        let tail = Some(&self.tail[self.written..]);
        let tail = tail.filter(|it| !it.is_empty() && self.is_ready());
        let mut filled = 0;
        for (slice, bytes) in slices.iter_mut().zip(ready.chain(tail)) {
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

    /// Tells whether all is, since the last chunk is prepared last.
    fn is_ready(&self) -> bool {
        let last = self.chunks.back();
        last.is_none_or(|it| matches!(it, Chunk::Ready(_)))
    }

    /// So many bytes are written.
    pub(crate) fn advance(&mut self, mut written: usize) {
        while let Some(Chunk::Ready(chunk)) = self.chunks.front_mut() {
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
        let mut all = self.clone();
        all.prepare(usize::MAX);
        let mut slices = vec![IoSlice::new(&[]); all.chunks.len() + 1];
        let filled = all.slices(&mut slices, usize::MAX);
        slices[..filled].iter().flat_map(|it| it.to_vec()).collect()
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
            Self::Window { limit } => RpcError::Overloaded {
                queue: String::from("the window"),
                limit,
            },
        }
    }
}

/// So much of a payload is hashed at once, soon before it is written: it is warm by then.
const PIECE_BYTES: usize = 128 << 10;
