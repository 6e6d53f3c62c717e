use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{
    ClientConfig, Connection, Endpoint, RecvStream, SendStream, ServerConfig, TransportConfig,
    VarInt,
};
use rpc_tls::ALPN;

use crate::certificates::certificates;
use crate::harness::{Client, Subject};

/// Listens on a free port; each stream that a peer opens gets a task of `answer`. Returns the address.
pub(crate) fn listen<F>(answer: fn(RecvStream, SendStream) -> F) -> String
where
    F: Future<Output: Send> + Send + 'static,
{
    let server = QuicServerConfig::try_from(certificates().server_config(ALPN));
    let mut server = ServerConfig::with_crypto(Arc::new(server.expect("it is of TLS 1.3")));
    server.transport_config(tuned());
    let server = Endpoint::server(server, LOOPBACK).expect("there is a free port");
    let address = server.local_addr().expect("it is bound").to_string();
    tokio::spawn(async move {
        while let Some(incoming) = server.accept().await {
            let connection = incoming.await.expect("the client is trusted");
            tokio::spawn(async move {
                while let Ok((writer, reader)) = connection.accept_bi().await {
                    tokio::spawn(answer(reader, writer));
                }
            });
        }
    });
    address
}

pub(super) async fn connect(address: &str) -> Connection {
    let client = QuicClientConfig::try_from(certificates().client_config(ALPN));
    let mut client = ClientConfig::new(Arc::new(client.expect("it is of TLS 1.3")));
    client.transport_config(tuned());
    let mut endpoint = Endpoint::client(LOOPBACK).expect("there is a free port");
    endpoint.set_default_client_config(client);
    let address = address.parse().expect("it is what the server said");
    let dialling = endpoint.connect(address, "localhost");
    let connection = dialling.expect("it can be dialled").await;
    connection.expect("the server is trusted")
}

pub(crate) async fn dial(address: &str) -> (SendStream, RecvStream) {
    let stream = connect(address).await.open_bi().await;
    stream.expect("the server allows streams")
}

/// Windows that are no limit on loopback.
fn tuned() -> Arc<TransportConfig> {
    let mut config = TransportConfig::default();
    config.stream_receive_window(VarInt::from_u32(WINDOW_BYTES));
    config.receive_window(VarInt::from_u32(2 * WINDOW_BYTES));
    config.send_window(2 * u64::from(WINDOW_BYTES));
    config.max_concurrent_bidi_streams(VarInt::from_u32(1 << 12));
    Arc::new(config)
}

/// A stream of QUIC for each call.
#[derive(Clone)]
pub struct QuicStreams(Connection);

impl Subject for QuicStreams {
    type Client = Self;

    async fn serve() -> String {
        listen(
            |mut reader: RecvStream, mut writer: SendStream| async move {
                let question = reader.read_to_end(8).await.expect("the client asks");
                writer.write_all(&question).await.expect("the client waits");
                writer.finish().expect("it is finished once");
            },
        )
    }

    async fn connect(address: String) -> Self {
        Self(connect(&address).await)
    }
}

impl Client for QuicStreams {
    fn ask(&self, number: u64) -> impl Future<Output = u64> + Send + Unpin {
        Box::pin(async move {
            let stream = self.0.open_bi().await;
            let (mut writer, mut reader) = stream.expect("the server allows streams");
            let written = writer.write_all(&number.to_le_bytes()).await;
            written.expect("the server reads");
            writer.finish().expect("it is finished once");
            let answer = reader.read_to_end(8).await.expect("the server answers");
            u64::from_le_bytes(answer[..].try_into().expect("it is a number"))
        })
    }
}

impl fmt::Debug for QuicStreams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuicStreams").finish_non_exhaustive()
    }
}

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const WINDOW_BYTES: u32 = 16 << 20;
