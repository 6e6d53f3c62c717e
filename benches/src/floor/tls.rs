use std::sync::Arc;

use rpc_tls::{ALPN, Certificates};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::stream::{Pipelined, answer};
use super::tcp::connected;

/// A TCP connection with certificates on both sides: the floor of the TCP transport with TLS.
pub async fn tls(certificates: &Certificates) -> Pipelined<TlsStream<TcpStream>> {
    let connector = TlsConnector::from(Arc::new(certificates.client_config(ALPN)));
    let acceptor = TlsAcceptor::from(Arc::new(certificates.server_config(ALPN)));
    let (ours, theirs) = connected().await;
    let name = ServerName::try_from("localhost").expect("it is a name");
    let (ours, theirs) = tokio::join!(connector.connect(name, ours), acceptor.accept(theirs));
    tokio::spawn(answer(theirs.expect("the client is trusted")));
    Pipelined::new(ours.expect("the server is trusted"))
}
