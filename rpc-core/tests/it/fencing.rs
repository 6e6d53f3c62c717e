//! What a change of the token does to what is already posted.

use rpc_core::{
    Call, FencingToken, RpcEndpoint, RpcError, RpcResult, RpcServer, RpcService, gateways,
    rpc_endpoint, rpc_gateway,
};

#[rpc_gateway(fenced)]
pub(crate) trait TermGateway {
    fn runs(&self) -> Call<u32>;
}

#[derive(Default)]
struct Term {
    runs: u32,
}

impl RpcEndpoint for Term {
    type Gateways = gateways![TermGateway];
}

#[rpc_endpoint(TermGateway)]
impl Term {
    fn runs(&mut self) -> RpcResult<u32> {
        Ok(self.runs)
    }
}

const OLD: FencingToken = FencingToken::new(1);
const NEW: FencingToken = FencingToken::new(2);

async fn started(service: &RpcService) -> RpcServer<Term> {
    let server = service.start_server("term", Term::default()).unwrap();
    server.start();
    let main = server.main_thread();
    let begun = main.call_async_without_fencing(|_, cx| cx.set_fencing_token(Some(OLD)));
    begun.await.unwrap().unwrap();
    server
}

// Flink: AsyncCallsTest#testRunAsyncWithFencing, #testCallAsyncWithFencing
#[tokio::test]
async fn what_was_posted_under_another_token_is_dropped() {
    let service = RpcService::local();
    let server = started(&service).await;
    let main = server.main_thread();
    // All of these are in the mailbox before the first of them runs.
    main.run_async(|_, cx| cx.set_fencing_token(Some(NEW)).unwrap());
    main.run_async(|term, _| term.runs += 1);
    let called = main.call_async(|_, _| ());
    let fenced = RpcError::Fenced {
        expected: Some(NEW),
        got: Some(OLD),
    };
    assert_eq!(called.await, Err(fenced));
    assert_eq!(
        server.gateway_fenced::<dyn TermGateway>(NEW).runs().await,
        Ok(0)
    );
}

// Flink: AsyncCallsTest#testRunAsyncWithoutFencing, #testCallAsyncWithoutFencing,
// #testUnfencedMainThreadExecutor
#[tokio::test]
async fn what_was_posted_without_fencing_runs() {
    let service = RpcService::local();
    let server = started(&service).await;
    let main = server.main_thread();
    main.run_async(|_, cx| cx.set_fencing_token(Some(NEW)).unwrap());
    main.run_async_without_fencing(|term, _| term.runs += 1);
    let called = main.call_async_without_fencing(|_, cx| cx.fencing_token());
    assert_eq!(called.await, Ok(Some(NEW)));
    assert_eq!(
        server.gateway_fenced::<dyn TermGateway>(NEW).runs().await,
        Ok(1)
    );
}

// Flink: FencedRpcEndpointTest#testFencingTokenSetting
#[tokio::test]
async fn without_a_token_everybody_is_fenced_out() {
    let service = RpcService::local();
    let server = service.start_server("term", Term::default()).unwrap();
    server.start();
    let gateway = server.gateway_fenced::<dyn TermGateway>(OLD);
    let fenced = RpcError::Fenced {
        expected: None,
        got: Some(OLD),
    };
    assert_eq!(gateway.runs().await, Err(fenced));
}
