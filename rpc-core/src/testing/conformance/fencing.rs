//! Who follows which leader.

use std::sync::Arc;

use super::Fixture;
use crate::testing::{FencedProbeGateway, Probe};
use crate::{FencingToken, RpcError, RpcService, RpcServiceBuilder};

/// A gateway of the endpoint's own service keeps its token too: a call of an old term is not of the
/// next one, whoever makes it. In Flink it follows the endpoint's token.
// Flink: FencedRpcEndpointTest#testFencing, #testRemoteAndSelfGateways
// Flink, untested: A12
pub async fn tokens_fence_out_old_leaders(make: &impl AsyncFn(RpcServiceBuilder) -> RpcService) {
    let Fixture {
        callee,
        caller,
        server,
        probe,
        ..
    } = Fixture::new(make).await;
    let (old, new) = (FencingToken::new(1), FencingToken::new(2));
    let address = server.address();
    let by_old: Arc<dyn FencedProbeGateway> = caller.connect_fenced(&address, old).await.unwrap();
    let by_new: Arc<dyn FencedProbeGateway> = caller.connect_fenced(&address, new).await.unwrap();
    let own: Arc<dyn FencedProbeGateway> = server.gateway_fenced(old);
    assert_eq!(by_new.fencing_token(), new);
    let fenced = |expected, got| Err(RpcError::Fenced { expected, got });

    // Without a token everybody is fenced out.
    assert_eq!(by_old.fenced_add(1).await, fenced(None, Some(old)));
    let lead = |token| {
        server
            .main_thread()
            .call_async_without_fencing(move |_, cx| cx.set_fencing_token(token))
    };
    lead(Some(old)).await.unwrap().unwrap();
    assert_eq!(by_old.fenced_add(2).await, Ok(2));
    assert_eq!(own.fenced_add(0).await, Ok(2));
    assert_eq!(by_new.fenced_add(3).await, fenced(Some(old), Some(new)));
    lead(Some(new)).await.unwrap().unwrap();
    by_old.fenced_tell(4);
    assert_eq!(by_old.fenced_add(5).await, fenced(Some(new), Some(old)));
    assert_eq!(own.fenced_add(5).await, fenced(Some(new), Some(old)));
    assert_eq!(by_new.fenced_add(6).await, Ok(8));
    // Whoever hears late of its election does not depose its successor.
    lead(Some(old)).await.unwrap().unwrap_err();
    assert_eq!(by_old.fenced_add(7).await, fenced(Some(new), Some(old)));
    assert_eq!(probe.numbers().await, Ok(vec![2, 0, 6]));
    caller.close().await.unwrap();
    callee.close().await.unwrap();
}

// Flink, untested: A12
pub async fn that_an_endpoint_does_not_serve_comes_before_its_token(
    make: &impl AsyncFn(RpcServiceBuilder) -> RpcService,
) {
    let callee = make(RpcService::builder()).await;
    let caller = make(RpcService::builder()).await;
    let server = callee.start_server("probe", Probe::default()).unwrap();
    let (address, wrong) = (server.address(), FencingToken::new(1));
    let own: Arc<dyn FencedProbeGateway> = callee.connect_fenced(&address, wrong).await.unwrap();
    let remote: Arc<dyn FencedProbeGateway> = caller.connect_fenced(&address, wrong).await.unwrap();
    for probe in [&own, &remote] {
        let error = probe.fenced_add(1).await.unwrap_err();
        assert!(matches!(error, RpcError::NotStarted { .. }), "{error}");
    }
    server.start();
    for probe in [&own, &remote] {
        let error = probe.fenced_add(1).await.unwrap_err();
        assert!(matches!(error, RpcError::Fenced { .. }), "{error}");
    }
    server.close().await.unwrap();
    for probe in [&own, &remote] {
        let error = probe.fenced_add(1).await.unwrap_err();
        assert!(matches!(error, RpcError::Unreachable { .. }), "{error}");
    }
    caller.close().await.unwrap();
    callee.close().await.unwrap();
}
