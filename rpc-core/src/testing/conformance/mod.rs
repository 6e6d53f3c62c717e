//! The cases of the suite, each a promise of the semantics. They panic when it is not kept.
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a case that meets an error has failed, and its name says what it shows"
)]

mod calls;
mod channels;
mod connect;
mod errors;
mod fencing;
mod life_cycle;
mod loss;
mod sizes;
mod time;

pub use self::calls::*;
pub use self::channels::*;
pub use self::connect::*;
pub use self::errors::*;
pub use self::fencing::*;
pub use self::life_cycle::*;
pub use self::loss::*;
pub use self::sizes::*;
pub use self::time::*;

use std::sync::Arc;
use std::time::Duration;

use super::probe::Signals;
use super::{Probe, ProbeGateway};
use crate::{RpcConfig, RpcServer, RpcService, RpcServiceBuilder};

/// Far more than anything takes that happens at once, so that a case fails instead of hanging.
const SOON: Duration = Duration::from_secs(9);

/// Two services that reach each other, a probe in the first, and a gateway from the second.
struct Fixture {
    callee: RpcService,
    caller: RpcService,
    server: RpcServer<Probe>,
    signals: Signals,
    probe: Arc<dyn ProbeGateway>,
}

impl Fixture {
    async fn new(make: &impl AsyncFn(RpcServiceBuilder) -> RpcService) -> Self {
        Self::with_config(make, RpcConfig::default()).await
    }

    async fn with_config(
        make: &impl AsyncFn(RpcServiceBuilder) -> RpcService,
        config: RpcConfig,
    ) -> Self {
        let callee = make(RpcService::builder().config(config.clone())).await;
        let caller = make(RpcService::builder().config(config)).await;
        let (probe, signals) = Probe::new();
        let server = callee.start_server("probe", probe).unwrap();
        server.start();
        let probe = caller.connect(&server.address()).await.unwrap();
        Self {
            callee,
            caller,
            server,
            signals,
            probe,
        }
    }

    /// Makes services with this limit on a frame.
    async fn with_limit(
        make: &impl AsyncFn(RpcServiceBuilder) -> RpcService,
        frame_bytes_max: usize,
    ) -> Self {
        let config = RpcConfig {
            frame_bytes_max,
            ..RpcConfig::default()
        };
        Self::with_config(make, config).await
    }

    /// Connects the probe's own service to it, by its full address.
    async fn own(&self) -> Arc<dyn ProbeGateway> {
        self.callee.connect(&self.server.address()).await.unwrap()
    }

    /// Returns a gateway of the probe's own service, and one of another.
    async fn gateways(&self) -> [Arc<dyn ProbeGateway>; 2] {
        [self.own().await, Arc::clone(&self.probe)]
    }

    /// Ends the probe, and starts another under its name.
    async fn restart(&self) -> RpcServer<Probe> {
        self.server.close().await.unwrap();
        let again = self.callee.start_server("probe", Probe::default());
        let again = again.unwrap();
        again.start();
        again
    }

    async fn close(self) {
        self.caller.close().await.unwrap();
        self.callee.close().await.unwrap();
    }
}
