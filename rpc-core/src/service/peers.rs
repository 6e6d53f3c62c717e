//! The services that this one has dialled: one connection to each, and when to dial again.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::sync::{MutexGuard, Semaphore};
use tokio::time::Instant;

use super::backoff::Backoff;
use super::connect::handshake;
use super::{ConnectError, RpcService};
use crate::address::Address;
use crate::config::RpcConfig;
use crate::connection::{
    Claim, HandshakeError, Link, OutgoingConnection, Purpose, Redial, Refusal, Resolve,
    ResolveRefusal, dial, together,
};
use crate::diagnostics::ConnectionDiagnostics;
use crate::error::RpcError;
use crate::fnv::Fnv;
use crate::mutant::{self, Mutant};
use crate::transport::{Connection, Stream};

/// The peers of this service, by scheme and authority.
#[derive(Default)]
pub(super) struct Peers {
    peers: Mutex<BTreeMap<(String, String), Arc<Peer>>>,
}

/// One authority.
pub(super) struct Peer {
    /// The lock lets one of many callers dial.
    state: tokio::sync::Mutex<State>,
    /// The connection that was opened last, for those who do not wait for the lock.
    latest: Mutex<Weak<OutgoingConnection>>,
    /// So many channels may be opened at once: others wait for their turn, since a peer turns away
    /// those who are too many.
    pub(super) channels: Semaphore,
}

impl Default for Peer {
    fn default() -> Self {
        Self {
            state: tokio::sync::Mutex::default(),
            latest: Mutex::default(),
            channels: Semaphore::new(CHANNELS_AT_ONCE),
        }
    }
}

#[derive(Default)]
struct State {
    connection: Option<Arc<OutgoingConnection>>,
    backoff: Backoff,
    /// How many connections were old: each leaves its calls to itself, and is not cut off by the next.
    retired: u64,
}

/// Whether one waits for a peer that could not be reached just now, as long as the back-off says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// It is not dialled then.
    None,
    Waits,
}

impl Peers {
    fn peer(&self, scheme: &str, authority: &str) -> Arc<Peer> {
        let mut peers = self.peers.lock();
        if peers.len() >= FORGET_AT {
            // Those to whom there is no connection, and whom nobody is dialling.
            peers.retain(|_, peer| {
                Arc::strong_count(peer) > 1
                    || peer
                        .state
                        .try_lock()
                        .is_ok_and(|state| state.is_connected())
            });
        }
        let key = (scheme.to_owned(), authority.to_owned());
        Arc::clone(peers.entry(key).or_default())
    }

    pub(super) fn reports(&self) -> Vec<ConnectionDiagnostics> {
        let peers: Vec<_> = self.peers.lock().values().cloned().collect();
        let connections = peers.iter().filter_map(|it| it.latest.lock().upgrade());
        let open = connections.filter(|it| !it.is_closed());
        open.map(|it| it.report()).collect()
    }

    /// Closes all connections, and forgets the peers.
    pub(super) fn close(&self) {
        let peers = std::mem::take(&mut *self.peers.lock());
        for peer in peers.into_values() {
            // Whoever holds the lock is dialling, and finds the service closed.
            let connection = peer.state.try_lock().ok();
            let connection = connection.and_then(|mut it| it.connection.take());
            // Outside of all locks: it wakes callers.
            connection.iter().for_each(|it| it.close());
        }
    }
}

impl State {
    fn is_connected(&self) -> bool {
        self.connection.as_ref().is_some_and(|it| !it.is_closed())
    }

    /// Forgets a connection that has ended.
    fn notice_loss(&mut self, config: &RpcConfig) {
        if let Some(lost) = self.connection.take_if(|it| it.is_closed())
            && !lost.is_retired()
        {
            let now = Instant::now();
            let stood = now.saturating_duration_since(lost.opened());
            self.backoff.lost(config, stood, now, fastrand::f64());
        }
    }
}

impl RpcService {
    /// Takes all its connections for lost, though they may not be.
    #[cfg(test)]
    pub(crate) fn lose_connections(&self) {
        self.inner.peers.close();
    }

    /// Returns the connection to an authority, which is dialled now if there is none: somebody asks for
    /// just this connection.
    pub(super) async fn connection(
        &self,
        address: &Address,
    ) -> Result<Arc<OutgoingConnection>, ConnectError> {
        let peer = self.peer(address);
        let mut state = peer.state.lock().await;
        state.notice_loss(&self.inner.config);
        self.connected(&peer, state, address).await
    }

    /// The same for one whose connection was lost; `None` if it is too soon to dial.
    async fn connection_again(
        &self,
        address: &Address,
        patience: Patience,
    ) -> Option<Result<Arc<OutgoingConnection>, ConnectError>> {
        let peer = self.peer(address);
        loop {
            let mut state = peer.state.lock().await;
            state.notice_loss(&self.inner.config);
            let wait = state.backoff.wait_until(Instant::now());
            let wait = wait.filter(|_| !state.is_connected() && !self.is_closed());
            let Some(until) = wait.filter(|_| !mutant::is(Mutant::RedialAtOnce)) else {
                return Some(self.connected(&peer, state, address).await);
            };
            drop(state);
            match patience {
                Patience::Waits => tokio::time::sleep_until(until).await,
                Patience::None => return None,
            }
        }
    }

    pub(super) fn peer(&self, address: &Address) -> Arc<Peer> {
        let scheme = address.scheme().unwrap_or_default();
        self.inner.peers.peer(scheme, address.authority())
    }

    async fn connected(
        &self,
        peer: &Peer,
        mut state: MutexGuard<'_, State>,
        address: &Address,
    ) -> Result<Arc<OutgoingConnection>, ConnectError> {
        if self.is_closed() {
            return Err(ConnectError::Closed);
        }
        if let Some(connection) = &state.connection {
            if !connection.is_retired() {
                return Ok(Arc::clone(connection));
            }
            state.retired += u64::from(connection.until_heeded().await);
            state.connection = None;
        }
        match self.open(address, state.retired).await {
            Ok(connection) => {
                *peer.latest.lock() = Arc::downgrade(&connection);
                state.connection = Some(Arc::clone(&connection));
                Ok(connection)
            }
            Err(error) => {
                let now = Instant::now();
                let config = &self.inner.config;
                state.backoff.failed(config, now, fastrand::f64());
                Err(error)
            }
        }
    }

    /// Dials, and shakes hands. So many connections there were old, and are left to themselves.
    async fn open(
        &self,
        address: &Address,
        retired: u64,
    ) -> Result<Arc<OutgoingConnection>, ConnectError> {
        let opening = async {
            let (transport, mut stream) = self.dial(address).await?;
            let link = self.next_link(address, retired);
            let hello = self.hello(Purpose::Calls).by(link);
            let welcome = dial(&mut stream, &hello).await;
            let welcome = welcome.and_then(|it| {
                let own = self.inner.id;
                // Else a peer could have us make calls to ourselves that are meant for it.
                match it.service == own && !self.inner.accepted.has_link(own, link) {
                    true => Err(HandshakeError::Impostor),
                    false => Ok(it),
                }
            });
            let welcome = welcome.map_err(|error| {
                transport.close();
                handshake(&address.to_string(), error)
            })?;
            Ok((transport, stream, welcome, link))
        };
        let text = address.to_string();
        let (transport, stream, welcome, link) = self.within_time(&text, opening).await?;
        let config = &self.inner.config;
        let Stream { reader, writer } = stream;
        let connection = OutgoingConnection::new(transport.peer(), writer, &welcome, config);
        let widening = self.widening(&connection, address, link);
        let lender = Arc::clone(&transport);
        let lend_driver = move || lender.lend_driver();
        let driving = Arc::clone(&connection).drive(lend_driver, reader, config, widening);
        self.spawn(driving.map(move |()| transport.close()));
        if self.is_closed() {
            connection.close();
            return Err(ConnectError::Closed);
        }
        Ok(connection)
    }

    /// Adds a bulk lane to a connection when it is first needed: by a connection of the transport of its
    /// own, so that not even the work of encrypting what is large is in the way of what is small. Until
    /// there is one, large messages go the way of all others.
    fn widening(
        &self,
        connection: &Arc<OutgoingConnection>,
        address: &Address,
        link: Link,
    ) -> impl Future<Output = ()> + use<> {
        let (service, address) = (self.downgrade(), address.clone());
        let connection = Arc::clone(connection);
        async move {
            if !connection.wants_bulk().await {
                return;
            }
            let mut backoff = Backoff::default();
            while let Some(service) = service.upgrade() {
                let config = service.inner.config.clone();
                let opened = service.open_bulk(&address, link, connection.service());
                match opened.await {
                    Ok((transport, stream)) => {
                        return service.spawn(async move {
                            let running = pin!(connection.run_bulk(stream, &config));
                            together(transport.lend_driver(), running).await;
                            transport.close();
                        });
                    }
                    Err(error) => tracing::debug!(peer = %address, %error, "no bulk lane yet"),
                }
                drop(service);
                let now = Instant::now();
                backoff.failed(&config, now, fastrand::f64());
                tokio::time::sleep_until(backoff.wait_until(now).unwrap_or(now)).await;
            }
        }
    }

    /// Dials a service for a connection that it has, and shakes hands.
    async fn open_bulk(
        &self,
        address: &Address,
        link: Link,
        service: u128,
    ) -> Result<(Arc<dyn Connection>, Stream), ConnectError> {
        let text = address.to_string();
        let opening = async {
            let (transport, mut stream) = self.dial(address).await?;
            let hello = self.hello(Purpose::Bulk).by(link);
            let welcome = dial(&mut stream, &hello).await;
            let welcome = welcome.and_then(|it| match it.service == service {
                true => Ok(()),
                false => Err(HandshakeError::Refused(Refusal::NoConnection)),
            });
            welcome.map_err(|error| {
                transport.close();
                handshake(&text, error)
            })?;
            Ok((transport, stream))
        };
        self.within_time(&text, opening).await
    }

    fn next_link(&self, address: &Address, retired: u64) -> Link {
        let mut hash = Fnv::new();
        let scheme = address.scheme().unwrap_or_default();
        // A hash takes whatever is written to it.
        let _ = write!(hash, "{scheme}:{}#{retired}", address.authority());
        Link {
            address: hash.hash(),
            number: self.inner.dialled.fetch_add(1, Ordering::Relaxed) + 1,
        }
    }

    pub(super) async fn dial(
        &self,
        address: &Address,
    ) -> Result<(Arc<dyn Connection>, Stream), ConnectError> {
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

    /// Looks for an endpoint again whose connection was lost; one attempt.
    pub(crate) async fn redial(
        &self,
        address: &Address,
        resolve: &Resolve,
        patience: Patience,
    ) -> Result<Claim, Redial> {
        let connection = match self.connection_again(address, patience).await {
            Some(Ok(connection)) => connection,
            None => return Err(Redial::Failed),
            Some(Err(ConnectError::Closed)) => return Err(Redial::Closed),
            Some(Err(error)) => {
                tracing::debug!(%address, %error, "cannot reach it again yet");
                return Err(Redial::Failed);
            }
        };
        let claim = connection.resolve(resolve);
        let claim = tokio::time::timeout(self.inner.config.connect_timeout, claim);
        match claim.await {
            Ok(Ok(claim)) => Ok(claim),
            Ok(Err(RpcError::App(ResolveRefusal::NoEndpoint | ResolveRefusal::NoGateway))) => {
                Err(Redial::NoEndpoint)
            }
            Ok(Err(_)) | Err(_) => {
                // The next attempt meets this very connection, which may have no room for it yet.
                if !connection.is_closed() {
                    tokio::time::sleep(self.inner.config.redial_delay_min).await;
                }
                Err(Redial::Failed)
            }
        }
    }
}

/// So many peers are remembered before those are forgotten to whom there is no connection.
const FORGET_AT: usize = 1 << 10;
/// A fraction of the handshakes that a peer lets a host have under way, so that several processes may
/// dial from there; and no more are needed to be at work all the time.
const CHANNELS_AT_ONCE: usize = 32;
