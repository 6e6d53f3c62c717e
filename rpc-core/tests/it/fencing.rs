//! What a change of the token does to what is already posted.

use std::time::Duration;

use rpc_core::{
    Call, Context, FencingToken, RpcEndpoint, RpcError, RpcResult, RpcServer, RpcService, gateways,
    rpc_endpoint, rpc_gateway,
};
use tokio::sync::oneshot;
use tokio::time::Instant;

#[rpc_gateway(fenced)]
pub(crate) trait TermGateway {
    fn runs(&self) -> Call<u32>;
}

#[derive(Default)]
struct Term {
    runs: u32,
    /// Somebody is just here.
    visited: bool,
}

impl Term {
    fn visit(&mut self) {
        assert!(!std::mem::replace(&mut self.visited, true), "two at once");
        self.runs += 1;
        self.visited = false;
    }
}

impl RpcEndpoint for Term {
    type Gateways = gateways![TermGateway];
}

#[rpc_endpoint(TermGateway)]
impl Term {
    fn runs(&mut self) -> RpcResult<u32> {
        assert!(!self.visited, "two at once");
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

/// The token is set through the `Context`, which nobody has outside the main thread.
// Flink: FencedRpcEndpointTest#testFencingTokenSetting
#[tokio::test]
async fn without_a_token_everybody_is_fenced_out() {
    let service = RpcService::local();
    let server = service.start_server("term", Term::default()).unwrap();
    server.start();
    let main = server.main_thread();
    let token = main.call_async(|_, cx| cx.fencing_token());
    assert_eq!(token.await, Ok(None));
    let gateway = server.gateway_fenced::<dyn TermGateway>(OLD);
    let fenced = RpcError::Fenced {
        expected: None,
        got: Some(OLD),
    };
    assert_eq!(gateway.runs().await, Err(fenced));
    let set = main.call_async(|_, cx| cx.set_fencing_token(Some(OLD)));
    set.await.unwrap();
    let token = main.call_async(|_, cx| cx.fencing_token());
    assert_eq!(token.await, Ok(Some(OLD)));
    assert_eq!(gateway.fencing_token(), OLD);
    assert_eq!(gateway.runs().await, Ok(0));
}

/// In Flink a continuation that is filtered out never completes, and its code is kept until the end.
// Flink: FencedRpcEndpointTest#testMainThreadExecutorUnderChangingFencingToken
#[tokio::test]
async fn what_is_executed_under_another_token_is_dropped_at_once() {
    let service = RpcService::local();
    let server = started(&service).await;
    let main = server.main_thread();
    main.run_async(|_, cx| cx.set_fencing_token(Some(NEW)));
    let (runs, has_run) = oneshot::channel();
    main.execute(move || runs.send(()).unwrap());
    has_run.await.unwrap_err();
    let (runs, has_run) = oneshot::channel();
    main.execute(move || runs.send(()).unwrap());
    has_run.await.unwrap();
}

// Flink: AsyncCallsTest#testFencedScheduleWithNoDelay
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fenced_calls_and_posted_code_never_overlap() {
    let service = RpcService::local();
    let server = started(&service).await;
    let main = server.main_thread();
    let posting = tokio::spawn(async move {
        for _ in 0..10_000 {
            main.run_async(|term, _| term.visit());
        }
        main.call_async(|_, _| "test").await
    });
    let gateway = server.gateway_fenced::<dyn TermGateway>(OLD);
    for _ in 0..1_000 {
        gateway.runs().await.unwrap();
    }
    assert_eq!(posting.await.unwrap(), Ok("test"));
    assert_eq!(gateway.runs().await, Ok(10_000));
}

// Flink: AsyncCallsTest#testFencedScheduleWithDelay
#[tokio::test(start_paused = true)]
async fn a_timer_that_was_posted_under_another_token_does_not_run() {
    let service = RpcService::local();
    let server = started(&service).await;
    let tick = Duration::from_millis(10);
    let main = server.main_thread();
    let start = Instant::now();
    let (runs, has_run) = oneshot::channel();
    let run = move |_: &mut Term, _: &mut Context<Term>| runs.send(Instant::now()).unwrap();
    main.schedule_run_async(tick, run).await.unwrap();
    assert_eq!(has_run.await, Ok(start + tick));

    let (runs, has_run) = oneshot::channel::<()>();
    let run = move |_: &mut Term, _: &mut Context<Term>| runs.send(()).unwrap();
    main.schedule_run_async(tick, run).await.unwrap();
    main.run_async(|_, cx| cx.set_fencing_token(Some(NEW)));
    has_run.await.unwrap_err();
}
