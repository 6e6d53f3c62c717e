//! A service, and those who use it from other runtimes and from none.
#![allow(
    clippy::unwrap_used,
    reason = "the exemption of tests does not reach their helpers"
)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::runtime::{Builder, Runtime};

use super::error::NO_RUNTIME;
use crate::testing::sim::{SimNetwork, SimTransport};
use crate::testing::{Probe, ProbeGateway};
use crate::transport::{Connection, Listener, Transport, TransportError};
use crate::{BuildError, ConnectError, RpcError, RpcService, StartError};

/// Two services on a runtime of their own, which has a thread.
struct Services {
    runtime: Runtime,
    network: SimNetwork,
    callee: RpcService,
    caller: RpcService,
}

impl Services {
    fn new() -> Self {
        let mut builder = Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_all().build().unwrap();
        let network = SimNetwork::seeded(3);
        let service = |name| {
            let transport = network.node(name).transport();
            let service = RpcService::builder().transport(transport).build();
            runtime.block_on(service).unwrap()
        };
        Self {
            callee: service("callee"),
            caller: service("caller"),
            runtime,
            network,
        }
    }

    /// Starts a probe from no runtime.
    fn start_probe(&self) {
        let server = self.callee.start_server("probe", Probe::default()).unwrap();
        server.start();
    }

    async fn probe(&self) -> Arc<dyn ProbeGateway> {
        self.caller.connect("sim://callee/probe").await.unwrap()
    }
}

fn short_lived<T>(work: impl Future<Output = T>) -> T {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(work)
}

#[test]
fn a_connection_outlives_the_runtime_that_asked_for_it() {
    let services = Services::new();
    services.start_probe();
    let probe = short_lived(services.probe());
    assert_eq!(short_lived(probe.add(1)), Ok(1));
    assert_eq!(services.runtime.block_on(probe.add(2)), Ok(1 + 2));
}

#[test]
fn a_connection_is_looked_for_from_no_runtime() {
    let services = Services::new();
    services.start_probe();
    let probe = services.runtime.block_on(services.probe());
    services.caller.lose_connections();
    probe.tell(1);
    assert_eq!(services.runtime.block_on(probe.add(2)), Ok(2));
    services.caller.lose_connections();
    let own = services.caller.executor().execute(|| 3);
    assert_eq!(services.runtime.block_on(own), Ok(3));
}

#[test]
fn a_call_has_its_time_though_the_runtime_of_another_is_not_driven() {
    let services = Services::new();
    services.start_probe();
    let probe = services.runtime.block_on(services.probe());
    let other = Builder::new_current_thread().enable_all().build().unwrap();
    let answer = other.block_on(probe.add(2).timeout(Duration::from_secs(9)));
    assert_eq!(answer, Ok(2));
    // Nor does the callee say that the time is over.
    services.network.cut("callee", "caller");
    let hang = async { probe.hang().timeout(Duration::from_millis(20)).await };
    let late = services.runtime.block_on(hang);
    assert!(matches!(late, Err(RpcError::Timeout { .. })), "{late:?}");
    drop(other);
}

/// A transport that needs no runtime to listen, if it does.
#[derive(Debug)]
struct Outside {
    transport: SimTransport,
    listener: Mutex<Option<Box<dyn Listener>>>,
}

#[async_trait]
impl Transport for Outside {
    fn scheme(&self) -> &'static str {
        self.transport.scheme()
    }

    async fn listen(&self) -> Result<Option<Box<dyn Listener>>, TransportError> {
        Ok(self.listener.lock().take())
    }

    async fn connect(&self, authority: &str) -> Result<Arc<dyn Connection>, TransportError> {
        self.transport.connect(authority).await
    }
}

/// A service that was made outside of any runtime says so when it is used outside of any.
#[test]
fn a_service_without_a_runtime_fails_where_there_is_none() {
    let mut services = Services::new();
    services.start_probe();
    let outside = Outside {
        transport: services.network.node("outside").transport(),
        listener: Mutex::new(None),
    };
    let outside = RpcService::builder().transport(outside).build();
    services.caller = block_on(outside).unwrap();
    let caller = &services.caller;
    let connected = block_on(caller.connect::<dyn ProbeGateway>("sim://callee/probe"));
    let error = connected.err().unwrap();
    assert!(matches!(error, ConnectError::NoRuntime), "{error}");
    let started = caller.start_server("probe", Probe::default());
    assert!(matches!(started, Err(StartError::NoRuntime)), "{started:?}");
    let spawned = catch_unwind(AssertUnwindSafe(|| caller.spawn(async {})));
    assert_eq!(panic_text(spawned), NO_RUNTIME);

    let probe = services.runtime.block_on(services.probe());
    assert_eq!(block_on(probe.add(1).without_timeout()), Ok(1));
    let late = catch_unwind(AssertUnwindSafe(|| block_on(probe.hang())));
    let why = "a call that has a deadline is awaited in a tokio runtime";
    assert_eq!(panic_text(late), why);
    caller.lose_connections();
    let error = block_on(probe.add(2).without_timeout()).unwrap_err();
    assert!(
        matches!(
            error,
            RpcError::Disconnected {
                possibly_executed: false,
                ..
            }
        ),
        "{error}"
    );
    probe.tell(2);
    // Where there is one it is found again.
    assert_eq!(
        services.runtime.block_on(async { probe.add(2).await }),
        Ok(1 + 2)
    );
    block_on(caller.close()).unwrap();
    assert!(caller.is_closed());
}

#[test]
fn a_listener_needs_a_runtime() {
    let transport = SimNetwork::seeded(3).node("outside").transport();
    let listener = short_lived(transport.listen()).unwrap();
    let outside = Outside {
        transport,
        listener: Mutex::new(listener),
    };
    let service = RpcService::builder().transport(outside).build();
    let error = block_on(service).unwrap_err();
    assert!(matches!(error, BuildError::NoRuntime), "{error}");
}

#[test]
fn a_service_is_used_and_closed_by_other_executors() {
    let services = Services::new();
    services.start_probe();
    let probe = block_on(services.probe());
    assert_eq!(block_on(probe.add(1)), Ok(1));
    let late = block_on(probe.wait().timeout(Duration::from_millis(1)));
    assert!(matches!(late, Err(RpcError::Timeout { .. })), "{late:?}");
    block_on(services.caller.close()).unwrap();
    block_on(services.callee.close()).unwrap();
}

/// Waits on this thread, which is that of no runtime.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(done) => return done,
            Poll::Pending => thread::park(),
        }
    }
}

fn panic_text<T>(result: thread::Result<T>) -> String {
    let payload = result.err().unwrap();
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
    text.unwrap().to_owned()
}
