//! From an address to a gateway.

use std::sync::Arc;

use super::{ConnectError, RpcService};
use crate::address::Address;
use crate::connection::{
    HandshakeError, Purpose, Refusal, RemoteGateway, Resolve, ResolveRefusal, dial,
};
use crate::endpoint_core::local_port;
use crate::error::RpcError;
use crate::fencing::FencingToken;
use crate::gateway::{Fenced, Gateway, Port, Unfenced};
use crate::transport::Stream;

impl RpcService {
    /// Connects a gateway to the endpoint at `address`, of this or of another service.
    ///
    /// A gateway to an endpoint of this service moves values, not bytes. A name that ends in `*`
    /// stands for the first endpoint, by name, whose name begins so, which the gateway then stays with.
    ///
    /// # Errors
    ///
    /// The endpoint cannot be reached within the configured time, or does not serve the gateway; or it is
    /// of another service, and there is no runtime.
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

    /// Connects anew to the endpoint of a gateway: to another incarnation, if there is one.
    ///
    /// A gateway whose endpoint was restarted fails for ever, so that nothing is silently delivered to
    /// an endpoint that knows nothing of what was said before. For a fenced gateway use
    /// [`connect_fenced`](Self::connect_fenced) with the token of the leader that is meant now.
    ///
    /// Of a gateway in an `Arc`, as [`connect`](Self::connect) returns it, say `reconnect(&*gateway)`.
    ///
    /// # Errors
    ///
    /// As for [`connect`](Self::connect).
    pub async fn reconnect<G: Unfenced + ?Sized>(
        &self,
        gateway: &G,
    ) -> Result<Arc<G>, ConnectError> {
        self.connect(gateway.address()).await
    }

    /// Opens a stream of bytes to whoever accepts the channels of this name: the address is
    /// `scheme://authority/name`.
    ///
    /// Of many that are opened to one service at once some wait for others, before their time begins.
    ///
    /// # Errors
    ///
    /// The service cannot be reached within the configured time, or nobody accepts such channels; or
    /// this service is closed, or there is no runtime.
    ///
    /// # Cancel safety
    ///
    /// May be dropped: a channel that was opened is closed.
    pub async fn open_channel(&self, address: &str) -> Result<Stream, ConnectError> {
        if self.is_closed() {
            return Err(ConnectError::Closed);
        }
        let parsed: Address = address.parse()?;
        let purpose = Purpose::Channel(parsed.endpoint().to_owned());
        let peer = self.peer(&parsed);
        let turn = peer.channels.acquire().await;
        let _turn = turn.map_err(|_| ConnectError::Closed)?;
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

    pub(super) async fn within_time<T>(
        &self,
        address: &str,
        connecting: impl Future<Output = Result<T, ConnectError>>,
    ) -> Result<T, ConnectError> {
        if self.runtime().is_none() {
            return Err(ConnectError::NoRuntime);
        }
        let after = self.inner.config.connect_timeout;
        // The timer too is made when it is polled.
        let timeout = async { tokio::time::timeout(after, connecting).await };
        self.on_runtime(timeout).await.unwrap_or_else(|_| {
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
        let endpoint = self.inner.registry.find(address.endpoint());
        let endpoint = endpoint.ok_or_else(|| ConnectError::NoEndpoint {
            address: address.to_string(),
        })?;
        let route = local_port::<G>(&endpoint.expose());
        let route = route.ok_or_else(|| ConnectError::NoGateway {
            address: address.to_string(),
            gateway: G::NAME,
        })?;
        let caller = Arc::clone(&self.inner.caller);
        let callee = caller.callee(address, self.inner.id, G::METHODS.len());
        let port = Port::local(route, callee, token, caller);
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
        let mut resolve = Resolve {
            endpoint: address.endpoint().to_owned(),
            gateway: G::NAME.to_owned(),
            methods: G::METHODS.iter().map(|it| it.fingerprint).collect(),
        };
        let claim = connection.resolve(&resolve).await;
        let claim = claim.map_err(|error| resolve_error::<G>(&address, error))?;
        // When it is looked for again, a pattern may stand for another endpoint.
        resolve.endpoint.clone_from(&claim.resolved().endpoint);
        let caller = Arc::clone(&self.inner.caller);
        let callee = caller.callee(address.clone(), connection.service(), G::METHODS.len());
        let service = self.downgrade();
        let gateway = RemoteGateway::new(service, address, resolve, claim);
        Ok(G::client(Port::remote(gateway, callee, token, caller)))
    }
}

pub(super) fn handshake(address: &str, error: HandshakeError) -> ConnectError {
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
