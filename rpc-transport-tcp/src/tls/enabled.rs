use std::fmt;
use std::io;

use rpc_core::transport::{Authority, PeerIdentity};
use rpc_tls::{CertificateStore, PeerCertificate, TlsError, explain};
use tokio::net::TcpStream;
use tokio_rustls::rustls::CommonState;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::sealed::sealed;
use super::{Shaken, plain};
use crate::socket::{Shared, Sockets};

/// Plain TCP, or TLS with certificates on both sides, which are those of the moment.
#[derive(Clone, Default)]
pub(crate) struct Security {
    mutual: Option<CertificateStore>,
}

impl Security {
    pub(crate) fn demand(&mut self, certificates: CertificateStore) {
        self.mutual = Some(certificates);
    }

    pub(crate) fn is_mutual(&self) -> bool {
        self.mutual.is_some()
    }

    pub(crate) async fn dialled(
        &self,
        socket: TcpStream,
        authority: Authority<'_>,
        sockets: &Sockets,
    ) -> io::Result<Shaken> {
        let Some(store) = &self.mutual else {
            return plain(socket, sockets);
        };
        let name = ServerName::try_from(authority.host().to_owned()).map_err(io::Error::other)?;
        let socket = Shared::new(socket, sockets)?;
        let connector = TlsConnector::from(store.current().client());
        match connector.connect(name, socket.clone()).await {
            Ok(stream) => {
                let identity = identity(stream.get_ref().1);
                Ok((sealed(stream, socket), identity))
            }
            Err(error) => {
                socket.part();
                Err(failed(error))
            }
        }
    }

    pub(crate) async fn accepted(
        &self,
        socket: TcpStream,
        sockets: &Sockets,
    ) -> io::Result<Shaken> {
        let Some(store) = &self.mutual else {
            return plain(socket, sockets);
        };
        let socket = Shared::new(socket, sockets)?;
        // Looked at, not taken: rustls says only that it is no TLS, and answers with an alert.
        let is_ours = socket.peek::<4>().await? == *MAGIC;
        let acceptor = TlsAcceptor::from(store.current().server());
        match acceptor.accept(socket.clone()).await {
            Ok(stream) => {
                let identity = identity(stream.get_ref().1);
                Ok((sealed(stream, socket), identity))
            }
            Err(error) => {
                socket.part();
                Err(match is_ours {
                    true => in_words("the peer speaks our protocol, but without TLS", error),
                    false => failed(error),
                })
            }
        }
    }
}

impl fmt::Debug for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Security")
            .field("mutual", &self.is_mutual())
            .finish()
    }
}

/// Returns who the peer is, whose certificate the handshake has verified.
fn identity(session: &CommonState) -> Option<PeerIdentity> {
    let shown = PeerCertificate::of(session.peer_certificates()?)?;
    let fingerprint = shown.fingerprint.to_bytes();
    Some(PeerIdentity::new(fingerprint, shown.names, shown.roles))
}

fn failed(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => in_words(
            "the peer hung up during the TLS handshake: it may not speak TLS",
            error,
        ),
        _ => explain(error),
    }
}

fn in_words(words: &str, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), TlsError::because(words, error))
}

/// What every stream of the runtime begins with, when nothing is around it.
const MAGIC: &[u8; 4] = b"arpc";
