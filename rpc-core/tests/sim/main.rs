//! The simulated network: it is a transport like the others, its runs are as its seed has it, and
//! what goes wrong on it is what goes wrong on a real one.
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

use std::cell::{Cell, RefCell};
use std::time::Duration;

use rpc_core::testing::sim::SimNetwork;
use rpc_core::{RpcService, RpcServiceBuilder};

mod aged;
mod closing;
mod determinism;
mod election;
mod faults;
mod lanes;
mod limits;
mod panics;
mod processes;
mod restarts;
mod wakers;
mod window;

/// On threads and the real clock, without latency.
mod conformance {
    rpc_core::conformance!(super::at_once);
}

/// In virtual time, with latency.
mod conformance_paused {
    rpc_core::conformance!(super::with_latency, start_paused = true);
}

async fn at_once(builder: RpcServiceBuilder) -> RpcService {
    service(builder, Duration::ZERO).await
}

async fn with_latency(builder: RpcServiceBuilder) -> RpcService {
    // Short enough for the suite's time-outs of some ten milliseconds.
    service(builder, Duration::from_millis(2)).await
}

/// Makes a service on the network of this thread, which is that of one test.
async fn service(builder: RpcServiceBuilder, latency_max: Duration) -> RpcService {
    thread_local! {
        static NETWORK: RefCell<Option<SimNetwork>> = const { RefCell::new(None) };
        static NODES: Cell<u64> = const { Cell::new(0) };
    }
    let network = NETWORK.with_borrow_mut(|network| {
        network
            .get_or_insert_with(|| SimNetwork::seeded(42))
            .clone()
    });
    network.set_latency(Duration::ZERO..=latency_max);
    let number = NODES.replace(NODES.get() + 1);
    let node = network.node(&format!("node-{number}"));
    builder.transport(node.transport()).build().await.unwrap()
}
