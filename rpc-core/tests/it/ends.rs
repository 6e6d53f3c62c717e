//! Endpoints that end in unusual ways.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock};

use futures_util::FutureExt;
use rpc_core::{
    BoxError, Call, Context, EndpointError, MainThread, PanicPolicy, RpcEndpoint, RpcError,
    RpcResult, RpcServer, RpcService, gateways, rpc_endpoint, rpc_gateway,
};
use tokio::runtime::Builder;
use tokio::sync::Notify;

#[rpc_gateway]
pub(crate) trait ActGateway {
    fn block(&self) -> Call<u32>;
}

/// Where an endpoint panics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Panics {
    InOnStart,
    BeforeOnStopsFuture,
    InOnStop,
    WhenDropped,
}

/// An endpoint that panics where it is told to, whatever its policy is.
struct Act<const GOES_ON: bool> {
    panics: Option<Panics>,
    stops: Arc<AtomicU32>,
}

impl<const GOES_ON: bool> Act<GOES_ON> {
    fn panic_in(&self, place: Panics) {
        assert_ne!(self.panics, Some(place), "as it was asked to");
    }
}

impl<const GOES_ON: bool> RpcEndpoint for Act<GOES_ON> {
    type Gateways = gateways![ActGateway];
    const ON_PANIC: PanicPolicy = match GOES_ON {
        true => PanicPolicy::Continue,
        false => PanicPolicy::Fail,
    };

    fn on_start(&mut self, _cx: &mut Context<Self>) -> Result<(), BoxError> {
        self.panic_in(Panics::InOnStart);
        Ok(())
    }

    fn on_stop(main: MainThread<'_, Self>) -> impl Future<Output = Result<(), BoxError>> + Send {
        main.run(|act, _| {
            act.stops.fetch_add(1, Ordering::Relaxed);
            act.panic_in(Panics::BeforeOnStopsFuture);
        });
        async move {
            tokio::task::yield_now().await;
            main.run(|act, _| act.panic_in(Panics::InOnStop));
            Ok(())
        }
    }
}

impl<const GOES_ON: bool> Drop for Act<GOES_ON> {
    fn drop(&mut self) {
        self.panic_in(Panics::WhenDropped);
    }
}

#[rpc_endpoint(ActGateway)]
impl<const GOES_ON: bool> Act<GOES_ON> {
    fn block(&mut self) -> RpcResult<u32> {
        Ok(42)
    }
}

/// Starts an act and closes it. Returns how it ended, and how often `on_stop` began.
async fn ended<const GOES_ON: bool>(panics: Option<Panics>) -> (Result<(), EndpointError>, u32) {
    let service = RpcService::local();
    let stops = Arc::new(AtomicU32::new(0));
    let act = |panics| Act::<GOES_ON> {
        panics,
        stops: Arc::clone(&stops),
    };
    let server = service.start_server("act", act(panics)).unwrap();
    server.start();
    let ended = server.close().await;
    let count = stops.load(Ordering::Relaxed);
    // Its name is free, and the service is none the worse for it.
    service.start_server("act", act(None)).unwrap();
    service.close().await.unwrap();
    (ended, count)
}

/// An actor of Flink's that vanishes has not completed its future, which is then failed.
// Flink: SupervisorActorTest#completesTerminationFutureExceptionallyIfActorStopsWithoutReason
// Flink, untested: A5
#[tokio::test]
async fn an_endpoint_that_panics_anywhere_has_ended() {
    let panicked = EndpointError::Panicked {
        endpoint: String::from("act"),
    };
    assert_eq!(ended::<true>(None).await, (Ok(()), 1));
    assert_eq!(ended::<false>(None).await, (Ok(()), 1));
    for (panics, stops) in [
        (Panics::InOnStart, 0),
        (Panics::BeforeOnStopsFuture, 1),
        (Panics::InOnStop, 1),
        (Panics::WhenDropped, 1),
    ] {
        let expected = (Err(panicked.clone()), stops);
        let tough = ended::<true>(Some(panics)).await;
        assert_eq!(tough, expected, "{panics:?}");
        let other = ended::<false>(Some(panics)).await;
        assert_eq!(other, expected, "{panics:?}");
    }
}

/// Its `on_stop` wants something of its main thread.
struct Poster {
    posted: bool,
}

impl RpcEndpoint for Poster {
    type Gateways = gateways![ActGateway];

    async fn on_stop(main: MainThread<'_, Self>) -> Result<(), BoxError> {
        let executor = main.run(|_, cx| cx.main_thread());
        executor.assert_running_in_main_thread();
        executor
            .call_async(|poster, _| poster.posted = true)
            .await?;
        executor.assert_running_in_main_thread();
        main.run(|poster, _| match poster.posted {
            true => Err("it was run".into()),
            false => Ok(()),
        })
    }
}

#[rpc_endpoint(ActGateway)]
impl Poster {
    fn block(&mut self) -> RpcResult<u32> {
        Ok(42)
    }
}

// Flink: PekkoRpcActorTest#testMainThreadExecutionOnStop, #testOnStopExecutedByMainThread
#[tokio::test]
async fn on_stop_may_wait_for_what_it_posts_to_its_main_thread() {
    let service = RpcService::local();
    let poster = Poster { posted: false };
    let server = service.start_server("poster", poster).unwrap();
    server.start();
    let ended = server.close().await.unwrap_err();
    assert!(
        matches!(&ended, EndpointError::Stop { source, .. } if source.texts() == ["it was run"]),
        "{ended}"
    );
}

/// Blocks its thread in its handler, and stops when it may.
struct Blocker {
    entered: Arc<Notify>,
    release: Receiver<()>,
    calls: Arc<AtomicU32>,
    stopping: Arc<Notify>,
    may_stop: Arc<Notify>,
}

impl RpcEndpoint for Blocker {
    type Gateways = gateways![ActGateway];

    async fn on_stop(main: MainThread<'_, Self>) -> Result<(), BoxError> {
        let may_stop = main.run(|blocker, _| {
            blocker.stopping.notify_one();
            Arc::clone(&blocker.may_stop)
        });
        may_stop.notified().await;
        Ok(())
    }
}

#[rpc_endpoint(ActGateway)]
impl Blocker {
    fn block(&mut self) -> RpcResult<u32> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.entered.notify_one();
        self.release.recv().unwrap();
        Ok(42)
    }
}

/// A blocker with what steers it.
struct Stage {
    server: RpcServer<Blocker>,
    entered: Arc<Notify>,
    release: Sender<()>,
    calls: Arc<AtomicU32>,
    stopping: Arc<Notify>,
    may_stop: Arc<Notify>,
}

fn stage(service: &RpcService) -> Stage {
    let (release, released) = channel();
    let blocker = Blocker {
        entered: Arc::default(),
        release: released,
        calls: Arc::default(),
        stopping: Arc::default(),
        may_stop: Arc::default(),
    };
    let (entered, calls) = (Arc::clone(&blocker.entered), Arc::clone(&blocker.calls));
    let (stopping, may_stop) = (Arc::clone(&blocker.stopping), Arc::clone(&blocker.may_stop));
    let server = service.start_server("blocker", blocker).unwrap();
    server.start();
    Stage {
        server,
        entered,
        release,
        calls,
        stopping,
        may_stop,
    }
}

// Flink: PekkoRpcActorTest#testOnStopFutureCompletionDirectlyTerminatesRpcActor
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_when_on_stop_is_done_does_not_run() {
    let service = RpcService::local();
    let stage = stage(&service);
    let gateway = stage.server.gateway::<dyn ActGateway>();
    let server = stage.server.clone();
    let closing = tokio::spawn(async move { server.close().await });
    stage.stopping.notified().await;
    let main = stage.server.main_thread();
    main.run_async(|blocker, _| drop(blocker.block()));
    stage.entered.notified().await;
    // The main thread is blocked, and finds all of these at once.
    let (runs, waits) = (gateway.block(), gateway.block());
    stage.release.send(()).unwrap();
    stage.entered.notified().await;
    stage.may_stop.notify_one();
    let mut ended = Box::pin(stage.server.terminated());
    assert!((&mut ended).now_or_never().is_none());
    stage.release.send(()).unwrap();
    assert_eq!(runs.await, Ok(42));
    let error = waits.await.unwrap_err();
    assert!(matches!(error, RpcError::Unreachable { .. }), "{error}");
    ended.await.unwrap();
    closing.await.unwrap().unwrap();
    assert_eq!(stage.calls.load(Ordering::Relaxed), 2);
}

// Flink: RpcEndpointTest#testCallAsyncTimeout
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn posted_code_that_is_not_done_in_time_is_given_up() {
    let service = RpcService::local();
    let stage = stage(&service);
    let main = stage.server.main_thread();
    let blocks = main.call_async(|blocker, _| blocker.block());
    stage.entered.notified().await;
    let error = blocks.timeout(std::time::Duration::from_millis(1)).await;
    let error = error.unwrap_err();
    assert_eq!(error.to_string(), "call_async timed out after 1ms");
    stage.release.send(()).unwrap();
    stage.may_stop.notify_one();
    stage.server.close().await.unwrap();
}

/// Notes when it is dropped whether its end was told before.
struct Held {
    server: Arc<OnceLock<RpcServer<Self>>>,
    told: Arc<OnceLock<bool>>,
}

impl RpcEndpoint for Held {
    type Gateways = gateways![ActGateway];
}

#[rpc_endpoint(ActGateway)]
impl Held {
    fn block(&mut self) -> RpcResult<u32> {
        Ok(42)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let ended = self.server.get().unwrap().terminated().now_or_never();
        self.told.set(ended.is_some()).unwrap();
    }
}

#[tokio::test]
async fn an_endpoint_that_is_aborted_is_over_when_its_state_is_gone() {
    for polled in [false, true] {
        let service = RpcService::local();
        let (server, told) = (Arc::default(), Arc::default());
        let held = Held {
            server: Arc::clone(&server),
            told: Arc::clone(&told),
        };
        let started = service.start_server("held", held).unwrap();
        server.set(started.clone()).unwrap();
        if polled {
            started.start();
            let gateway = started.gateway::<dyn ActGateway>();
            assert_eq!(gateway.block().await, Ok(42));
        }
        service.abort();
        let ended = started.terminated().await;
        assert_eq!(ended, aborted("held"));
        assert_eq!(told.get(), Some(&false), "polled: {polled}");
    }
}

fn aborted(endpoint: &str) -> Result<(), EndpointError> {
    Err(EndpointError::Aborted {
        endpoint: endpoint.to_owned(),
    })
}

#[test]
fn an_endpoint_whose_runtime_is_shut_down_is_over() {
    for polled in [false, true] {
        let runtime = Builder::new_current_thread().enable_time().build().unwrap();
        let service = RpcService::local();
        let start = || {
            let act = Act::<true> {
                panics: None,
                stops: Arc::default(),
            };
            service.start_server("act", act)
        };
        let server = {
            let _inside = runtime.enter();
            start().unwrap()
        };
        let gateway = server.gateway::<dyn ActGateway>();
        if polled {
            server.start();
            assert_eq!(runtime.block_on(gateway.block()), Ok(42));
        }
        let waits = gateway.block();
        drop(runtime);
        let runtime = Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            for call in [waits, gateway.block()] {
                let error = call.await.unwrap_err();
                assert!(matches!(error, RpcError::Unreachable { .. }), "{error}");
            }
            assert_eq!(server.terminated().await, aborted("act"));
            // Its name is free.
            start().unwrap();
        });
    }
}
