use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use serde::{Deserialize, Serialize};
use tarpc::client;
use tarpc::context::{self, Context};
use tarpc::serde_transport;
use tarpc::server::{self, Channel};
use tarpc::tokio_serde::formats::Bincode;
use tarpc::tokio_util::codec::{Framed, LengthDelimitedCodec};
use tarpc::transport::channel;
use tarpc::{ClientMessage, Response, Transport};
use tokio::io::{AsyncRead, AsyncWrite};

use super::LIMIT;
use crate::floor::{quic, tcp};
use crate::harness::{Client, Subject};

/// A service of tarpc over TCP, with [`Bincode`] as its format.
#[derive(Debug)]
pub struct TarpcOverTcp;

/// The same on one stream of a QUIC connection.
#[derive(Debug)]
pub struct TarpcOverQuic;

/// The same in memory, without bytes.
#[derive(Debug)]
pub struct TarpcInMemory;

/// Asks it.
#[derive(Clone)]
pub struct TarpcClient(AddingClient);

#[tarpc::service]
trait Adding {
    async fn add(number: u64) -> u64;
    async fn echo(bytes: Bytes) -> Bytes;
}

#[derive(Clone, Default)]
struct Adder(Arc<AtomicU64>);

impl Adding for Adder {
    async fn add(self, _: Context, number: u64) -> u64 {
        let before = self.0.fetch_add(number, Ordering::Relaxed);
        before.wrapping_add(number)
    }

    async fn echo(self, _: Context, bytes: Bytes) -> Bytes {
        bytes
    }
}

type Question = ClientMessage<AddingRequest>;
type Answer = Response<AddingResponse>;

fn framed<S: AsyncRead + AsyncWrite, Item, SinkItem>(
    stream: S,
) -> serde_transport::Transport<S, Item, SinkItem, Bincode<Item, SinkItem>>
where
    Item: for<'de> Deserialize<'de>,
    SinkItem: Serialize,
{
    let framed = Framed::new(stream, LengthDelimitedCodec::new());
    serde_transport::new(framed, Bincode::default())
}

/// Answers all questions on a transport, one after the other: none waits, and tasks cost more. As many
/// answers as questions can be under way have room, else it would wait for itself.
async fn answer(transport: impl Transport<Answer, Question> + Send + 'static) {
    let config = server::Config {
        pending_response_buffer: LIMIT,
    };
    let answers = config.channel(transport).execute(Adder::default().serve());
    answers.for_each(|answer| answer).await;
}

fn ask<T: Transport<Question, Answer> + Send + 'static>(transport: T) -> TarpcClient {
    let mut config = client::Config::default();
    config.max_in_flight_requests = LIMIT;
    config.pending_request_buffer = LIMIT;
    TarpcClient(AddingClient::new(config, transport).spawn())
}

impl Subject for TarpcOverTcp {
    type Client = TarpcClient;

    async fn serve() -> String {
        tcp::listen(|stream| answer(framed(stream))).await
    }

    async fn connect(address: String) -> TarpcClient {
        ask(framed(tcp::dial(&address).await))
    }
}

impl Subject for TarpcOverQuic {
    type Client = TarpcClient;

    async fn serve() -> String {
        quic::listen(|reader, writer| answer(framed(tokio::io::join(reader, writer))))
    }

    async fn connect(address: String) -> TarpcClient {
        let (writer, reader) = quic::dial(&address).await;
        ask(framed(tokio::io::join(reader, writer)))
    }
}

impl Subject for TarpcInMemory {
    type Client = TarpcClient;

    async fn connect(_: String) -> TarpcClient {
        let (asking, answering) = channel::unbounded();
        tokio::spawn(answer(answering));
        ask(asking)
    }
}

impl Client for TarpcClient {
    fn ask(&self, number: u64) -> impl Future<Output = u64> + Send + Unpin {
        let adding = Box::pin(self.0.add(context::current(), number));
        adding.map(|sum| sum.expect("the service answers"))
    }

    fn echo(&self, bytes: Bytes) -> impl Future<Output = usize> + Send + Unpin {
        let echoing = Box::pin(self.0.echo(context::current(), bytes));
        echoing.map(|bytes| bytes.expect("the service answers").len())
    }
}

impl fmt::Debug for TarpcClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TarpcClient").finish_non_exhaustive()
    }
}
