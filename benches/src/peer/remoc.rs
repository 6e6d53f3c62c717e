use std::fmt;

use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt;
use remoc::codec;
use remoc::rch::{base, mpsc, oneshot};
use remoc::{Cfg, Connect, RemoteSend};
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio_util::codec::LengthDelimitedCodec;

use super::LIMIT;
use crate::floor::tcp;
use crate::harness::{Client, Subject};

/// A task behind a remote channel of remoc, which answers by a remote channel for each question.
///
/// Its remote traits are the same with names, but queue two calls only.
#[derive(Debug)]
pub struct Remoc;

/// Asks it.
#[derive(Clone)]
pub struct RemocClient(Sender);

type Sender = mpsc::Sender<Message, codec::Default, LIMIT>;

#[derive(Deserialize, Serialize)]
enum Message {
    Ask(u64, oneshot::Sender<u64>),
    Tell(u64),
    Echo(Bytes, oneshot::Sender<Bytes>),
}

/// Connects. What is sent is written at once: else remoc lets it lie for a time that is at least that of
/// a timer.
async fn connect<T: RemoteSend, R: RemoteSend>(
    stream: TcpStream,
) -> (base::Sender<T>, base::Receiver<R>) {
    let (reader, writer) = stream.into_split();
    let mut config = Cfg::throughput();
    config.connect_queue = LIMIT as u16;
    let codec = LengthDelimitedCodec::builder();
    let mut sink = codec.new_write(writer);
    sink.set_backpressure_boundary(1);
    let stream = codec.new_read(reader).map_ok(BytesMut::freeze);
    let connected = Connect::framed(config, sink, stream).await;
    let (connection, sender, receiver) = connected.expect("the other side connects");
    tokio::spawn(connection);
    (sender, receiver)
}

async fn answer(stream: TcpStream) {
    let (mut sender, _): (_, base::Receiver<()>) = connect::<Sender, _>(stream).await;
    let (messages, mut received) = mpsc::channel(LIMIT);
    let sent = sender.send(messages.set_buffer()).await;
    sent.expect("the client waits for it");
    let mut sum = 0u64;
    while let Ok(Some(message)) = received.recv().await {
        match message {
            Message::Ask(number, reply) => {
                sum = sum.wrapping_add(number);
                let _ = reply.send(sum);
            }
            Message::Tell(number) => sum = sum.wrapping_add(number),
            Message::Echo(bytes, reply) => {
                let _ = reply.send(bytes);
            }
        }
    }
}

impl Subject for Remoc {
    type Client = RemocClient;

    async fn serve() -> String {
        tcp::listen(answer).await
    }

    async fn connect(address: String) -> RemocClient {
        let (_, mut receiver): (base::Sender<()>, _) = connect(tcp::dial(&address).await).await;
        let received = receiver.recv().await.expect("the server answers");
        RemocClient(received.expect("it sends one"))
    }
}

impl Client for RemocClient {
    fn ask(&self, number: u64) -> impl Future<Output = u64> + Send + Unpin {
        Box::pin(async move {
            let (reply, answer) = oneshot::channel();
            let sent = self.0.send(Message::Ask(number, reply)).await;
            sent.ok().expect("the connection holds");
            answer.await.expect("the task answers")
        })
    }

    async fn tell(&self, number: u64) {
        let sent = self.0.send(Message::Tell(number)).await;
        sent.ok().expect("the connection holds");
    }

    fn echo(&self, bytes: Bytes) -> impl Future<Output = usize> + Send + Unpin {
        Box::pin(async move {
            let (reply, answer) = oneshot::channel();
            let sent = self.0.send(Message::Echo(bytes, reply)).await;
            sent.ok().expect("the connection holds");
            answer.await.expect("the task answers").len()
        })
    }
}

impl fmt::Debug for RemocClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemocClient").finish_non_exhaustive()
    }
}
