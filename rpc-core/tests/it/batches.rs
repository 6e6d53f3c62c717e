//! Messages of all kinds that are in a mailbox together.

use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rpc_core::{
    BoxError, Call, EndpointError, MainThread, PanicPolicy, RpcEndpoint, RpcError, RpcResult,
    RpcServer, RpcService, gateways, rpc_endpoint, rpc_gateway,
};

#[rpc_gateway]
trait LogGateway {
    fn quick(&self, number: u32) -> Call<u32>;
    /// Writes when it begins, and when it goes on.
    fn slow(&self, number: u32) -> Call<u32>;
    fn panic(&self) -> Call<()>;
}

/// What was done, in order, and whether it has stopped.
struct Log<const GOES_ON: bool>(Vec<u32>, Arc<AtomicBool>);

impl<const GOES_ON: bool> RpcEndpoint for Log<GOES_ON> {
    type Gateways = gateways![LogGateway];
    const ON_PANIC: PanicPolicy = match GOES_ON {
        true => PanicPolicy::Continue,
        false => PanicPolicy::Fail,
    };

    async fn on_stop(main: MainThread<'_, Self>) -> Result<(), BoxError> {
        main.run(|log, _| log.1.store(true, Ordering::Relaxed));
        Ok(())
    }
}

#[rpc_endpoint(LogGateway)]
impl<const GOES_ON: bool> Log<GOES_ON> {
    fn quick(&mut self, number: u32) -> RpcResult<u32> {
        self.0.push(number);
        Ok(number)
    }

    async fn slow(main: MainThread<'_, Self>, number: u32) -> RpcResult<u32> {
        main.run(|log, _| log.0.push(number));
        tokio::task::yield_now().await;
        main.run(|log, _| log.0.push(10 * number));
        Ok(number)
    }

    fn panic(&mut self) -> RpcResult<()> {
        panic!("as it was asked to")
    }
}

fn started<const GOES_ON: bool>(
    service: &RpcService,
    stopped: &Arc<AtomicBool>,
) -> RpcServer<Log<GOES_ON>> {
    let log = Log(Vec::new(), Arc::clone(stopped));
    let server = service.start_server("log", log).unwrap();
    server.start();
    server
}

#[tokio::test]
async fn quick_and_interleaving_handlers_and_posted_code_find_the_state_in_turn() {
    let service = RpcService::local();
    let server = started::<true>(&service, &Arc::default());
    let log = server.gateway::<dyn LogGateway>();
    // All are there before any of them is handled: this is the only thread.
    let answers = [log.quick(1), log.slow(2), log.quick(3)];
    server.main_thread().run_async(|log, _| log.0.push(4));
    let last = [log.slow(5), log.quick(6)];
    for answer in answers.into_iter().chain(last) {
        answer.await.unwrap();
    }
    let all = server.main_thread().call_async(|log, _| log.0.clone());
    assert_eq!(all.await.unwrap(), [1, 2, 3, 4, 5, 6, 20, 50]);
}

#[tokio::test]
async fn after_a_quick_handler_that_panicked_others_find_the_state() {
    let service = RpcService::local();
    let server = started::<true>(&service, &Arc::default());
    let log = server.gateway::<dyn LogGateway>();
    let (first, panics) = (log.quick(1), log.panic());
    let (slow, last) = (log.slow(2), log.quick(3));
    let error = panics.await.unwrap_err();
    assert!(matches!(error, RpcError::Panicked { .. }), "{error}");
    for answer in [first, slow, last] {
        answer.await.unwrap();
    }
    let all = server.main_thread().call_async(|log, _| log.0.clone());
    assert_eq!(all.await.unwrap(), [1, 2, 3, 20]);
}

#[tokio::test]
async fn an_endpoint_that_a_quick_handler_fails_finds_its_state_when_it_stops() {
    let service = RpcService::local();
    let stopped = Arc::default();
    let server = started::<false>(&service, &stopped);
    let log = server.gateway::<dyn LogGateway>();
    let (first, panics, last) = (log.quick(1), log.panic(), log.quick(2));
    assert_eq!(first.await, Ok(1));
    let error = panics.await.unwrap_err();
    assert!(matches!(error, RpcError::Panicked { .. }), "{error}");
    let error = last.await.unwrap_err();
    assert!(matches!(error, RpcError::Unreachable { .. }), "{error}");
    let ended = server.terminated().await.unwrap_err();
    assert!(matches!(ended, EndpointError::Panicked { .. }), "{ended}");
    assert!(stopped.load(Ordering::Relaxed));
}

#[rpc_gateway]
trait CrowdGateway {
    fn pass(&self) -> Call<()>;
}

/// Counts what is under way.
#[derive(Default)]
struct Crowd {
    inside: usize,
    inside_max: usize,
}

impl RpcEndpoint for Crowd {
    type Gateways = gateways![CrowdGateway];
}

impl Crowd {
    fn enter(&mut self) {
        self.inside += 1;
        self.inside_max = self.inside_max.max(self.inside);
    }

    fn leave(&mut self) {
        self.inside -= 1;
    }
}

#[rpc_endpoint(CrowdGateway)]
impl Crowd {
    async fn pass(main: MainThread<'_, Self>) -> RpcResult<()> {
        main.run(|crowd, _| crowd.enter());
        tokio::task::yield_now().await;
        main.run(|crowd, _| crowd.leave());
        Ok(())
    }
}

#[tokio::test]
async fn as_many_handlers_and_continuations_end_as_begin() {
    let service = RpcService::local();
    let server = service.start_server("crowd", Crowd::default()).unwrap();
    server.start();
    let (gateway, main) = (server.gateway::<dyn CrowdGateway>(), server.main_thread());
    let calls: Vec<_> = (0..10_000).map(|_| gateway.pass()).collect();
    for call in calls {
        call.await.unwrap();
    }
    let inside_max = main.call_async(|crowd, _| std::mem::take(&mut crowd.inside_max));
    let inside_max = inside_max.await.unwrap();
    assert!(inside_max <= ROUND_MAX, "{inside_max} handlers");

    let (left, mut leaves) = tokio::sync::mpsc::channel(10_000);
    for _ in 0..10_000 {
        let left = left.clone();
        main.run_async(move |crowd, cx| {
            crowd.enter();
            cx.pipe(ready(()), move |crowd, _, ()| {
                crowd.leave();
                left.try_send(()).unwrap();
            });
        });
    }
    drop(left);
    while leaves.recv().await.is_some() {}
    let inside_max = main.call_async(|crowd, _| crowd.inside_max).await.unwrap();
    assert!(inside_max <= ROUND_MAX, "{inside_max} continuations");
}

/// More than are begun before those go on that were begun earlier.
const ROUND_MAX: usize = 100;
