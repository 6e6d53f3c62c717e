//! What one-way messages take of a connection's window.

use std::sync::Arc;
use std::time::Duration;

use rpc_core::testing::sim;
use rpc_core::{
    Call, MainThread, RpcConfig, RpcEndpoint, RpcError, RpcResult, RpcService, gateways,
    rpc_endpoint, rpc_gateway,
};
use tokio::sync::watch;
use tokio::time::timeout;

#[rpc_gateway]
trait PileGateway {
    fn pile(&self);
    fn ended(&self) -> Call<u64>;
}

/// Whose handlers wait for a gate.
struct Pile {
    gate: watch::Receiver<bool>,
    begun: u64,
    ended: u64,
}

impl RpcEndpoint for Pile {
    type Gateways = gateways![PileGateway];
}

#[rpc_endpoint(PileGateway)]
impl Pile {
    async fn pile(main: MainThread<'_, Self>) {
        let mut gate = main.run(|pile, _| {
            pile.begun += 1;
            pile.gate.clone()
        });
        gate.wait_for(|it| *it).await.unwrap();
        main.run(|pile, _| pile.ended += 1);
    }

    fn ended(&mut self) -> RpcResult<u64> {
        Ok(self.ended)
    }
}

#[test]
fn handlers_of_one_way_messages_that_await_are_no_more_than_the_window_allows() {
    sim::run(1, async |net| {
        let mut config = RpcConfig::default();
        config.window_bytes = WINDOW_BYTES;
        let callee = RpcService::builder().config(config);
        let callee = callee.transport(net.node("b").transport());
        let callee = callee.build().await.unwrap();
        let (open, gate) = watch::channel(false);
        let pile = Pile {
            gate,
            begun: 0,
            ended: 0,
        };
        let server = callee.start_server("pile", pile).unwrap();
        server.start();

        let caller = RpcService::builder().transport(net.node("a").transport());
        let caller = caller.build().await.unwrap();
        let pile: Arc<dyn PileGateway> = caller.connect("sim://b/pile").await.unwrap();

        let mut refused = None;
        for _ in 0..WINDOW_BYTES / 10 {
            (0..10).for_each(|_| pile.pile());
            // Its answer says that the handlers of those before it have begun.
            if let Err(error) = pile.ended().await {
                refused = Some(error);
                break;
            }
        }
        assert!(
            matches!(refused, Some(RpcError::Overloaded { .. })),
            "{refused:?}"
        );

        open.send_replace(true);
        // Until the caller has heard that it may go on.
        let ended = loop {
            let passes = timeout(Duration::from_secs(1), pile.closed()).await;
            assert!(passes.is_err(), "the connection is kept");
            if let Ok(ended) = pile.ended().await {
                break ended;
            }
        };
        let begun = server.main_thread().call_async(|pile, _| pile.begun);
        assert_eq!(begun.await, Ok(ended));
        assert!(ended > 0 && ended < WINDOW_BYTES as u64 / 10, "{ended}");
    });
}

const WINDOW_BYTES: usize = 4_096;
