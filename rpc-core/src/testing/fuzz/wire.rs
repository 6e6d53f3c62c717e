//! All that the targets know of the layouts of frames and of the handshake.

use bytes::BytesMut;
use serde::Serialize;

use crate::config::RpcConfig;
use crate::connection::{Hello, Purpose};
use crate::frame::{self, FrameBuffer, FrameCutter, FrameError, Header, OwnedFrame};

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
    while let Some(length) = rest.first_chunk().filter(|_| rest.len() >= 8) {
        // The last frame ends where the bytes do.
        let size = (u32::from_le_bytes(*length) as usize).saturating_add(4);
        let (frame, next) = rest.split_at_mut(size.clamp(8, rest.len()));
        frame::seal(number, frame);
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
