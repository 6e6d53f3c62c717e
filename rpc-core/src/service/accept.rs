//! Peers that connect: who they are, and what they want.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{RpcService, WeakService};
use crate::connection::{Hello, Purpose, Refusal, greet, serve};
use crate::transport::{Connection, Listener, Stream};

/// Accepts connections until the service is closed.
pub(super) async fn listen(service: WeakService, mut listener: Box<dyn Listener>) {
    let open = Arc::new(AtomicUsize::new(0));
    loop {
        let connection = match listener.accept().await {
            Ok(connection) => connection,
            Err(error) => {
                tracing::error!(%error, "the listener has failed");
                return;
            }
        };
        let Some(service) = service.upgrade() else {
            return;
        };
        let guard = Counted::new(&open);
        if guard.count > service.inner.config.connections_max {
            tracing::warn!(peer = connection.peer(), "too many connections");
            connection.close();
            continue;
        }
        let weak = WeakService(Arc::downgrade(&service.inner));
        service.spawn(async move {
            accept_streams(&weak, &*connection).await;
            // Not closed: a channel that was handed on outlives the task that accepted it.
            drop((connection, guard));
        });
    }
}

/// One of the connections that are open.
struct Counted {
    open: Arc<AtomicUsize>,
    count: usize,
}

impl Counted {
    fn new(open: &Arc<AtomicUsize>) -> Self {
        Self {
            open: Arc::clone(open),
            count: open.fetch_add(1, Ordering::Relaxed) + 1,
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Serves the streams of a connection, all at once, until it is closed.
async fn accept_streams(service: &WeakService, connection: &dyn Connection) {
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
                let (service, peer) = (service.clone(), connection.peer());
                streams.spawn(serve_stream(service, peer, stream));
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

async fn serve_stream(service: WeakService, peer: String, mut stream: Stream) {
    let Some(service) = service.upgrade() else {
        return;
    };
    let own = service.hello(Purpose::Calls);
    let judge = |hello: &Hello| service.judge(hello);
    let timeout = service.inner.config.handshake_timeout;
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
    match hello.purpose {
        Purpose::Channel(name) => service.inner.channels.offer(&name, stream),
        Purpose::Calls => {
            let config = service.inner.config.clone();
            let lookup = service.weak_lookup();
            drop(service);
            serve(peer, stream, hello.frame_bytes_max, &config, lookup).await;
        }
    }
}

impl RpcService {
    fn judge(&self, hello: &Hello) -> Result<(), Refusal> {
        match &hello.purpose {
            Purpose::Channel(name) if !self.inner.channels.accepts(name) => Err(Refusal::NoChannel),
            Purpose::Channel(_) | Purpose::Calls => Ok(()),
        }
    }

    /// Finds endpoints for a connection, which does not keep the service alive.
    fn weak_lookup(&self) -> impl Fn(&str) -> Option<Arc<[crate::gateway::Exposed]>> + use<> {
        let service = WeakService(Arc::downgrade(&self.inner));
        move |name| service.upgrade()?.inner.registry.exposed(name)
    }
}
