//! Peers that connect: who they are, and what they want.

mod links;

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::Instrument;

use self::links::{Key, Linked, Newest};
use super::quota::{Excess, Quota, Share};
use super::{RpcService, WeakService};
use crate::config::RpcConfig;
use crate::connection::{
    Directory, Hello, IncomingConnection, Listing, Peer, Purpose, Refusal, greet, together,
};
use crate::diagnostics::ConnectionDiagnostics;
use crate::transport::{Connection, Listener, PeerIdentity, Stream};

/// The connections that peers have opened.
#[derive(Default)]
pub(super) struct Accepted {
    connections: Arc<Quota>,
    /// The streams whose peers have not said who they are.
    greeting: Arc<Quota>,
    state: Mutex<State>,
    /// When it was last said that peers are turned away.
    said: Mutex<Option<Instant>>,
    /// A connection that calls came by has ended.
    ended: Notify,
}

#[derive(Default)]
struct State {
    serving: BTreeMap<u64, Weak<IncomingConnection>>,
    served: u64,
    /// The newest connection of each link.
    links: BTreeMap<Key, Newest>,
}

/// Why a peer is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Full {
    #[error("too many peers are about to say who they are")]
    Greeting,
    #[error("too many peers of this host are about to say who they are")]
    GreetingHost,
    #[error("there are too many connections from this host")]
    Host,
    #[error("there are too many connections")]
    Service,
}

impl Accepted {
    fn admit(&self, peer: &str, config: &RpcConfig) -> Result<Share, Full> {
        let limits = (config.connections_max, config.connections_per_host_max);
        let admitted = self.connections.take(peer, limits.0, limits.1);
        admitted.map_err(|excess| match excess {
            Excess::All => Full::Service,
            Excess::Host => Full::Host,
        })
    }

    fn greet(&self, peer: &str, config: &RpcConfig) -> Result<Share, Full> {
        let limits = (config.handshakes_max, config.handshakes_per_host_max);
        let greeting = self.greeting.take(peer, limits.0, limits.1);
        greeting.map_err(|excess| match excess {
            Excess::All => Full::Greeting,
            Excess::Host => Full::GreetingHost,
        })
    }

    /// Says that a peer is turned away: not of each of a flood, which would fill the log.
    fn turned_away(&self, peer: &str, error: Full) {
        let (mut said, now) = (self.said.lock(), Instant::now());
        if said.is_some_and(|it| now.saturating_duration_since(it) < SILENCE) {
            tracing::debug!(peer, %error, "turned away");
            return;
        }
        *said = Some(now);
        tracing::warn!(peer, %error, "turned away, as others may be from now on");
    }

    fn serve(self: &Arc<Self>, connection: &Arc<IncomingConnection>) -> Serving {
        let mut state = self.state.lock();
        state.served += 1;
        let number = state.served;
        state.serving.insert(number, Arc::downgrade(connection));
        drop(state);
        Serving {
            accepted: Arc::clone(self),
            number,
        }
    }

    /// Cuts all peers off, which hear nothing more.
    pub(super) fn discard(&self) {
        self.serving().iter().for_each(|it| it.discard());
    }

    pub(super) fn reports(&self) -> Vec<ConnectionDiagnostics> {
        self.serving().iter().map(|it| it.report()).collect()
    }

    fn serving(&self) -> Vec<Arc<IncomingConnection>> {
        let state = self.state.lock();
        state.serving.values().filter_map(Weak::upgrade).collect()
    }

    /// Tells all peers that the service ends, and waits until they have heard it.
    pub(super) async fn say_goodbye(&self) {
        self.serving().iter().for_each(|it| it.say_goodbye());
        loop {
            let ended = self.ended.notified();
            if self.state.lock().serving.is_empty() {
                return;
            }
            ended.await;
        }
    }
}

/// One of the connections that calls come by.
struct Serving {
    accepted: Arc<Accepted>,
    number: u64,
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.accepted.state.lock().serving.remove(&self.number);
        self.accepted.ended.notify_waiters();
    }
}

/// Accepts connections until the service is closed.
pub(super) async fn listen(service: WeakService, mut listener: Box<dyn Listener>) {
    loop {
        let connection = match listener.accept().await {
            Ok(connection) => connection,
            Err(error) => {
                tracing::error!(%error, "the listener has failed");
                return;
            }
        };
        let Some(service) = service.upgrade().filter(|it| !it.is_closed()) else {
            connection.close();
            return;
        };
        let (inner, peer) = (&service.inner, connection.peer());
        let (accepted, config) = (&inner.accepted, &inner.config);
        // What comes before its first stream, such as a handshake of TLS, counts as well.
        let greeting = accepted.greet(&peer, config);
        let shares = greeting.and_then(|it| Ok((accepted.admit(&peer, config)?, it)));
        let shares = match shares {
            Ok(shares) => shares,
            Err(error) => {
                accepted.turned_away(&peer, error);
                connection.close();
                continue;
            }
        };
        // Whoever dials has as long as that, however busy both are.
        let silence_max = inner.config.silence_max();
        let weak = service.downgrade();
        // It is not closed at the end: a channel that was handed on outlives the task that accepted it.
        service.spawn(async move { accept_streams(&weak, &connection, shares, silence_max).await });
    }
}

/// Serves the streams of a connection, all at once, until it is closed. Its share of the connections, and
/// of those that have not said who they are, is that of its first stream too; each further one needs one
/// of its own.
async fn accept_streams(
    service: &WeakService,
    connection: &Arc<dyn Connection>,
    (share, greeting): (Share, Share),
    silence_max: Duration,
) {
    let share = Arc::new(share);
    let mut of_first = Some((Arc::clone(&share), greeting));
    let mut streams = tokio::task::JoinSet::new();
    let welcomed = Arc::new(Notify::new());
    let mut silence = pin!(async {
        let welcomed = tokio::time::timeout(silence_max, welcomed.notified());
        if welcomed.await.is_ok() {
            std::future::pending().await
        }
    });
    loop {
        let stream = tokio::select! {
            biased;
            // Ended streams are forgotten.
            Some(_) = streams.join_next() => continue,
            stream = connection.accept_stream() => stream,
            () = &mut silence => {
                tracing::debug!(peer = connection.peer(), "nobody said in time who they are");
                connection.close();
                break;
            }
        };
        match stream {
            Ok(stream) => {
                let (service, connection) = (service.clone(), Arc::clone(connection));
                let (shares, welcomed) = (of_first.take(), Arc::clone(&welcomed));
                let serving = async move {
                    serve_stream(service, &*connection, stream, shares, &welcomed).await;
                };
                streams.spawn(serving.in_current_span());
            }
            Err(error) => {
                tracing::debug!(%error, "no more streams");
                break;
            }
        }
    }
    // Streams may outlive what accepted them: a TCP connection has only one.
    while streams.join_next().await.is_some() {}
}

async fn serve_stream(
    service: WeakService,
    connection: &dyn Connection,
    mut stream: Stream,
    shares: Option<(Arc<Share>, Share)>,
    welcomed: &Notify,
) {
    let Some(service) = service.upgrade() else {
        return;
    };
    let Some(welcome) = service.welcome(connection, &mut stream, shares).await else {
        return;
    };
    welcomed.notify_one();
    let Welcomed { hello, wish, share } = welcome;
    let config = service.inner.config.clone();
    match wish {
        Wish::Channel(_) if service.is_stranger(connection.identity().as_ref()) => {
            tracing::warn!(
                peer = connection.peer(),
                "a channel is forbidden to a peer without a certificate"
            );
        }
        Wish::Channel(name) => {
            let (channels, patience) = (&service.inner.channels, config.handshake_timeout);
            let offering = channels.offer(name, stream, &share, patience);
            drop(service);
            offering.await;
        }
        Wish::Calls(linked) => {
            let peer = Peer {
                name: connection.peer(),
                roles: service.roles_of(connection.identity().as_ref()),
            };
            let Stream { reader, writer } = stream;
            let (directory, frame_bytes_max) = (service.downgrade(), hello.frame_bytes_max);
            let incoming =
                IncomingConnection::new(peer, writer, frame_bytes_max, directory, &config);
            let serving = service.inner.accepted.serve(&incoming);
            linked.take(&incoming);
            if service.is_closed() {
                incoming.say_goodbye();
            }
            drop(service);
            let serving_it = pin!(incoming.serve(reader, &config));
            together(connection.lend_driver(), serving_it).await;
            drop((serving, linked));
        }
        Wish::Bulk(joined) => {
            drop(service);
            let serving = pin!(joined.serve_bulk(stream, &config));
            together(connection.lend_driver(), serving).await;
        }
    }
    drop(share);
}

/// A stream whose peer has said who it is.
struct Welcomed {
    hello: Hello,
    wish: Wish,
    /// Held as long as the stream.
    share: Arc<Share>,
}

/// What a peer wants that is welcome.
enum Wish {
    Calls(Linked),
    Channel(String),
    /// To carry what is large of a connection's calls.
    Bulk(Arc<IncomingConnection>),
}

impl RpcService {
    /// Shakes hands over a stream, which needs a share of the connections, and one of those that have not
    /// said who they are until it is done.
    async fn welcome(
        &self,
        connection: &dyn Connection,
        stream: &mut Stream,
        shares: Option<(Arc<Share>, Share)>,
    ) -> Option<Welcomed> {
        let peer = connection.peer();
        let (accepted, config) = (&self.inner.accepted, &self.inner.config);
        let (share, greeting) = shares.unzip();
        let _greeting = match greeting.map_or_else(|| accepted.greet(&peer, config), Ok) {
            Ok(greeting) => greeting,
            Err(error) => {
                accepted.turned_away(&peer, error);
                return None;
            }
        };
        let own = self.hello(Purpose::Calls);
        let identity = connection.identity();
        let mut judged = None;
        let judge = |hello: &Hello| {
            let share = match share {
                Some(share) => share,
                None => Arc::new(accepted.admit(&peer, config).map_err(|error| {
                    accepted.turned_away(&peer, error);
                    Refusal::TooMany
                })?),
            };
            judged = Some((self.judge(hello, identity.as_ref())?, share));
            Ok(())
        };
        let timeout = config.handshake_timeout;
        let hello = match tokio::time::timeout(timeout, greet(stream, &own, judge)).await {
            Ok(Ok(hello)) => hello,
            Ok(Err(error)) => {
                tracing::debug!(peer, %error, "handshake failed");
                return None;
            }
            Err(_) => {
                tracing::debug!(peer, ?timeout, "the peer did not say who it is in time");
                return None;
            }
        };
        let (wish, share) = judged?;
        Some(Welcomed { hello, wish, share })
    }

    fn judge(&self, hello: &Hello, identity: Option<&PeerIdentity>) -> Result<Wish, Refusal> {
        if self.is_closed() {
            return Err(Refusal::Closing);
        }
        let accepted = &self.inner.accepted;
        match &hello.purpose {
            Purpose::Calls => accepted.link(hello, identity).map(Wish::Calls),
            Purpose::Channel(name) if self.inner.channels.accepts(name) => {
                Ok(Wish::Channel(name.clone()))
            }
            Purpose::Channel(_) => Err(Refusal::NoChannel),
            Purpose::Bulk => accepted.joined(hello, identity).map(Wish::Bulk),
        }
    }

    /// Tells whether roles are needed, and the peer can have none.
    fn is_stranger(&self, identity: Option<&PeerIdentity>) -> bool {
        self.inner.roles_needed && identity.is_none()
    }

    /// Returns what a peer may do; `None` if everybody may do everything.
    fn roles_of(&self, identity: Option<&PeerIdentity>) -> Option<Vec<String>> {
        if !self.inner.roles_needed {
            return None;
        }
        Some(identity.map_or_else(Vec::new, |it| it.roles().to_vec()))
    }
}

/// For so long nothing more is said of peers that are turned away.
const SILENCE: Duration = Duration::from_secs(10);

/// A connection does not keep the service alive.
impl Directory for WeakService {
    fn find(&self, endpoint: &str) -> Option<Listing> {
        self.upgrade()?.inner.registry.listing(endpoint)
    }
}

#[cfg(all(test, feature = "testing"))]
mod sim_tests;
#[cfg(test)]
mod tests;
