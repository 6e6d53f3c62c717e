//! Frames, cut from a stream.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::mem;
use std::pin::pin;
use std::sync::atomic::Ordering;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::spares::Spares;
use super::{Heard, ReadError};
use crate::frame::{Frame, FrameCutter, FrameError, Hash};

/// Cuts a stream into frames, all of a read one after the other.
///
/// Small frames are read many at once, into memory that a thread lends to whoever reads there: of many
/// connections most are silent. A large one has its memory for itself from when it begins to come, and is
/// read straight into it: its payloads outlive it, and are not copied.
pub(super) struct FrameReader<'a, R> {
    reader: R,
    /// Small frames, and then perhaps the beginning of a large one. It has no memory while nothing comes.
    input: BytesMut,
    /// How much of the input is cut already.
    cut: usize,
    /// Elsewhere, since most connections have none.
    coming: Option<Box<Coming>>,
    /// The last frame, if it is large.
    large: Bytes,
    spares: Spares,
    cutter: FrameCutter,
    /// How much is read before other tasks are to have their turn.
    at_once: usize,
    /// How much was read since they had it.
    read: usize,
    heard: &'a Heard,
}

/// A large frame, as far as it has come.
struct Coming {
    frame: BytesMut,
    /// How long it will be.
    size: usize,
    hash: Hash,
}

impl Coming {
    fn missing(&self) -> usize {
        self.size - self.frame.len()
    }
}

impl<'a, R: AsyncRead + Unpin> FrameReader<'a, R> {
    pub(super) fn new(reader: R, limit: usize, at_once: usize, heard: &'a Heard) -> Self {
        Self {
            reader,
            input: BytesMut::new(),
            cut: 0,
            coming: None,
            large: Bytes::new(),
            spares: Spares::default(),
            cutter: FrameCutter::new(limit),
            at_once,
            read: 0,
            heard,
        }
    }

    /// Returns the next frame of what was read; `None` when [`read`](Self::read) has to read more.
    pub(super) fn next(&mut self) -> Result<Option<Frame<'_>>, FrameError> {
        if self.coming.is_some() {
            return self.next_large();
        }
        let there = &self.input[self.cut..];
        let Some(size) = self.cutter.size(there)? else {
            return Ok(None);
        };
        if size >= LARGE_BYTES {
            let (mut frame, own) = (self.spares.take(size), size.min(there.len()));
            // Memory follows what has come: a length by itself costs a peer nothing.
            frame.reserve(size.min(TRUSTED_BYTES));
            frame.extend_from_slice(&there[..own]);
            let hash = Hash::new();
            self.coming = Some(Box::new(Coming { frame, size, hash }));
            self.cut += own;
            return self.next_large();
        }
        if size > there.len() {
            return Ok(None);
        }
        Heard::add(&self.heard.frames, 1);
        let begin = self.cut;
        self.cut += size;
        self.cutter.cut(&self.input[begin..self.cut])
    }

    /// Returns the large frame that was coming, if all of it is there.
    fn next_large(&mut self) -> Result<Option<Frame<'_>>, FrameError> {
        let Some(coming) = &mut self.coming else {
            return Ok(None);
        };
        coming.hash.update(&coming.frame, coming.size);
        let Some(whole) = self.coming.take_if(|it| it.missing() == 0) else {
            return Ok(None);
        };
        let Coming { frame, hash, .. } = *whole;
        Heard::add(&self.heard.frames, 1);
        let memory = frame.capacity();
        self.large = frame.freeze();
        self.spares.keep(&self.large, memory);
        let frame = self.cutter.cut_hashed(&self.large, &hash)?;
        Ok(Some(Frame {
            owner: Some(&self.large),
            ..frame
        }))
    }

    /// Tells whether it is time for other tasks to have their turn, once.
    pub(super) const fn take_turn_over(&mut self) -> bool {
        let over = self.read >= self.at_once;
        if over {
            self.read = 0;
        }
        over
    }

    /// Reads more; `false` at the end of the stream.
    pub(super) async fn read(&mut self) -> Result<bool, ReadError> {
        let cut = mem::take(&mut self.cut);
        if cut == self.input.len() {
            // It goes on where it began, without a look at how much memory is left.
            self.input.clear();
        } else {
            self.input.advance(cut);
        }
        let after_large = !mem::take(&mut self.large).is_empty();
        let within_frame = self.coming.is_some() || !self.input.is_empty();
        self.heard
            .within_frame
            .store(within_frame, Ordering::Relaxed);
        let is_small = self.coming.is_none();
        let (into, at_once) = if let Some(coming) = &mut self.coming {
            let (there, missing) = (coming.frame.len(), coming.missing());
            if there == coming.frame.capacity() {
                coming.frame.reserve(missing.min(there));
            }
            (&mut coming.frame, missing)
        } else {
            // Another large one is likely to follow, and what is read of it here is moved.
            let at_once = if after_large {
                HEAD_BYTES
            } else {
                self.spares.cool();
                usize::MAX
            };
            (&mut self.input, at_once)
        };
        let (reader, at_once) = (&mut self.reader, at_once.min(self.at_once));
        let read = poll_fn(|cx| {
            if is_small {
                borrow(into);
            }
            let poll = pin!(reader.read_buf(&mut (&mut *into).limit(at_once))).poll(cx);
            if is_small && poll.is_pending() {
                give_back(into);
            }
            poll
        })
        .await?;
        Heard::add(&self.heard.bytes, read as u64);
        self.read = self.read.saturating_add(read);
        match (read, within_frame) {
            (0, false) => Ok(false),
            (0, true) => Err(ReadError::Truncated),
            _ => Ok(true),
        }
    }
}

thread_local! {
    /// What this thread lends to whoever reads here.
    static LENT: Cell<BytesMut> = Cell::default();
}

/// Takes what this thread lends, unless something was read before that is not all of a frame.
fn borrow(input: &mut BytesMut) {
    if input.capacity() == 0 {
        *input = LENT.take();
    }
    input.reserve(READ_BYTES);
}

/// Gives it back, unless there is something in it.
fn give_back(input: &mut BytesMut) {
    if input.is_empty() {
        let memory = mem::take(input);
        if memory.capacity() <= LENT_BYTES_MAX {
            LENT.set(memory);
        }
    }
}

/// How much is read at once, at least, unless it is a large frame.
const READ_BYTES: usize = 32 << 10;
/// Larger memory is not lent again.
const LENT_BYTES_MAX: usize = 2 * READ_BYTES;
/// How much of a large frame is read at first.
const HEAD_BYTES: usize = 4 << 10;
/// A frame that is as large has its memory for itself.
const LARGE_BYTES: usize = READ_BYTES;
/// So much memory is taken for a frame of which only the length has come: 1 MiB, and what a frame has
/// besides.
const TRUSTED_BYTES: usize = (1 << 20) + HEAD_BYTES;

#[cfg(test)]
mod tests {
    use std::io;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use bytes::Bytes;
    use futures_util::FutureExt;
    use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};

    use super::{
        FrameCutter, FrameReader, HEAD_BYTES, LARGE_BYTES, LENT, READ_BYTES, TRUSTED_BYTES,
    };
    use crate::Payload;
    use crate::connection::{Heard, ReadError};
    use crate::frame::{FrameBuffer, Header, Kind};

    /// Bytes that come in pieces of any size.
    struct Pieces {
        bytes: Bytes,
        random: fastrand::Rng,
    }

    impl Pieces {
        fn new(bytes: impl Into<Bytes>, seed: u64) -> Self {
            Self {
                bytes: bytes.into(),
                random: fastrand::Rng::with_seed(seed),
            }
        }
    }

    impl AsyncRead for Pieces {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            into: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            let most = self.random.usize(1..2 * READ_BYTES);
            let piece = most.min(into.remaining()).min(self.bytes.len());
            into.put_slice(&self.bytes.split_to(piece));
            Poll::Ready(Ok(()))
        }
    }

    /// Makes a frame of each text, of which every second has it behind its body if it is long.
    fn wire(texts: &[String]) -> Vec<u8> {
        let mut buffer = FrameBuffer::default();
        for (call, text) in (0..).zip(texts) {
            let header = Header::new(Kind::Request, call);
            let put = match call % 2 {
                0 => buffer.put(&header, text.as_bytes(), LIMIT),
                _ => buffer.put(&header, &Payload::from(text.clone().into_bytes()), LIMIT),
            };
            put.unwrap();
        }
        buffer.take().to_vec()
    }

    #[tokio::test]
    async fn frames_of_all_sizes_come_whole_and_in_order_in_whatever_pieces() {
        const EDGES: [usize; 6] = [0, HEAD_BYTES, READ_BYTES, LARGE_BYTES, 100_000, 1 << 20];
        for seed in 0..50 {
            let mut random = fastrand::Rng::with_seed(seed);
            let texts: Vec<String> = (0..40)
                .map(|_| {
                    let edge = EDGES[random.usize(..EDGES.len())];
                    let size = match random.u8(..4) {
                        // About so that the frame is just as long.
                        0 => edge.saturating_sub(random.usize(..60)),
                        _ => random.usize(..200),
                    };
                    String::from(random.alphanumeric()).repeat(size)
                })
                .collect();
            let heard = Heard::default();
            let pieces = Pieces::new(wire(&texts), seed);
            let mut reader = FrameReader::new(pieces, LIMIT, usize::MAX, &heard);
            let mut held = Vec::new();
            let mut expected = (0..).zip(&texts);
            while reader.read().await.unwrap() {
                while let Some(frame) = reader.next().unwrap() {
                    let (call, text) = expected.next().unwrap();
                    assert_eq!(frame.header.call, call, "seed {seed}");
                    let is_behind = call % 2 == 1 && text.len() >= 16 << 10;
                    let there = if is_behind { frame.behind } else { frame.body };
                    assert!(there.ends_with(text.as_bytes()), "seed {seed}");
                    assert_eq!(frame.owner.is_some(), frame.size >= LARGE_BYTES);
                    // Some of them are held for a while, as handlers do.
                    held.extend(frame.owner.map(|it| (it.slice_ref(there), text)));
                    if held.len() > random.usize(..8) {
                        let (owner, text) = held.swap_remove(random.usize(..held.len()));
                        assert!(owner.ends_with(text.as_bytes()), "seed {seed}");
                    }
                }
            }
            assert_eq!(expected.next(), None, "seed {seed}");
        }
    }

    #[tokio::test]
    async fn who_waits_for_a_frame_to_begin_has_no_memory_for_it() {
        let (mut writer, stream) = tokio::io::duplex(1 << 20);
        let heard = Heard::default();
        let mut reader = FrameReader::new(stream, LIMIT, usize::MAX, &heard);
        let frames = [String::from("x"), "x".repeat(READ_BYTES - 99)].map(|it| wire(&[it]));
        for (number, frame) in (0..).zip(frames.into_iter().cycle().take(9)) {
            assert!(reader.read().now_or_never().is_none());
            assert_eq!(reader.input.capacity(), 0);
            // Each is the first of a direction of its own.
            reader.cutter = FrameCutter::new(LIMIT);
            let (begin, end) = frame.split_at(frame.len() / 2);
            writer.write_all(begin).await.unwrap();
            assert!(reader.read().await.unwrap());
            assert!(reader.next().unwrap().is_none(), "{number}");
            assert!(reader.read().now_or_never().is_none());
            assert_eq!(reader.input, begin);
            writer.write_all(end).await.unwrap();
            assert!(reader.read().await.unwrap());
            assert_eq!(reader.next().unwrap().unwrap().size, frame.len());
            assert!(reader.next().unwrap().is_none());
        }
        assert!(reader.read().now_or_never().is_none());
        assert!(LENT.take().capacity() >= READ_BYTES, "another may have it");
    }

    #[tokio::test]
    async fn a_stream_that_ends_within_a_frame_is_truncated() {
        for size in [10, READ_BYTES, 100_000] {
            let whole = wire(&["x".repeat(size)]);
            for length in [1, 4, 20, whole.len() - 1] {
                let heard = Heard::default();
                let pieces = Pieces::new(whole[..length].to_vec(), 1);
                let mut reader = FrameReader::new(pieces, LIMIT, usize::MAX, &heard);
                let end = loop {
                    match reader.read().await {
                        Ok(true) => assert!(reader.next().unwrap().is_none()),
                        end => break end,
                    }
                };
                assert!(
                    matches!(end, Err(ReadError::Truncated)),
                    "{length}: {end:?}"
                );
            }
        }
    }

    #[tokio::test]
    async fn a_length_alone_costs_a_peer_no_more_memory_than_is_trusted() {
        let heard = Heard::default();
        let length = u32::try_from(LIMIT - 4).unwrap().to_le_bytes();
        let pieces = Pieces::new(length.to_vec(), 1);
        let mut reader = FrameReader::new(pieces, LIMIT, usize::MAX, &heard);
        while reader.read().await.is_ok() {
            assert!(reader.next().unwrap().is_none());
        }
        let coming = reader.coming.expect("it waits for the frame");
        assert!(coming.frame.capacity() < 2 * TRUSTED_BYTES);
    }

    const LIMIT: usize = 16 << 20;
}
