//! Frames that wait to be written.

use std::mem;

use bytes::{BufMut, BytesMut};

use super::{Header, checksum};
use crate::codec::{self, CodecError};
use crate::error::RpcError;

/// The frames of one direction of a connection, one behind the other, which it numbers.
#[derive(Clone, Debug, Default)]
pub(crate) struct FrameBuffer {
    bytes: BytesMut,
    /// The number of the next frame.
    next: u64,
}

impl FrameBuffer {
    /// Returns how many bytes wait.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Returns how many frames were put in all.
    #[cfg(test)]
    pub(crate) const fn frames(&self) -> u64 {
        self.next
    }

    /// Takes what waits, and goes on with an empty buffer.
    pub(crate) fn swap(&mut self, empty: BytesMut) -> BytesMut {
        mem::replace(&mut self.bytes, empty)
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
        self.put_with(header, limit, |out| codec::encode(body, out))
    }

    /// Appends a frame whose body is encoded already.
    pub(crate) fn put_encoded(
        &mut self,
        header: &Header,
        body: &[u8],
        limit: usize,
    ) -> Result<usize, PutError> {
        self.put_with(header, limit, |out| {
            out.put_slice(body);
            Ok(())
        })
    }

    /// Appends a frame without a body.
    pub(crate) fn put_empty(&mut self, header: &Header) {
        let fits = self.put_with(header, usize::MAX, |_| Ok(()));
        debug_assert!(fits.is_ok(), "a frame without a body always fits");
    }

    /// Appends what is no frame at all.
    #[cfg(test)]
    pub(crate) fn put_text(&mut self, text: &str) {
        self.bytes.put_slice(text.as_bytes());
    }

    fn put_with(
        &mut self,
        header: &Header,
        limit: usize,
        body: impl FnOnce(&mut BytesMut) -> Result<(), CodecError>,
    ) -> Result<usize, PutError> {
        let Self { bytes: out, next } = self;
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
        let crc = checksum(*next, &out[start + 8..]);
        out[start..start + 4].copy_from_slice(&length.to_le_bytes());
        out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
        *next += 1;
        Ok(size)
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
