//! The lane for what is large.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use rpc_core::RpcService;
use rpc_core::testing::sim::{self, SimTransport};
use rpc_core::testing::{Probe, ProbeGateway};
use rpc_core::transport::{Connection, Listener, Transport, TransportError};

/// A transport whose first dialling succeeds, and the next two do not.
#[derive(Debug)]
struct Flaky {
    inner: SimTransport,
    dialled: Arc<AtomicU32>,
}

#[async_trait]
impl Transport for Flaky {
    fn scheme(&self) -> &'static str {
        self.inner.scheme()
    }

    async fn listen(&self) -> Result<Option<Box<dyn Listener>>, TransportError> {
        self.inner.listen().await
    }

    async fn connect(&self, authority: &str) -> Result<Arc<dyn Connection>, TransportError> {
        match self.dialled.fetch_add(1, Ordering::Relaxed) {
            1 | 2 => Err(TransportError::Closed {
                peer: authority.to_owned(),
            }),
            _ => self.inner.connect(authority).await,
        }
    }
}

#[test]
fn a_bulk_lane_that_could_not_be_opened_is_opened_later() {
    sim::run(1, async |net| {
        let callee = net.node("b").transport();
        let callee = RpcService::builder().transport(callee).build();
        let callee = callee.await.unwrap();
        let dialled = Arc::new(AtomicU32::new(0));
        let caller = RpcService::builder().transport(Flaky {
            inner: net.node("a").transport(),
            dialled: Arc::clone(&dialled),
        });
        let caller = caller.build().await.unwrap();
        let server = callee.start_server("probe", Probe::default()).unwrap();
        server.start();
        let probe: Arc<dyn ProbeGateway> = caller.connect(&server.address()).await.unwrap();
        let large = vec![1; 200_000];
        assert_eq!(probe.echo(large.clone()).await.unwrap(), large);
        let has_bulk = || caller.diagnostics().connections[0].bulk;
        assert!(!has_bulk(), "it could not be opened");
        for _ in 0..1000 {
            // Time passes.
            probe.numbers().await.unwrap();
            if has_bulk() {
                break;
            }
        }
        assert!(has_bulk());
        assert_eq!(dialled.load(Ordering::Relaxed), 4);
        assert_eq!(probe.echo(large.clone()).await.unwrap(), large);
    });
}
