use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use bytes::{Buf, BufMut, BytesMut};
use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};

use super::{quic, tcp};
use crate::harness::{Client, Subject};

/// Calls over one TCP connection as one would write them by hand.
///
/// Callers hand messages to a task that writes all that have come together; the task that reads finds
/// the caller by a number. The other side adds where it reads, and writes the answers of one read
/// together.
#[derive(Debug)]
pub struct TcpMultiplex;

/// The same on one stream of a QUIC connection.
#[derive(Debug)]
pub struct QuicMultiplex;

/// The asking side.
#[derive(Clone)]
pub struct Multiplex(mpsc::Sender<Message>);

#[derive(Debug)]
enum Message {
    Ask(u64, oneshot::Sender<u64>),
    Tell(u64),
}

type Waiting = Arc<Mutex<HashMap<u32, oneshot::Sender<u64>>>>;

impl Multiplex {
    fn start(
        reader: impl AsyncRead + Send + Unpin + 'static,
        writer: impl AsyncWrite + Send + Unpin + 'static,
    ) -> Self {
        let (sender, messages) = mpsc::channel(LIMIT);
        let waiting = Waiting::default();
        tokio::spawn(write(writer, messages, Arc::clone(&waiting)));
        tokio::spawn(read(reader, waiting));
        Self(sender)
    }
}

impl Client for Multiplex {
    fn ask(&self, number: u64) -> impl Future<Output = u64> + Send + Unpin {
        let (reply, answer) = oneshot::channel();
        let sent = self.0.try_send(Message::Ask(number, reply));
        sent.expect("the task keeps up");
        answer.map(|it| it.expect("the other side answers"))
    }

    async fn tell(&self, number: u64) {
        let sent = self.0.send(Message::Tell(number)).await;
        sent.expect("the task runs");
    }
}

async fn write(
    mut writer: impl AsyncWrite + Unpin,
    mut messages: mpsc::Receiver<Message>,
    waiting: Waiting,
) {
    let (mut batch, mut output, mut next) = (Vec::new(), BytesMut::new(), 0u32);
    while messages.recv_many(&mut batch, LIMIT).await > 0 {
        {
            let mut waiting = waiting.lock();
            for message in batch.drain(..) {
                match message {
                    Message::Ask(number, reply) => {
                        next = next.wrapping_add(1).max(1);
                        waiting.insert(next, reply);
                        put(&mut output, next, number);
                    }
                    Message::Tell(number) => put(&mut output, 0, number),
                }
            }
        }
        if writer.write_all_buf(&mut output).await.is_err() {
            return;
        }
    }
}

async fn read(mut reader: impl AsyncRead + Unpin, waiting: Waiting) {
    let (mut input, mut done) = (BytesMut::new(), Vec::new());
    while fill(&mut reader, &mut input).await {
        {
            let mut waiting = waiting.lock();
            while let Some((id, sum)) = take(&mut input) {
                let reply = waiting.remove(&id);
                done.push((reply.expect("it is answered once"), sum));
            }
        }
        for (reply, sum) in done.drain(..) {
            let _ = reply.send(sum);
        }
    }
}

/// The answering side.
async fn answer(mut reader: impl AsyncRead + Unpin, mut writer: impl AsyncWrite + Unpin) {
    let (mut input, mut output, mut sum) = (BytesMut::new(), BytesMut::new(), 0u64);
    while fill(&mut reader, &mut input).await {
        while let Some((id, number)) = take(&mut input) {
            sum = sum.wrapping_add(number);
            if id > 0 {
                put(&mut output, id, sum);
            }
        }
        if writer.write_all_buf(&mut output).await.is_err() {
            return;
        }
    }
}

fn put(buffer: &mut BytesMut, id: u32, number: u64) {
    buffer.put_u32_le(12);
    buffer.put_u32_le(id);
    buffer.put_u64_le(number);
}

fn take(buffer: &mut BytesMut) -> Option<(u32, u64)> {
    let length = u32::from_le_bytes(*buffer.first_chunk()?) as usize;
    (buffer.len() >= 4 + length).then(|| {
        buffer.advance(4);
        (buffer.get_u32_le(), buffer.get_u64_le())
    })
}

/// Reads more; `false` at the end.
async fn fill(reader: &mut (impl AsyncRead + Unpin), buffer: &mut BytesMut) -> bool {
    buffer.reserve(READ_BYTES);
    reader.read_buf(buffer).await.is_ok_and(|read| read > 0)
}

impl Subject for TcpMultiplex {
    type Client = Multiplex;

    async fn serve() -> String {
        tcp::listen(|stream| {
            let (reader, writer) = stream.into_split();
            answer(reader, writer)
        })
        .await
    }

    async fn connect(address: String) -> Multiplex {
        let (reader, writer) = tcp::dial(&address).await.into_split();
        Multiplex::start(reader, writer)
    }
}

impl Subject for QuicMultiplex {
    type Client = Multiplex;

    async fn serve() -> String {
        quic::listen(answer)
    }

    async fn connect(address: String) -> Multiplex {
        let (writer, reader) = quic::dial(&address).await;
        Multiplex::start(reader, writer)
    }
}

impl fmt::Debug for Multiplex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Multiplex").finish_non_exhaustive()
    }
}

const LIMIT: usize = 1 << 12;
const READ_BYTES: usize = 32 << 10;
