//! How endpoints begin and end.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use rpc_core::{
    BoxError, Call, ConnectError, Context, EndpointError, MainThread, Outcome, RpcEndpoint,
    RpcError, RpcResult, RpcService, StartError, gateways, rpc_endpoint, rpc_gateway,
};
use tokio::runtime::Builder;
use tokio::sync::Notify;

#[rpc_gateway]
pub(crate) trait LifeGateway {
    fn answer(&self) -> Call<u32>;
    fn answer_later(&self) -> Call<u32>;
}

/// What an endpoint does at its beginning and its end, and what it has done.
#[derive(Clone, Default)]
struct Plan {
    start_fails: bool,
    stop_fails: bool,
    /// `on_stop` waits for it, if it is there.
    may_stop: Option<Arc<Notify>>,
    may_answer: Arc<Notify>,
    starts: Arc<AtomicU32>,
    stops: Arc<AtomicU32>,
    stopping: Arc<Notify>,
}

struct Life(Plan);

impl RpcEndpoint for Life {
    type Gateways = gateways![LifeGateway];

    fn on_start(&mut self, cx: &mut Context<Self>) -> Result<(), BoxError> {
        cx.main_thread().assert_running_in_main_thread();
        self.0.starts.fetch_add(1, Ordering::Relaxed);
        match self.0.start_fails {
            true => Err("cannot start".into()),
            false => Ok(()),
        }
    }

    async fn on_stop(main: MainThread<'_, Self>) -> Result<(), BoxError> {
        let plan = main.run(|life, cx| {
            cx.main_thread().assert_running_in_main_thread();
            life.0.clone()
        });
        plan.stops.fetch_add(1, Ordering::Relaxed);
        plan.stopping.notify_one();
        if let Some(may_stop) = plan.may_stop {
            may_stop.notified().await;
        }
        match plan.stop_fails {
            true => Err("cannot stop".into()),
            false => Ok(()),
        }
    }
}

#[rpc_endpoint(LifeGateway)]
impl Life {
    fn answer(&mut self) -> RpcResult<u32> {
        Ok(42)
    }

    async fn answer_later(main: MainThread<'_, Self>) -> RpcResult<u32> {
        let may_answer = main.run(|life, _| Arc::clone(&life.0.may_answer));
        may_answer.notified().await;
        Ok(42)
    }
}

// Flink: PekkoRpcActorTest#testOnStartFails
#[tokio::test]
async fn an_endpoint_that_cannot_start_ends_by_itself() {
    let service = RpcService::local();
    let plan = Plan {
        start_fails: true,
        ..Plan::default()
    };
    let server = service.start_server("life", Life(plan.clone())).unwrap();
    server.start();
    let ended = server.terminated().await.unwrap_err();
    assert!(
        matches!(&ended, EndpointError::Start { source, .. } if source.texts() == ["cannot start"])
    );
    assert_eq!(plan.stops.load(Ordering::Relaxed), 0);
    // Unlike Flink's, its name is free again.
    service.start_server("life", Life(Plan::default())).unwrap();
    service.close().await.unwrap();
}

// Flink: PekkoRpcActorTest#testOnStopExceptionPropagation,
// SupervisorActorTest#completesTerminationFutureExceptionallyIfActorStopsExceptionally
#[tokio::test]
async fn a_failure_to_stop_is_how_the_endpoint_ended() {
    let service = RpcService::local();
    let plan = Plan {
        stop_fails: true,
        ..Plan::default()
    };
    let server = service.start_server("life", Life(plan)).unwrap();
    server.start();
    let ended = server.close().await.unwrap_err();
    assert!(
        matches!(&ended, EndpointError::Stop { source, .. } if source.texts() == ["cannot stop"])
    );
}

// Flink: PekkoRpcServiceTest#testRpcServiceShutDownWithFailingRpcEndpoints
#[tokio::test]
async fn a_service_closes_although_an_endpoint_fails_to_stop() {
    let service = RpcService::local();
    let mut servers = Vec::new();
    for (number, stop_fails) in [(0, false), (1, true), (2, false)] {
        let plan = Plan {
            stop_fails,
            ..Plan::default()
        };
        let server = service
            .start_server(&format!("life{number}"), Life(plan))
            .unwrap();
        server.start();
        servers.push(server);
    }
    let closed = service.close().await.unwrap_err();
    assert!(matches!(closed, EndpointError::Stop { endpoint, .. } if endpoint == "life1"));
    assert!(service.is_closed());
    servers[0].terminated().await.unwrap();
    servers[2].terminated().await.unwrap();
}

// Flink: PekkoRpcActorTest#testActorTerminationWithAsynchronousOnStopAction,
// RpcEndpointTest#testNotRunningState, PekkoRpcActorTest#callsOnStopOnlyOnce
#[tokio::test]
async fn an_endpoint_serves_until_it_has_stopped() {
    let service = RpcService::local();
    let may_stop = Arc::new(Notify::new());
    let plan = Plan {
        may_stop: Some(Arc::clone(&may_stop)),
        ..Plan::default()
    };
    let server = service.start_server("life", Life(plan.clone())).unwrap();
    server.start();
    let gateway = server.gateway::<dyn LifeGateway>();
    let closing =
        [server.clone(), server.clone()].map(|it| tokio::spawn(async move { it.close().await }));
    plan.stopping.notified().await;
    assert_eq!(gateway.answer().await, Ok(42));
    may_stop.notify_one();
    for closing in closing {
        closing.await.unwrap().unwrap();
    }
    assert_eq!(plan.stops.load(Ordering::Relaxed), 1);
    let error = gateway.answer().await.unwrap_err();
    assert!(matches!(error, RpcError::Unreachable { .. }), "{error}");
}

// Flink: PekkoRpcActorTest#testRpcEndpointTerminationFuture,
// #testOnStartIsCalledWhenRpcEndpointStarts,
// SupervisorActorTest#completesTerminationFutureIfActorStops
#[tokio::test]
async fn an_endpoint_begins_when_it_is_started_and_ends_when_it_is_closed() {
    let service = RpcService::local();
    let plan = Plan::default();
    let server = service.start_server("life", Life(plan.clone())).unwrap();
    let mut ended = Box::pin(server.terminated());
    let gateway = server.gateway::<dyn LifeGateway>();
    gateway.answer().await.unwrap_err();
    assert_eq!(plan.starts.load(Ordering::Relaxed), 0);
    server.start();
    assert_eq!(gateway.answer().await, Ok(42));
    assert_eq!(plan.starts.load(Ordering::Relaxed), 1);
    assert!((&mut ended).now_or_never().is_none());
    let closing = server.clone();
    tokio::spawn(async move { closing.close().await });
    ended.await.unwrap();
    assert_eq!(plan.stops.load(Ordering::Relaxed), 1);
}

/// In Flink this is an exception that ends the whole service.
// Flink, untested: A3
#[tokio::test]
async fn a_start_that_comes_too_late_is_ignored() {
    let service = RpcService::local();
    let may_stop = Arc::new(Notify::new());
    let plan = Plan {
        may_stop: Some(Arc::clone(&may_stop)),
        ..Plan::default()
    };
    let other = service.start_server("other", Life(Plan::default()));
    let other = other.unwrap();
    other.start();
    let server = service.start_server("life", Life(plan.clone())).unwrap();
    server.start();
    let gateway = server.gateway::<dyn LifeGateway>();
    let closing = server.clone();
    let closing = tokio::spawn(async move { closing.close().await });
    plan.stopping.notified().await;
    server.start();
    server.stop();
    assert_eq!(gateway.answer().await, Ok(42));
    may_stop.notify_one();
    closing.await.unwrap().unwrap();
    server.start();
    let error = gateway.answer().await.unwrap_err();
    assert!(matches!(error, RpcError::Unreachable { .. }), "{error}");
    assert_eq!(plan.starts.load(Ordering::Relaxed), 1);
    assert_eq!(other.gateway::<dyn LifeGateway>().answer().await, Ok(42));
    service.close().await.unwrap();
}

// Flink: PekkoRpcServiceTest#testRpcServiceShutDownWithRpcEndpoints
#[tokio::test(start_paused = true)]
async fn a_service_waits_until_all_of_its_endpoints_have_stopped() {
    let service = RpcService::local();
    let mut plans = Vec::new();
    let mut servers = Vec::new();
    for number in 0..5 {
        let plan = Plan {
            may_stop: Some(Arc::default()),
            ..Plan::default()
        };
        let name = format!("life{number}");
        let server = service.start_server(&name, Life(plan.clone())).unwrap();
        server.start();
        plans.push(plan);
        servers.push(server);
    }
    let mut closing = Box::pin(service.close());
    // The paused clock goes on only when there is nothing else to do.
    let hour = Duration::from_secs(3600);
    for plan in &plans {
        let closed = tokio::time::timeout(hour, &mut closing).await;
        assert!(closed.is_err(), "{closed:?}");
        plan.stopping.notified().await;
        plan.may_stop.as_ref().unwrap().notify_one();
    }
    closing.await.unwrap();
    for (server, plan) in servers.iter().zip(plans) {
        assert!(server.terminated().now_or_never().unwrap().is_ok());
        assert_eq!(plan.stops.load(Ordering::Relaxed), 1);
    }
}

/// Flink leaves such an endpoint's calls to time out.
#[tokio::test]
async fn calls_that_wait_end_with_the_endpoint() {
    let service = RpcService::local();
    let server = service.start_server("life", Life(Plan::default())).unwrap();
    server.start();
    let gateway = server.gateway::<dyn LifeGateway>();
    let waits = gateway.answer_later().without_timeout();
    assert_eq!(gateway.answer().await, Ok(42));
    server.close().await.unwrap();
    let error = waits.await.unwrap_err();
    assert!(matches!(error, RpcError::Disconnected { .. }), "{error}");
}

#[tokio::test]
async fn calls_that_wait_know_whether_they_had_begun_when_the_endpoint_is_aborted() {
    let service = RpcService::local();
    let server = service.start_server("life", Life(Plan::default())).unwrap();
    server.start();
    let gateway = server.gateway::<dyn LifeGateway>();
    let begun = gateway.answer_later();
    assert_eq!(gateway.answer().await, Ok(42));
    let queued = gateway.answer();
    service.abort();
    let error = begun.await.unwrap_err();
    assert!(matches!(error, RpcError::Disconnected { .. }), "{error}");
    assert_eq!(error.outcome(), Outcome::Unknown);
    let error = queued.await.unwrap_err();
    assert!(matches!(error, RpcError::Unreachable { .. }), "{error}");
    assert_eq!(error.outcome(), Outcome::NotExecuted);
}

#[test]
fn a_call_that_had_begun_knows_so_when_a_panic_takes_the_runtime_down() {
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    let service = RpcService::local();
    let server = {
        let _inside = runtime.enter();
        service.start_server("life", Life(Plan::default())).unwrap()
    };
    server.start();
    let gateway = server.gateway::<dyn LifeGateway>();
    let begun = gateway.answer_later();
    assert_eq!(runtime.block_on(gateway.answer()), Ok(42));
    let panics = move || {
        let _runtime = runtime;
        panic!("on purpose");
    };
    catch_unwind(AssertUnwindSafe(panics)).unwrap_err();
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    let error = runtime.block_on(begun).unwrap_err();
    assert_eq!(error.outcome(), Outcome::Unknown, "{error}");
}

/// They are taken with the code that aborts the service, and are more than are handled at once.
#[tokio::test]
async fn calls_that_were_taken_and_not_begun_have_not_run_when_the_endpoint_is_aborted() {
    let service = RpcService::local();
    let server = service.start_server("life", Life(Plan::default())).unwrap();
    server.start();
    let gateway = server.gateway::<dyn LifeGateway>();
    assert_eq!(gateway.answer().await, Ok(42));
    let aborting = service.clone();
    server.main_thread().execute(move || aborting.abort());
    let calls: Vec<_> = (0..5_000).map(|_| gateway.answer()).collect();
    let mut answered = 0;
    for call in calls {
        match call.await {
            Ok(_) => answered += 1,
            Err(error) => assert_eq!(error.outcome(), Outcome::NotExecuted, "{error}"),
        }
    }
    assert!(
        answered < 5_000,
        "all were answered before the task had gone"
    );
}

// Flink, untested: A4
#[tokio::test]
async fn an_endpoint_that_was_never_started_ends_without_its_hooks() {
    let service = RpcService::local();
    let plan = Plan::default();
    let server = service.start_server("life", Life(plan.clone())).unwrap();
    server.close().await.unwrap();
    assert_eq!(plan.starts.load(Ordering::Relaxed), 0);
    assert_eq!(plan.stops.load(Ordering::Relaxed), 0);
}

/// Flink runs `onStart` again, and skips `onStop` of an endpoint that is paused.
// Flink, untested: A1, A2
#[tokio::test]
async fn a_pause_is_neither_a_start_nor_a_stop() {
    let service = RpcService::local();
    let plan = Plan::default();
    let server = service.start_server("life", Life(plan.clone())).unwrap();
    let gateway = server.gateway::<dyn LifeGateway>();
    server.start();
    server.stop();
    assert!(matches!(
        gateway.answer().await,
        Err(RpcError::NotStarted { .. })
    ));
    server.start();
    assert_eq!(gateway.answer().await, Ok(42));
    server.stop();
    server.close().await.unwrap();
    assert_eq!(plan.starts.load(Ordering::Relaxed), 1);
    assert_eq!(plan.stops.load(Ordering::Relaxed), 1);
}

// Flink: PekkoRpcActorTest#terminationFutureDoesNotBlockRpcEndpointCreation
#[tokio::test]
async fn whoever_sees_the_end_may_start_the_next() {
    let service = RpcService::local();
    let server = service.start_server("life", Life(Plan::default())).unwrap();
    let again = service.clone();
    let next = {
        let server = server.clone();
        tokio::spawn(async move {
            server.terminated().await.unwrap();
            again
                .start_server("life", Life(Plan::default()))
                .map(|it| it.address())
        })
    };
    server.close().await.unwrap();
    assert_eq!(next.await.unwrap().unwrap(), server.address());
}

#[tokio::test]
async fn a_name_that_is_none_is_refused() {
    let service = RpcService::local();
    for name in ["", "two words", "a/b"] {
        let error = service
            .start_server(name, Life(Plan::default()))
            .unwrap_err();
        assert!(matches!(error, StartError::Name(_)), "{name}: {error}");
    }
    let error = service
        .connect::<dyn LifeGateway>("foobar")
        .await
        .unwrap_err();
    assert!(matches!(error, ConnectError::NoEndpoint { .. }), "{error}");
    let error = service
        .connect::<dyn LifeGateway>("tcp://host:1/life")
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("no transport for tcp://"),
        "{error}"
    );
}
