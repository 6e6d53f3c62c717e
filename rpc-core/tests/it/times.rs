//! How long calls may take.

use std::time::Duration;

use rpc_core::{
    Call, ReplyTo, RpcEndpoint, RpcError, RpcResult, RpcService, gateways, rpc_endpoint,
    rpc_gateway,
};
use tokio::time::Instant;

#[rpc_gateway]
pub(crate) trait KeeperGateway {
    #[rpc(timeout = "1s")]
    fn keep(&self) -> Call<()>;
    fn kept(&self) -> Call<usize>;
}

/// Keeps callers waiting.
#[derive(Default)]
struct Keeper {
    replies: Vec<ReplyTo<()>>,
}

impl RpcEndpoint for Keeper {
    type Gateways = gateways![KeeperGateway];
}

#[rpc_endpoint(KeeperGateway)]
impl Keeper {
    fn keep(&mut self, reply: ReplyTo<()>) {
        self.replies.push(reply);
    }

    fn kept(&mut self) -> RpcResult<usize> {
        Ok(self.replies.len())
    }
}

#[tokio::test(start_paused = true)]
async fn the_time_of_a_call_begins_when_it_is_handled_at_the_latest() {
    let service = RpcService::local();
    let server = service.start_server("keeper", Keeper::default()).unwrap();
    server.start();
    let gateway = server.gateway::<dyn KeeperGateway>();
    let keep = gateway.keep();
    assert_eq!(gateway.kept().await, Ok(1));
    // Nobody has waited so far, and what the handler had asked would have had to end by now.
    tokio::time::advance(Duration::from_secs(1)).await;
    let start = Instant::now();
    let error = keep.await.unwrap_err();
    assert!(matches!(error, RpcError::Timeout { .. }), "{error}");
    assert_eq!(start.elapsed(), Duration::ZERO);
    service.close().await.unwrap();
}
