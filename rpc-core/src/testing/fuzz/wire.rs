//! All that the targets know of the layouts of frames and of the handshake.

use bytes::BytesMut;
use serde::Serialize;

use crate::config::RpcConfig;
use crate::connection::{Hello, Purpose};
use crate::frame::{FrameBuffer, FrameCutter, FrameError, Header, OwnedFrame, checksum};

/// Frames as a peer would write them.
#[derive(Clone)]
pub(super) struct Written(FrameBuffer);

impl Written {
    pub(super) fn new() -> Self {
        Self(FrameBuffer::default())
    }

    pub(super) fn put(&mut self, header: &Header, body: &impl Serialize) -> &mut Self {
        let put = self.0.put(header, body, FRAME_BYTES_MAX);
        put.expect("the frame is small, and can be encoded");
        self
    }

    pub(super) fn to_vec(&self) -> Vec<u8> {
        self.0.clone().take().to_vec()
    }
}

/// Cuts bytes that come in pieces into frames, until one is none; returns how many are left over.
pub(super) fn cut<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<OwnedFrame>, Result<usize, FrameError>) {
    let mut input = BytesMut::new();
    let mut cutter = FrameCutter::new(FRAME_BYTES_MAX);
    let mut frames = Vec::new();
    for piece in pieces {
        input.extend_from_slice(piece);
        loop {
            match cutter.take(&mut input) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Err(error)),
            }
        }
    }
    (frames, Ok(input.len()))
}

/// Makes the lengths and checksums of frames right, so that what is in them is looked at.
pub(super) fn seal(bytes: &mut [u8]) {
    let (mut rest, mut number) = (bytes, 0);
    while let Some((head, content)) = rest.split_at_mut_checked(8) {
        let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
        // The last frame ends where the bytes do.
        let size = length.saturating_sub(4).min(content.len());
        let length = u32::try_from(size + 4).expect("an input is small");
        let (content, next) = content.split_at_mut(size);
        head[..4].copy_from_slice(&length.to_le_bytes());
        head[4..].copy_from_slice(&checksum(number, content).to_le_bytes());
        (rest, number) = (next, number + 1);
    }
}

/// What one side says of itself.
pub(super) fn hello(purpose: Purpose) -> Hello {
    let config = RpcConfig {
        frame_bytes_max: FRAME_BYTES_MAX,
        ..RpcConfig::default()
    };
    Hello::new(purpose, &config, 7, 0)
}

/// The limit of a frame; smaller than the longest input, so that inputs can exceed it.
pub(super) const FRAME_BYTES_MAX: usize = 2 << 10;
