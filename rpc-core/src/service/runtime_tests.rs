//! A service, and those who use it from other runtimes and from none.
#![allow(
    clippy::unwrap_used,
    reason = "the exemption of tests does not reach their helpers"
)]

use std::sync::Arc;

use tokio::runtime::{Builder, Runtime};

use crate::RpcService;
use crate::testing::sim::SimNetwork;
use crate::testing::{Probe, ProbeGateway};

/// Two services on a runtime of their own, which has a thread.
struct Services {
    runtime: Runtime,
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
