use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{ClientConfig, Endpoint, RecvStream, SendStream, ServerConfig};
use rpc_tls::{ALPN, Certificates};
use tokio::io::Join;

use super::stream::{Pipelined, answer};

/// One long stream of a QUIC connection to oneself: the floor of the QUIC transport.
pub async fn quic(certificates: &Certificates) -> Pipelined<Join<RecvStream, SendStream>> {
    let server = QuicServerConfig::try_from(certificates.server_config(ALPN));
    let server = ServerConfig::with_crypto(Arc::new(server.expect("it is of TLS 1.3")));
    let server = Endpoint::server(server, LOOPBACK).expect("there is a free port");
    let address = server.local_addr().expect("it is bound");

    let client = QuicClientConfig::try_from(certificates.client_config(ALPN));
    let client = ClientConfig::new(Arc::new(client.expect("it is of TLS 1.3")));
    let mut endpoint = Endpoint::client(LOOPBACK).expect("there is a free port");
    endpoint.set_default_client_config(client);

    tokio::spawn(async move {
        let incoming = server.accept().await.expect("the client dials");
        let connection = incoming.await.expect("the client is trusted");
        let stream = connection.accept_bi().await;
        let (writer, reader) = stream.expect("the client opens a stream");
        answer(tokio::io::join(reader, writer)).await
    });
    let dialling = endpoint
        .connect(address, "localhost")
        .expect("it can be dialled");
    let connection = dialling.await.expect("the server is trusted");
    let stream = connection.open_bi().await;
    let (writer, reader) = stream.expect("the server allows streams");
    Pipelined::new(tokio::io::join(reader, writer))
}

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
