//! The two lanes of a connection, each side of which meets a peer that is played by hand.
#![allow(
    clippy::unwrap_used,
    reason = "the exemption of tests does not reach their helpers"
)]

mod callee;
mod caller;

use bytes::BytesMut;
use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf, duplex, split};

use crate::config::RpcConfig;
use crate::frame::{FrameBuffer, FrameCutter, Header, Kind, OwnedFrame};
use crate::transport::Stream;

/// The other end of a stream, and the frames on it.
struct Raw {
    reader: ReadHalf<DuplexStream>,
    writer: WriteHalf<DuplexStream>,
    sent: FrameBuffer,
    cutter: FrameCutter,
    input: BytesMut,
}

impl Raw {
    fn new() -> (Self, Stream) {
        let (ours, theirs) = duplex(PIPE_BYTES);
        let ((reader, writer), (their_reader, their_writer)) = (split(ours), split(theirs));
        let raw = Self {
            reader,
            writer,
            sent: FrameBuffer::default(),
            cutter: FrameCutter::new(LIMIT),
            input: BytesMut::new(),
        };
        (raw, Stream::new(their_reader, their_writer))
    }

    /// Sends a frame, and returns its size.
    async fn send<T: Serialize>(&mut self, header: Header, body: &T) -> usize {
        let size = self.sent.put(&header, body, LIMIT).unwrap();
        let bytes = self.sent.take().to_vec();
        self.writer.write_all(&bytes).await.unwrap();
        size
    }

    /// Returns the next frame; `None` at the end of the stream.
    async fn next(&mut self) -> Option<OwnedFrame> {
        loop {
            if let Some(frame) = self.cutter.take(&mut self.input).unwrap() {
                return Some(frame);
            }
            let read = self.reader.read_buf(&mut self.input).await;
            if read.unwrap_or_default() == 0 {
                return None;
            }
        }
    }

    async fn kinds(&mut self, count: usize) -> Vec<(Kind, u32)> {
        let mut kinds = Vec::new();
        while kinds.len() < count {
            let header = self.next().await.unwrap().header;
            kinds.push((header.kind, header.gateway));
        }
        kinds
    }
}

fn config() -> RpcConfig {
    RpcConfig {
        bulk_bytes_min: LARGE,
        window_bytes: WINDOW,
        ..RpcConfig::default()
    }
}

const LARGE: usize = 1_000;
const WINDOW: usize = 1 << 15;
const LIMIT: usize = 1 << 14;
const PIPE_BYTES: usize = 1 << 12;
/// What either side of a connection has in its task. A future that is moved into another has its memory
/// in both, and a service with a thousand connections all of it in no cache.
const TASK_BYTES_MAX: usize = 1 << 10;
