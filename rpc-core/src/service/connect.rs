//! From an address to a gateway.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::{ConnectError, RpcService};
use crate::address::Address;
use crate::connection::{
    HandshakeError, OutgoingConnection, Purpose, Refusal, RemoteGateway, Resolve, ResolveRefusal,
    dial,
};
use crate::error::RpcError;
use crate::fencing::FencingToken;
use crate::gateway::{Fenced, Gateway, Port, Unfenced};
use crate::shared::LocalPort;
use crate::transport::{Connection, Stream};

/// The connections that this service has opened, by scheme and authority.
#[derive(Default)]
pub(super) struct Connections {
    peers: Mutex<BTreeMap<(String, String), Arc<Peer>>>,
}

/// The connection to one authority; the lock lets one of many callers dial.
#[derive(Default)]
struct Peer(tokio::sync::Mutex<Option<Arc<OutgoingConnection>>>);

impl Connections {
    fn peer(&self, scheme: &str, authority: &str) -> Arc<Peer> {
        let key = (scheme.to_owned(), authority.to_owned());
        Arc::clone(self.peers.lock().entry(key).or_default())
    }

    pub(super) fn close(&self) {
        for peer in std::mem::take(&mut *self.peers.lock()).into_values() {
            // Whoever holds the lock is dialling, and finds the service closed.
            if let Ok(connection) = peer.0.try_lock() {
                connection.iter().for_each(|it| it.close());
            }
        }
    }
}

impl RpcService {
    /// Connects a gateway to the endpoint at `address`, of this or of another service.
    ///
    /// A gateway to an endpoint of this service moves values, not bytes.
    ///
    /// # Errors
    ///
    /// The endpoint cannot be reached within the configured time, or does not serve the gateway.
    ///
    /// # Cancel safety
    ///
    /// Nothing is left behind when the future is dropped, save a connection that others may use.
    pub async fn connect<G: Unfenced + ?Sized>(
        &self,
        address: &str,
    ) -> Result<Arc<G>, ConnectError> {
        self.connect_any(address, None).await
    }

    /// Connects a gateway that carries the token of the leader it is meant for.
    ///
    /// The token is not checked here but with each call: the endpoint's may change.
    ///
    /// # Errors
    ///
    /// As for [`connect`](Self::connect).
    pub async fn connect_fenced<G: Fenced + ?Sized>(
        &self,
        address: &str,
        token: impl Into<FencingToken>,
    ) -> Result<Arc<G>, ConnectError> {
        self.connect_any(address, Some(token.into())).await
    }

    /// Opens a stream of bytes to whoever accepts the channels of this name: the address is
    /// `scheme://authority/name`.
    ///
    /// # Errors
    ///
    /// The service cannot be reached within the configured time, or nobody accepts such channels.
    pub async fn open_channel(&self, address: &str) -> Result<Stream, ConnectError> {
        let parsed: Address = address.parse()?;
        let purpose = Purpose::Channel(parsed.endpoint().to_owned());
        self.within_time(address, async {
            let (connection, mut stream) = self.dial(&parsed).await?;
            let welcome = dial(&mut stream, &self.hello(purpose)).await;
            match welcome {
                Ok(_) => Ok(stream),
                Err(HandshakeError::Refused(Refusal::NoChannel)) => Err(ConnectError::NoEndpoint {
                    address: address.to_owned(),
                }),
                Err(error) => {
                    connection.close();
                    Err(handshake(address, error))
                }
            }
        })
        .await
    }

    async fn connect_any<G: Gateway + ?Sized>(
        &self,
        address: &str,
        token: Option<FencingToken>,
    ) -> Result<Arc<G>, ConnectError> {
        if self.is_closed() {
            return Err(ConnectError::Closed);
        }
        let parsed: Address = address.parse()?;
        if self.is_own(&parsed) {
            return self.connect_own(parsed, token);
        }
        self.within_time(address, self.connect_remote(parsed, token))
            .await
    }

    async fn within_time<T>(
        &self,
        address: &str,
        connecting: impl Future<Output = Result<T, ConnectError>>,
    ) -> Result<T, ConnectError> {
        let after = self.inner.config.connect_timeout;
        let timeout = tokio::time::timeout(after, connecting);
        timeout.await.unwrap_or_else(|_| {
            Err(ConnectError::Timeout {
                address: address.to_owned(),
                after,
            })
        })
    }

    fn is_own(&self, address: &Address) -> bool {
        let Some(scheme) = address.scheme() else {
            return true;
        };
        let reach = self.inner.transports.get(scheme);
        reach.is_some_and(|it| it.authority.as_deref() == Some(address.authority()))
    }

    fn connect_own<G: Gateway + ?Sized>(
        &self,
        address: Address,
        token: Option<FencingToken>,
    ) -> Result<Arc<G>, ConnectError> {
        let exposed = self.inner.registry.exposed(address.endpoint());
        let exposed = exposed.ok_or_else(|| ConnectError::NoEndpoint {
            address: address.to_string(),
        })?;
        let exposed = exposed.iter().find(|it| it.name == G::NAME);
        let route = exposed.and_then(|it| it.local.downcast_ref::<LocalPort<G::Request>>());
        let route = route.ok_or_else(|| ConnectError::NoGateway {
            address: address.to_string(),
            gateway: G::NAME,
        })?;
        let timeout = self.inner.config.call_timeout;
        let port = Port::local(Arc::clone(route), Arc::new(address), token, timeout);
        Ok(G::client(port))
    }

    async fn connect_remote<G: Gateway + ?Sized>(
        &self,
        address: Address,
        token: Option<FencingToken>,
    ) -> Result<Arc<G>, ConnectError> {
        let connection = self.connection(&address).await?;
        if connection.service() == self.inner.id {
            // Our own service, by a name of it that we did not know.
            return self.connect_own(address, token);
        }
        let resolve = Resolve {
            endpoint: address.endpoint().to_owned(),
            gateway: G::NAME.to_owned(),
            methods: G::METHODS.iter().map(|it| it.fingerprint).collect(),
        };
        let resolved = connection.resolve(&resolve).await;
        let resolved = resolved.map_err(|error| resolve_error::<G>(&address, error))?;
        let gateway = Arc::new(RemoteGateway::new(connection, resolved));
        let timeout = self.inner.config.call_timeout;
        let port = Port::remote(gateway, Arc::new(address), token, timeout);
        Ok(G::client(port))
    }

    /// Returns the connection to an authority, which is dialled if there is none.
    async fn connection(&self, address: &Address) -> Result<Arc<OutgoingConnection>, ConnectError> {
        let scheme = address.scheme().unwrap_or_default();
        let peer = self.inner.connections.peer(scheme, address.authority());
        let mut current = peer.0.lock().await;
        if let Some(connection) = current.as_ref().filter(|it| !it.is_closed()) {
            return Ok(Arc::clone(connection));
        }
        let (transport, mut stream) = self.dial(address).await?;
        let welcome = dial(&mut stream, &self.hello(Purpose::Calls)).await;
        let welcome = welcome.map_err(|error| {
            transport.close();
            handshake(&address.to_string(), error)
        })?;
        let (connection, driver) =
            OutgoingConnection::new(transport.peer(), stream, &welcome, &self.inner.config);
        self.spawn(async move {
            driver.await;
            transport.close();
        });
        if self.is_closed() {
            connection.close();
            return Err(ConnectError::Closed);
        }
        *current = Some(Arc::clone(&connection));
        Ok(connection)
    }

    async fn dial(&self, address: &Address) -> Result<(Arc<dyn Connection>, Stream), ConnectError> {
        let scheme = address.scheme().unwrap_or_default();
        let reach = self.inner.transports.get(scheme);
        let reach = reach.ok_or_else(|| ConnectError::NoTransport {
            address: address.to_string(),
            scheme: scheme.to_owned(),
        })?;
        let connection = reach.transport.connect(address.authority()).await?;
        let stream = connection.open_stream().await?;
        Ok((connection, stream))
    }
}

fn handshake(address: &str, error: HandshakeError) -> ConnectError {
    ConnectError::Handshake {
        address: address.to_owned(),
        source: Box::new(error),
    }
}

fn resolve_error<G: Gateway + ?Sized>(
    address: &Address,
    error: RpcError<ResolveRefusal>,
) -> ConnectError {
    let address = address.to_string();
    match error {
        RpcError::App(ResolveRefusal::NoEndpoint) => ConnectError::NoEndpoint { address },
        RpcError::App(ResolveRefusal::NoGateway) => ConnectError::NoGateway {
            address,
            gateway: G::NAME,
        },
        error => ConnectError::Handshake {
            address,
            source: Box::new(error),
        },
    }
}
