//! Peers that connect: who they are, and what they want.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tracing::Instrument;

use super::{RpcService, WeakService};
use crate::config::RpcConfig;
use crate::connection::{Directory, Hello, IncomingConnection, Listing, Purpose, Refusal, greet};
use crate::diagnostics::ConnectionDiagnostics;
use crate::mutant::{self, Mutant};
use crate::transport::{Connection, Listener, Stream};

/// The connections that peers have opened.
#[derive(Default)]
pub(super) struct Accepted {
    state: Mutex<State>,
    /// A connection that calls came by has ended.
    ended: Notify,
}

#[derive(Default)]
struct State {
    /// What each host has.
    hosts: BTreeMap<String, Host>,
    connections: usize,
    /// How many streams whose peers have not said who they are.
    greeting: usize,
    serving: BTreeMap<u64, Weak<IncomingConnection>>,
    served: u64,
    /// The newest connection of each link, by the peer's id and the link's address.
    links: BTreeMap<(u128, u64), Newest>,
}

/// The newest connection of a link.
struct Newest {
    number: u64,
    connection: Weak<IncomingConnection>,
}

/// What the peers of one host have.
#[derive(Clone, Copy, Default)]
struct Host {
    connections: usize,
    greeting: usize,
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
    fn admit(self: &Arc<Self>, peer: &str, config: &RpcConfig) -> Result<Admitted, Full> {
        let host = host_of(peer);
        let mut state = self.state.lock();
        if state.connections >= config.connections_max {
            return Err(Full::Service);
        }
        if state.host(host).connections >= config.connections_per_host_max {
            return Err(Full::Host);
        }
        state.connections += 1;
        state.change_host(host, |it| it.connections += 1);
        drop(state);
        Ok(Admitted {
            accepted: Arc::clone(self),
            host: host.to_owned(),
        })
    }

    fn greet(self: &Arc<Self>, peer: &str, config: &RpcConfig) -> Result<Greeting, Full> {
        let host = host_of(peer);
        let mut state = self.state.lock();
        if state.greeting >= config.handshakes_max {
            return Err(Full::Greeting);
        }
        if state.host(host).greeting >= config.handshakes_per_host_max {
            return Err(Full::GreetingHost);
        }
        state.greeting += 1;
        state.change_host(host, |it| it.greeting += 1);
        drop(state);
        Ok(Greeting {
            accepted: Arc::clone(self),
            host: host.to_owned(),
        })
    }

    /// Gives a link to a connection that is about to be made: it is cut off from older ones first.
    fn link(self: &Arc<Self>, hello: &Hello) -> Result<Linked, Refusal> {
        let key = (hello.service, hello.link.address);
        let number = hello.link.number;
        let mut state = self.state.lock();
        let newest = Newest {
            number,
            connection: Weak::new(),
        };
        let older = match state.links.get(&key) {
            Some(newest) if newest.number >= number => return Err(Refusal::Superseded),
            _ => state.links.insert(key, newest),
        };
        drop(state);
        if let Some(older) = older.and_then(|it| it.connection.upgrade())
            && !mutant::is(Mutant::OldConnectionServed)
        {
            older.discard();
        }
        Ok(Linked {
            accepted: Arc::clone(self),
            key,
            number,
        })
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
        let serving: Vec<_> = self.state.lock().serving.values().cloned().collect();
        for connection in serving.iter().filter_map(Weak::upgrade) {
            connection.discard();
        }
    }

    pub(super) fn reports(&self) -> Vec<ConnectionDiagnostics> {
        let serving: Vec<_> = self.state.lock().serving.values().cloned().collect();
        let serving = serving.iter().filter_map(Weak::upgrade);
        serving.map(|it| it.report()).collect()
    }

    /// Tells all peers that the service ends, and waits until they have heard it.
    pub(super) async fn say_goodbye(&self) {
        let serving: Vec<_> = self.state.lock().serving.values().cloned().collect();
        for connection in serving.iter().filter_map(Weak::upgrade) {
            connection.say_goodbye();
        }
        loop {
            let ended = self.ended.notified();
            if self.state.lock().serving.is_empty() {
                return;
            }
            ended.await;
        }
    }
}

impl State {
    fn host(&self, host: &str) -> Host {
        self.hosts.get(host).copied().unwrap_or_default()
    }

    /// Changes what a host has; one that has nothing is forgotten.
    fn change_host(&mut self, host: &str, change: impl FnOnce(&mut Host)) {
        let mut has = self.host(host);
        change(&mut has);
        if has.connections + has.greeting == 0 {
            self.hosts.remove(host);
        } else {
            self.hosts.insert(host.to_owned(), has);
        }
    }
}

/// Returns what peers of the same host have in common.
fn host_of(peer: &str) -> &str {
    peer.rsplit_once(':').map_or(peer, |(host, _)| host)
}

/// One of the connections that are open.
struct Admitted {
    accepted: Arc<Accepted>,
    host: String,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut state = self.accepted.state.lock();
        state.connections -= 1;
        state.change_host(&self.host, |it| it.connections -= 1);
    }
}

/// One of the streams whose peers have not said who they are.
struct Greeting {
    accepted: Arc<Accepted>,
    host: String,
}

impl Drop for Greeting {
    fn drop(&mut self) {
        let mut state = self.accepted.state.lock();
        state.greeting -= 1;
        state.change_host(&self.host, |it| it.greeting -= 1);
    }
}

/// The newest connection of a link.
struct Linked {
    accepted: Arc<Accepted>,
    key: (u128, u64),
    number: u64,
}

impl Linked {
    /// Takes the link over, unless a newer connection has done so meanwhile.
    fn take(&self, connection: &Arc<IncomingConnection>) {
        let mut state = self.accepted.state.lock();
        match state.links.get_mut(&self.key) {
            Some(newest) if newest.number == self.number => {
                newest.connection = Arc::downgrade(connection);
            }
            _ => {
                drop(state);
                connection.discard();
            }
        }
    }
}

impl Drop for Linked {
    fn drop(&mut self) {
        let mut state = self.accepted.state.lock();
        let newest = state.links.get(&self.key);
        if newest.is_some_and(|it| it.number == self.number) {
            state.links.remove(&self.key);
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
        self.accepted.ended.notify_one();
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
        let inner = &service.inner;
        let admitted = match inner.accepted.admit(&connection.peer(), &inner.config) {
            Ok(admitted) => admitted,
            Err(error) => {
                tracing::warn!(peer = connection.peer(), %error, "connection turned away");
                connection.close();
                continue;
            }
        };
        let weak = WeakService(Arc::downgrade(&service.inner));
        service.spawn(async move {
            accept_streams(&weak, &connection).await;
            // Not closed: a channel that was handed on outlives the task that accepted it.
            drop((connection, admitted));
        });
    }
}

/// Serves the streams of a connection, all at once, until it is closed.
async fn accept_streams(service: &WeakService, connection: &Arc<dyn Connection>) {
    let mut streams = tokio::task::JoinSet::new();
    loop {
        let stream = tokio::select! {
            biased;
            // Ended streams are forgotten.
            Some(_) = streams.join_next() => continue,
            stream = connection.accept_stream() => stream,
        };
        match stream {
            Ok(stream) => {
                let (service, connection) = (service.clone(), Arc::clone(connection));
                let serving = async move { serve_stream(service, &*connection, stream).await };
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

async fn serve_stream(service: WeakService, connection: &dyn Connection, mut stream: Stream) {
    let Some(service) = service.upgrade() else {
        return;
    };
    let peer = connection.peer();
    let config = service.inner.config.clone();
    let greeting = match service.inner.accepted.greet(&peer, &config) {
        Ok(greeting) => greeting,
        Err(error) => {
            tracing::warn!(peer, %error, "stream turned away");
            return;
        }
    };
    let own = service.hello(Purpose::Calls);
    let mut linked = None;
    let judge = |hello: &Hello| {
        service.judge(hello)?;
        if hello.purpose == Purpose::Calls {
            linked = Some(service.inner.accepted.link(hello)?);
        }
        Ok(())
    };
    let timeout = config.handshake_timeout;
    let hello = match tokio::time::timeout(timeout, greet(&mut stream, &own, judge)).await {
        Ok(Ok(hello)) => hello,
        Ok(Err(error)) => {
            tracing::debug!(peer, %error, "handshake failed");
            return;
        }
        Err(_) => {
            tracing::debug!(peer, ?timeout, "the peer did not say who it is in time");
            return;
        }
    };
    drop(greeting);
    match hello.purpose {
        Purpose::Channel(_) if service.is_stranger(connection) => {
            tracing::warn!(
                peer,
                "a channel is forbidden to a peer without a certificate"
            );
        }
        Purpose::Channel(name) => service.inner.channels.offer(&name, stream),
        Purpose::Calls => {
            let roles = service.roles_of(connection);
            let Stream { reader, writer } = stream;
            let incoming =
                IncomingConnection::new(peer, roles, writer, hello.frame_bytes_max, &config);
            let serving = service.inner.accepted.serve(&incoming);
            if let Some(linked) = &linked {
                linked.take(&incoming);
            }
            if service.is_closed() {
                incoming.say_goodbye();
            }
            let directory = WeakService(Arc::downgrade(&service.inner));
            drop(service);
            incoming.serve(reader, directory, &config).await;
            drop((serving, linked));
        }
    }
}

impl RpcService {
    fn judge(&self, hello: &Hello) -> Result<(), Refusal> {
        if self.is_closed() {
            return Err(Refusal::Closing);
        }
        match &hello.purpose {
            Purpose::Channel(name) if !self.inner.channels.accepts(name) => Err(Refusal::NoChannel),
            Purpose::Channel(_) | Purpose::Calls => Ok(()),
        }
    }

    /// Tells whether roles are needed, and the peer can have none.
    fn is_stranger(&self, connection: &dyn Connection) -> bool {
        self.inner.roles_needed && connection.identity().is_none()
    }

    /// Returns what a peer may do; `None` if everybody may do everything.
    fn roles_of(&self, connection: &dyn Connection) -> Option<Vec<String>> {
        if !self.inner.roles_needed {
            return None;
        }
        let identity = connection.identity();
        Some(identity.map_or_else(Vec::new, |it| it.roles().to_vec()))
    }
}

/// A connection does not keep the service alive.
impl Directory for WeakService {
    fn find(&self, endpoint: &str) -> Option<Listing> {
        self.upgrade()?.find(endpoint)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Accepted, Full};
    use crate::config::RpcConfig;

    #[test]
    fn a_host_whose_peers_say_nothing_does_not_keep_others_out() {
        let mut config = RpcConfig::default();
        (config.handshakes_max, config.handshakes_per_host_max) = (3, 2);
        let accepted = Arc::new(Accepted::default());
        let greet = |peer| accepted.greet(peer, &config);
        let silent = [greet("mute:1").unwrap(), greet("mute:2").unwrap()];
        assert_eq!(greet("mute:3").err(), Some(Full::GreetingHost));
        let other = greet("other:1").unwrap();
        assert_eq!(greet("third:1").err(), Some(Full::Greeting));
        drop((silent, other));
        assert!(greet("mute:3").is_ok());
        assert!(
            accepted.state.lock().hosts.is_empty(),
            "hosts are forgotten"
        );
    }

    #[test]
    fn a_host_has_its_share_of_the_connections() {
        let mut config = RpcConfig::default();
        (config.connections_max, config.connections_per_host_max) = (3, 2);
        let accepted = Arc::new(Accepted::default());
        let admit = |peer| accepted.admit(peer, &config);
        let greedy = [admit("greedy:1").unwrap(), admit("greedy:2").unwrap()];
        assert_eq!(admit("greedy:3").err(), Some(Full::Host));
        let other = admit("other:1").unwrap();
        assert_eq!(admit("third:1").err(), Some(Full::Service));
        drop((greedy, other));
        assert!(
            accepted.state.lock().hosts.is_empty(),
            "hosts are forgotten"
        );
    }
}
