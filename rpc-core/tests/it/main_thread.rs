//! All of an endpoint's code runs on one logical main thread.

use std::sync::Arc;
use std::time::Duration;

use rpc_core::{
    Call, Context, MainThread, PanicPolicy, RpcEndpoint, RpcError, RpcResult, RpcServer,
    RpcService, gateways, rpc_endpoint, rpc_gateway,
};
use tokio::sync::{Notify, oneshot};

#[rpc_gateway]
pub(crate) trait CellGateway {
    fn enter(&self) -> Call<u32>;
    fn enter_twice(&self) -> Call<u32>;
    fn panic(&self) -> Call<()>;
    fn panic_later(&self) -> Call<()>;
}

/// Notices when two of its handlers run at once.
#[derive(Default)]
struct Cell {
    inside: bool,
    entered: u32,
    gate: Arc<Notify>,
}

impl RpcEndpoint for Cell {
    type Gateways = gateways![CellGateway];
    const ON_PANIC: PanicPolicy = PanicPolicy::Continue;
}

impl Cell {
    fn visit(&mut self) -> u32 {
        assert!(
            !std::mem::replace(&mut self.inside, true),
            "two handlers at once"
        );
        self.entered += 1;
        self.inside = false;
        self.entered
    }
}

#[rpc_endpoint(CellGateway)]
impl Cell {
    fn enter(&mut self, cx: &mut Context<Self>) -> RpcResult<u32> {
        cx.main_thread().assert_running_in_main_thread();
        Ok(self.visit())
    }

    async fn enter_twice(main: MainThread<'_, Self>) -> RpcResult<u32> {
        let gate = main.run(|cell, _| {
            cell.visit();
            Arc::clone(&cell.gate)
        });
        gate.notified().await;
        main.run(|cell, cx| {
            cx.main_thread().assert_running_in_main_thread();
            Ok(cell.visit())
        })
    }

    fn panic(&mut self) -> RpcResult<()> {
        panic!("as it was asked to");
    }

    async fn panic_later(main: MainThread<'_, Self>) -> RpcResult<()> {
        let gate = main.run(|cell, _| Arc::clone(&cell.gate));
        gate.notified().await;
        panic!("as it was asked to");
    }
}

fn started(service: &RpcService) -> (RpcServer<Cell>, Arc<dyn CellGateway>, Arc<Notify>) {
    let cell = Cell::default();
    let gate = Arc::clone(&cell.gate);
    let server = service.start_server("cell", cell).unwrap();
    server.start();
    let gateway = server.gateway();
    (server, gateway, gate)
}

#[tokio::test]
async fn others_are_served_while_a_handler_awaits() {
    let service = RpcService::local();
    let (_, gateway, gate) = started(&service);
    let waits = gateway.enter_twice();
    assert_eq!(gateway.enter().await, Ok(2));
    gate.notify_one();
    assert_eq!(waits.await, Ok(3));
}

// Flink: AsyncCallsTest#testScheduleWithNoDelay
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_and_posted_code_never_overlap() {
    let service = RpcService::local();
    let (server, gateway, _) = started(&service);
    let main = server.main_thread();
    let posting = tokio::spawn(async move {
        for _ in 0..10_000 {
            main.run_async(|cell, _| {
                cell.visit();
            });
        }
        main.call_async(|_, _| "test").await
    });
    let mut calls = Vec::new();
    for _ in 0..4 {
        let gateway = Arc::clone(&gateway);
        calls.push(tokio::spawn(async move {
            for _ in 0..1000 {
                gateway.enter().await.unwrap();
            }
        }));
    }
    for call in calls {
        call.await.unwrap();
    }
    assert_eq!(posting.await.unwrap(), Ok("test"));
    assert_eq!(gateway.enter().await, Ok(14_001));
}

// Flink: MainThreadValidationTest#failIfNotInMainThread,
// RpcEndpointMainThreadExecutorTest#testAssertRunningInMainThread
#[tokio::test]
async fn it_is_known_which_code_is_on_the_main_thread() {
    let service = RpcService::local();
    let (server, _, _) = started(&service);
    let main = server.main_thread();
    assert!(!main.is_running_in_main_thread());
    let inside = main.clone();
    assert_eq!(
        main.call_async(move |_, _| inside.is_running_in_main_thread())
            .await,
        Ok(true)
    );
    let outside = tokio::spawn(async move { main.assert_running_in_main_thread() });
    assert!(outside.await.unwrap_err().is_panic());
}

// Flink: RpcEndpointTest#testCallAsync, #testExecute,
// RpcEndpointMainThreadExecutorTest#testExecutorRunAsync, #testExecute
#[tokio::test]
async fn posted_code_runs_on_the_main_thread() {
    let service = RpcService::local();
    let (server, _, _) = started(&service);
    let main = server.main_thread();
    let (executed, has_executed) = oneshot::channel();
    let inside = main.clone();
    main.execute(move || {
        inside.assert_running_in_main_thread();
        executed.send("executed").unwrap();
    });
    assert_eq!(has_executed.await, Ok("executed"));
    let (run, has_run) = oneshot::channel();
    main.run_async(move |cell, cx| {
        cx.main_thread().assert_running_in_main_thread();
        run.send(cell.visit()).unwrap();
    });
    assert_eq!(has_run.await, Ok(1));
    let called = main.call_async(|cell, cx| {
        cx.main_thread().assert_running_in_main_thread();
        cell.visit()
    });
    assert_eq!(called.await, Ok(2));
    // And what the service's executor runs does not.
    let elsewhere = main.clone();
    let elsewhere = service
        .executor()
        .execute(move || elsewhere.is_running_in_main_thread());
    assert_eq!(elsewhere.await, Ok(false));
}

#[tokio::test]
async fn posted_code_does_not_run_whose_caller_has_gone_before_its_turn() {
    let service = RpcService::local();
    let (server, gateway, _) = started(&service);
    let main = server.main_thread();
    // All are there before any of them is handled: this is the only thread.
    drop(main.call_async(|cell, _| cell.visit()));
    drop(main.call_async_without_fencing(|cell, _| cell.visit()));
    main.call_async(|cell, _| cell.visit()).detach();
    assert_eq!(gateway.enter().await, Ok(2));
}

#[tokio::test]
async fn posted_code_is_refused_while_the_endpoint_does_not_serve() {
    let service = RpcService::local();
    let server = service.start_server("cell", Cell::default()).unwrap();
    let main = server.main_thread();
    let refused = main.call_async(|_, _| ()).await;
    assert!(
        matches!(refused, Err(RpcError::NotStarted { .. })),
        "{refused:?}"
    );
    server.start();
    assert_eq!(main.call_async(|_, _| ()).await, Ok(()));
    server.close().await.unwrap();
    let refused = main.call_async(|_, _| ()).await;
    assert!(
        matches!(refused, Err(RpcError::Unreachable { .. })),
        "{refused:?}"
    );
}

/// Flink's names three keys of its configuration. Here the time is the call's own, the method's or
/// the service's, and the method that is named leads to all of them.
// Flink: TimeoutCallStackTest#testTimeoutMessageContainsCallTimeoutAndTimeoutOptions
#[tokio::test(start_paused = true)]
async fn a_time_out_says_how_long_it_was() {
    let service = RpcService::local();
    let (_, gateway, _) = started(&service);
    let hangs = gateway.enter_twice().timeout(Duration::from_millis(42));
    assert_eq!(
        hangs.await.unwrap_err().to_string(),
        "CellGateway::enter_twice timed out after 42ms"
    );
    assert_eq!(
        gateway.enter_twice().await.unwrap_err().to_string(),
        "CellGateway::enter_twice timed out after 10s"
    );
}

/// An endpoint that must not keep others waiting lives in a service of its own, on a runtime of its
/// own: Flink gives such a service a thread pool of another priority.
// Flink: PekkoUtilsTest#getConfigSetsExecutorWithThreadPriority
#[test]
fn a_service_may_have_a_runtime_of_its_own() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().unwrap()
    };
    let (busy, quiet) = (runtime(), runtime());
    let (_service, gateway) = {
        let _inside = quiet.enter();
        let service = RpcService::local();
        let (_, gateway, _) = started(&service);
        (service, gateway)
    };
    let (end, ended) = std::sync::mpsc::channel::<()>();
    let (blocked, is_blocked) = std::sync::mpsc::channel();
    let blocking = std::thread::spawn(move || {
        busy.block_on(async {
            let service = RpcService::local();
            let (server, _, _) = started(&service);
            let blocks = server.main_thread().call_async(move |_, _| {
                blocked.send(()).unwrap();
                ended.recv().unwrap();
            });
            blocks.await.unwrap();
        });
    });
    is_blocked.recv().unwrap();
    assert_eq!(quiet.block_on(gateway.enter()), Ok(1));
    end.send(()).unwrap();
    blocking.join().unwrap();
}

#[tokio::test]
async fn an_endpoint_may_survive_its_handlers_panics() {
    let service = RpcService::local();
    let (_, gateway, gate) = started(&service);
    assert!(
        matches!(gateway.panic().await, Err(RpcError::Panicked { endpoint }) if endpoint == "cell")
    );
    let later = gateway.panic_later();
    assert_eq!(gateway.enter().await, Ok(1));
    gate.notify_one();
    assert!(matches!(later.await, Err(RpcError::Panicked { .. })));
    assert_eq!(gateway.enter().await, Ok(2));
}
