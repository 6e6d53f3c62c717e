use std::io;

use bytes::{Buf, BufMut, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::Ask;

/// Numbers behind a length of four bytes, on one stream, to a task that sends each back as a sum.
///
/// Questions that are asked at once are one write, and so are their answers: no calls can cost less.
#[derive(Debug)]
pub struct Pipelined<S> {
    stream: S,
    buffer: BytesMut,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Pipelined<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            buffer: BytesMut::new(),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Ask for Pipelined<S> {
    async fn ask(&mut self) {
        self.ask_at_once(1).await;
    }

    async fn ask_at_once(&mut self, calls: usize) {
        for _ in 0..calls {
            put(&mut self.buffer, 1);
        }
        let written = write(&mut self.stream, &mut self.buffer).await;
        written.expect("the other task reads");
        let mut answers = 0;
        while answers < calls {
            let bytes = read(&mut self.stream, &mut self.buffer).await;
            assert_ne!(bytes.expect("the other task answers"), 0);
            while take(&mut self.buffer).is_some() {
                answers += 1;
            }
        }
    }
}

/// Answers all questions on a stream, until the asking side is gone.
pub(super) async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    let (mut input, mut output) = (BytesMut::new(), BytesMut::new());
    let mut sum = 0u64;
    while read(&mut stream, &mut input).await? > 0 {
        while let Some(number) = take(&mut input) {
            sum = sum.wrapping_add(number);
            put(&mut output, sum);
        }
        write(&mut stream, &mut output).await?;
    }
    Ok(())
}

fn put(buffer: &mut BytesMut, number: u64) {
    buffer.put_u32_le(8);
    buffer.put_u64_le(number);
}

fn take(buffer: &mut BytesMut) -> Option<u64> {
    let length = u32::from_le_bytes(*buffer.first_chunk()?) as usize;
    (buffer.len() >= 4 + length).then(|| {
        buffer.advance(4);
        buffer.get_u64_le()
    })
}

async fn read(stream: &mut (impl AsyncRead + Unpin), buffer: &mut BytesMut) -> io::Result<usize> {
    buffer.reserve(READ_BYTES);
    stream.read_buf(buffer).await
}

async fn write(stream: &mut (impl AsyncWrite + Unpin), buffer: &mut BytesMut) -> io::Result<()> {
    stream.write_all_buf(buffer).await?;
    stream.flush().await
}

const READ_BYTES: usize = 4 << 10;
