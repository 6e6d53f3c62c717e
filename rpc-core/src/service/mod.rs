//! The service: it starts endpoints, connects gateways, and owns every task it spawns.

mod accept;
mod awake;
mod backoff;
mod builder;
mod channel;
mod connect;
mod error;
mod executor;
mod home;
mod observe;
mod peers;
mod quota;
mod registry;

pub use self::builder::RpcServiceBuilder;
pub use self::channel::ChannelListener;
pub use self::error::{BuildError, ConnectError, StartError};
pub use self::executor::{ScheduledExecutor, ScheduledTask, TaskError};
pub(crate) use self::home::Home;
pub(crate) use self::peers::Patience;

use std::collections::BTreeMap;
use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Once, Weak};

use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{Instrument, Span};

use self::accept::Accepted;
use self::awake::Awake;
use self::channel::Channels;
use self::error::NO_RUNTIME;
use self::home::Homes;
use self::peers::Peers;
use self::registry::Registry;
use crate::address::AddressError;
use crate::caller::Caller;
use crate::config::RpcConfig;
use crate::connection::{Hello, Purpose};
use crate::endpoint::RpcEndpoint;
use crate::endpoint_core::EndpointCore;
use crate::error::EndpointError;
use crate::main_loop::Resting;
use crate::server::RpcServer;
use crate::transport::Transport;

/// Starts endpoints, and connects gateways to those of this and of other services.
///
/// A service is a handle: clones are the same service. Its endpoints and connections live until it is
/// [closed](Self::close). A service whose last handle is dropped ends too, as one that is
/// [aborted](Self::abort): gateways and servers do not keep it.
///
/// It runs on the tokio runtime in which it is made, its connections too, whoever asks for them: from
/// another runtime, or from a thread without one. That runtime has to outlive it. Of a service that is
/// made outside of any, each task runs where it is begun; what cannot be begun fails, and says so. An
/// [endpoint](Self::start_server) may have a runtime of its own.
///
/// Answers to Flink's `RpcService`.
#[derive(Clone)]
pub struct RpcService {
    inner: Arc<Inner>,
}

struct Inner {
    /// New with each service, so that a peer that was restarted is told from its predecessor.
    id: u128,
    cluster: u128,
    config: RpcConfig,
    transports: BTreeMap<&'static str, Reach>,
    registry: Registry,
    /// The services that this one has dialled.
    peers: Peers,
    /// How many connections this service has dialled.
    dialled: AtomicU64,
    /// The connections that other services have opened.
    accepted: Arc<Accepted>,
    channels: Channels,
    caller: Arc<Caller>,
    /// Whether a peer needs a role for what it calls.
    roles_needed: bool,
    /// Where its tasks run, save endpoints; `None` if that is where they are begun.
    runtime: Option<Handle>,
    tasks: Mutex<JoinSet<()>>,
    /// Where its endpoints run. Locked while one is started, and when the service begins to close.
    homes: Mutex<Homes>,
    /// The endpoints that have a task.
    awake: Arc<Awake>,
    closed: watch::Sender<bool>,
    /// The span that all its tasks run in: that in which the service was made.
    span: Span,
    /// Whether the endpoints are watched.
    watching: Once,
}

impl Inner {
    fn abort_endpoints(&self) {
        let endpoints = self.registry.endpoints();
        endpoints.iter().for_each(|it| it.abort());
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.abort_endpoints();
    }
}

/// A transport of the service.
struct Reach {
    transport: Arc<dyn Transport>,
    /// Where others reach this service, if the transport listens.
    authority: Option<String>,
}

/// A service that does not live for it.
#[derive(Clone)]
pub(crate) struct WeakService(Weak<Inner>);

impl WeakService {
    pub(crate) fn upgrade(&self) -> Option<RpcService> {
        self.0.upgrade().map(|inner| RpcService { inner })
    }

    /// Frees the name of an endpoint that has ended.
    pub(crate) fn forget(&self, endpoint: &str) {
        if let Some(service) = self.upgrade() {
            service.inner.registry.remove(endpoint);
        }
    }

    /// Tells whether the service has an endpoint under this name that is not this one.
    pub(crate) fn has_another(&self, name: &str, incarnation: u64) -> bool {
        let service = self.upgrade();
        service.is_some_and(|it| it.inner.registry.has_another(name, incarnation))
    }
}

impl RpcService {
    /// Returns the service's configuration.
    #[must_use]
    pub fn config(&self) -> &RpcConfig {
        &self.inner.config
    }

    /// Returns the address of an endpoint with this name in this service.
    ///
    /// It is that of the first transport that listens, by scheme, or the bare name if none does.
    #[must_use]
    pub fn address_of(&self, name: &str) -> String {
        let listening = |(scheme, reach): (&&str, &Reach)| {
            let authority = reach.authority.as_ref()?;
            Some(format!("{scheme}://{authority}/{name}"))
        };
        let mut transports = self.inner.transports.iter();
        transports
            .find_map(listening)
            .unwrap_or_else(|| name.to_owned())
    }

    /// Makes an endpoint under a name that no other endpoint of this service has.
    ///
    /// It serves once its [`start`](RpcServer::start) is called. It runs on the runtime in which this is
    /// called, and ends with it, so that one that blocks can be kept from the others; on that of the
    /// service if this is called outside of any. It has a task there while it has something to do, and
    /// for a second or two after that: an endpoint that is idle is little more than its state.
    ///
    /// # Errors
    ///
    /// The name is taken or is none, or the service is closed, or there is no runtime.
    pub fn start_server<E: RpcEndpoint>(
        &self,
        name: &str,
        endpoint: E,
    ) -> Result<RpcServer<E>, StartError> {
        AddressError::check_name(name).map_err(StartError::Name)?;
        let runtime = Handle::try_current().ok().or_else(|| self.runtime());
        let home = self.home(runtime.ok_or(StartError::NoRuntime)?);
        let core = Arc::new(EndpointCore::new(
            name.into(),
            &self.inner.config,
            Arc::clone(&self.inner.caller),
            home,
        ));
        {
            let _starting = self.inner.homes.lock();
            if self.is_closed() {
                return Err(StartError::Closed);
            }
            self.inner.registry.insert(&core)?;
        }
        // What its code logs tells whose it is.
        let span = tracing::info_span!(parent: &self.inner.span, "endpoint", %name);
        core.settle(Resting::new(Arc::clone(&core), endpoint, recorded(span)));
        let server = RpcServer::new(core);
        self.start_watching();
        Ok(server)
    }

    /// Stops all endpoints, tells the peers, and then closes all connections.
    ///
    /// Calls to endpoints that stop are still answered. What peers are told last is waited for no
    /// longer than [`close_timeout`](RpcConfig::close_timeout).
    ///
    /// # Errors
    ///
    /// How the first endpoint ended that did not end well; the others are stopped all the same.
    ///
    /// # Cancel safety
    ///
    /// May be called again; what was begun goes on.
    pub async fn close(&self) -> Result<(), EndpointError> {
        self.begin_to_close();
        let result = self.inner.registry.terminate_all().await;
        self.inner.peers.close();
        self.inner.channels.close();
        let farewell = self.inner.accepted.say_goodbye();
        match self.runtime() {
            // Whoever does not read is not waited for.
            Some(_) => {
                let after = self.inner.config.close_timeout;
                let in_time = async { tokio::time::timeout(after, farewell).await };
                let _ = self.on_runtime(in_time).await;
            }
            // Nobody can wait here.
            None => drop(farewell.now_or_never()),
        }
        let mut tasks = std::mem::take(&mut *self.inner.tasks.lock());
        tasks.shutdown().await;
        result
    }

    fn begin_to_close(&self) {
        // An endpoint is started before, and will be stopped, or not at all.
        let _starting = self.inner.homes.lock();
        self.inner.closed.send_replace(true);
    }

    /// Ends everything at once, as when the process dies: no `on_stop`, no goodbye, and no answers but
    /// those that say so to callers in this process.
    ///
    /// For tests of what others do then, and for a second signal while [`close`](Self::close) waits.
    pub fn abort(&self) {
        self.begin_to_close();
        // First those who could hear of the rest.
        self.inner.accepted.discard();
        self.inner.abort_endpoints();
        self.inner.tasks.lock().abort_all();
        self.inner.peers.close();
        self.inner.channels.close();
    }

    /// Tells whether [`close`](Self::close) was called.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        *self.inner.closed.borrow()
    }

    /// Runs a task on the service's runtime until it ends or the service is closed, which aborts it.
    ///
    /// As all tasks of the service it runs in the [`tracing`] span in which the service was made.
    ///
    /// # Panics
    ///
    /// Outside of any runtime, if the service was made outside of any.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if self.try_spawn(task).is_err() {
            panic!("{NO_RUNTIME}");
        }
    }

    /// As [`spawn`](Self::spawn); the task is dropped if there is no runtime for it.
    pub(crate) fn try_spawn(
        &self,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), NoRuntime> {
        let runtime = self.runtime().ok_or(NoRuntime)?;
        let mut tasks = self.inner.tasks.lock();
        if !self.is_closed() {
            spawn_within(self.inner.span.clone(), &runtime, &mut tasks, task);
        }
        Ok(())
    }

    /// Returns where the service's tasks run that are begun here.
    fn runtime(&self) -> Option<Handle> {
        let runtime = self.inner.runtime.clone();
        runtime.or_else(|| Handle::try_current().ok())
    }

    /// Polls a future in the service's runtime: the sockets and timers that it makes belong to that,
    /// whoever waits for it.
    async fn on_runtime<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        poll_fn(|cx| {
            let _entered = self.inner.runtime.as_ref().map(Handle::enter);
            future.as_mut().poll(cx)
        })
        .await
    }

    pub(crate) fn downgrade(&self) -> WeakService {
        WeakService(Arc::downgrade(&self.inner))
    }

    fn hello(&self, purpose: Purpose) -> Hello {
        let inner = &self.inner;
        Hello::new(purpose, &inner.config, inner.id, inner.cluster)
    }
}

/// There is no runtime in which a task could run.
#[derive(Debug)]
pub(crate) struct NoRuntime;

/// Runs a task in a span, and forgets those that have ended.
fn spawn_within(
    span: Span,
    runtime: &Handle,
    tasks: &mut JoinSet<()>,
    task: impl Future<Output = ()> + Send + 'static,
) {
    while tasks.try_join_next().is_some() {}
    match recorded(span) {
        None => tasks.spawn_on(task, runtime),
        Some(span) => tasks.spawn_on(task.instrument(span), runtime),
    };
}

/// Returns a span that somebody records: with its feature `log`, tracing tells of the others too.
fn recorded(span: Span) -> Option<Span> {
    (!span.is_disabled()).then_some(span)
}

impl fmt::Debug for RpcService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RpcService")
            .field("address", &self.address_of(""))
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, feature = "testing"))]
mod runtime_tests;
