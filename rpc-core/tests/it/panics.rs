//! What a panic does to whom.

use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use rpc_core::{
    Call, EndpointError, PanicPolicy, RpcEndpoint, RpcError, RpcResult, RpcServer, RpcService,
    TaskError, gateways, rpc_endpoint, rpc_gateway,
};

#[rpc_gateway]
pub(crate) trait FuseGateway {
    fn blow(&self);
    fn blows(&self) -> Call<u32>;
}

/// Goes on.
#[derive(Default)]
struct Tough(u32);

impl RpcEndpoint for Tough {
    type Gateways = gateways![FuseGateway];
    const ON_PANIC: PanicPolicy = PanicPolicy::Continue;
}

#[rpc_endpoint(FuseGateway)]
impl Tough {
    fn blow(&mut self) {
        self.0 += 1;
        panic!("a one-way handler, as it was asked to");
    }

    fn blows(&mut self) -> RpcResult<u32> {
        Ok(self.0)
    }
}

/// Fails.
#[derive(Default)]
struct Fuse(u32);

impl RpcEndpoint for Fuse {
    type Gateways = gateways![FuseGateway];
}

#[rpc_endpoint(FuseGateway)]
impl Fuse {
    fn blow(&mut self) {
        panic!("a one-way handler, as it was asked to");
    }

    fn blows(&mut self) -> RpcResult<u32> {
        Ok(self.0)
    }
}

fn started<E: RpcEndpoint>(service: &RpcService, endpoint: E) -> RpcServer<E> {
    let server = service.start_server("fuse", endpoint).unwrap();
    server.start();
    server
}

// Flink, untested: A10
#[tokio::test]
async fn a_one_way_handler_that_panics_leaves_a_tough_endpoint_usable() {
    let service = RpcService::local();
    let server = started(&service, Tough::default());
    let gateway = server.gateway::<dyn FuseGateway>();
    gateway.blow();
    gateway.blow();
    assert_eq!(gateway.blows().await, Ok(2));
    server.close().await.unwrap();
}

// Flink, untested: A11
#[tokio::test]
async fn posted_code_that_panics_leaves_a_tough_endpoint_usable() {
    let service = RpcService::local();
    let server = started(&service, Tough::default());
    let main = server.main_thread();
    main.run_async(|_, _| panic!("posted, as it was asked to"));
    let panics: Call<()> = main.call_async(|_, _| panic!("called, as it was asked to"));
    let error = panics.await.unwrap_err();
    assert!(matches!(error, RpcError::Panicked { .. }), "{error}");
    main.run_async(|tough, _| tough.0 += 1);
    let gateway = server.gateway::<dyn FuseGateway>();
    assert_eq!(gateway.blows().await, Ok(1));
    server.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_timer_that_panics_runs_again_in_a_tough_endpoint() {
    let service = RpcService::local();
    let server = started(&service, Tough::default());
    let second = Duration::from_secs(1);
    server.main_thread().run_async(move |_, cx| {
        cx.schedule_every(second, |tough, _| {
            tough.0 += 1;
            assert_ne!(tough.0, 1, "as it was asked to");
        });
    });
    let gateway = server.gateway::<dyn FuseGateway>();
    gateway.blows().await.unwrap();
    for _ in 0..3 {
        tokio::time::advance(second).await;
        gateway.blows().await.unwrap();
    }
    assert_eq!(gateway.blows().await, Ok(3));
    server.close().await.unwrap();
}

/// Flink logs what a void method or a posted runnable throws, and goes on with whatever state it
/// left. Here that has to be chosen.
// Flink, untested: A10, A11
#[tokio::test]
async fn a_panic_that_nobody_waits_for_fails_the_endpoint() {
    let service = RpcService::local();
    let panicked = Err(EndpointError::Panicked {
        endpoint: String::from("fuse"),
    });
    let server = started(&service, Fuse::default());
    let gateway = server.gateway::<dyn FuseGateway>();
    gateway.blow();
    let error = gateway.blows().await.unwrap_err();
    assert!(matches!(error, RpcError::Unreachable { .. }), "{error}");
    assert_eq!(server.terminated().await, panicked);
    let server = started(&service, Fuse::default());
    let main = server.main_thread();
    main.run_async(|_, _| panic!("posted, as it was asked to"));
    assert_eq!(server.terminated().await, panicked);
}

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("dropped, as it was asked to");
    }
}

/// Sets a timer that holds a bomb, and cancels it.
async fn cancel_bomb<E: RpcEndpoint>(server: &RpcServer<E>) {
    let timer = server.main_thread().call_async(|_, cx| {
        let bomb = Bomb;
        cx.schedule(Duration::from_secs(3600), |_, _| drop(bomb))
    });
    timer.await.unwrap().cancel();
}

#[tokio::test]
async fn a_cancelled_timer_that_panics_when_it_is_dropped_is_a_panic_like_others() {
    let service = RpcService::local();
    let server = started(&service, Tough::default());
    cancel_bomb(&server).await;
    let gateway = server.gateway::<dyn FuseGateway>();
    assert_eq!(gateway.blows().await, Ok(0));
    server.close().await.unwrap();
    let server = started(&service, Fuse::default());
    cancel_bomb(&server).await;
    let ended = server.terminated().await;
    assert!(
        matches!(ended, Err(EndpointError::Panicked { .. })),
        "{ended:?}"
    );
    // Its name is free.
    started(&service, Fuse::default());
}

#[tokio::test]
async fn a_caller_whose_waker_panics_leaves_a_tough_endpoint_usable() {
    struct Bad;
    impl Wake for Bad {
        fn wake(self: Arc<Self>) {
            panic!("woken, as it was asked to");
        }
    }

    let service = RpcService::local();
    let server = started(&service, Tough::default());
    let gateway = server.gateway::<dyn FuseGateway>();
    let mut call = pin!(gateway.blows());
    let waker = Waker::from(Arc::new(Bad));
    assert!(
        call.as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
    );
    for _ in 0..3 {
        assert_eq!(gateway.blows().await, Ok(0));
    }
    assert_eq!(call.await, Ok(0));
    server.close().await.unwrap();
}

#[tokio::test]
async fn an_endpoint_ends_although_messages_panic_when_they_are_dropped() {
    let service = RpcService::local();
    let server = service.start_server("fuse", Tough::default()).unwrap();
    // More than are looked at in one round.
    for _ in 0..100 {
        let bomb = Bomb;
        server.main_thread().execute(|| drop(bomb));
    }
    let call = server.main_thread().call_async(|_, _| ());
    let ended = server.close().await;
    assert!(
        matches!(ended, Err(EndpointError::Panicked { .. })),
        "{ended:?}"
    );
    let refused = call.await.unwrap_err();
    assert!(matches!(refused, RpcError::Unreachable { .. }), "{refused}");
    started(&service, Tough::default());
}

/// A panic is caught at its place, after the process's hook has seen it: one that ends the process
/// for it is the counterpart of Flink's handler of fatal errors.
// Flink: RobustActorSystemTest#testUncaughtExceptionHandler, #testUncaughtExceptionHandlerFromActor
#[tokio::test]
async fn a_panic_reaches_the_hook_of_the_process() {
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let hook = std::panic::take_hook();
    let record = Arc::clone(&seen);
    std::panic::set_hook(Box::new(move |info| {
        let text = info.payload_as_str().unwrap_or_default();
        record.lock().unwrap().push(text.to_owned());
        hook(info);
    }));
    let service = RpcService::local();
    let in_pool = service.executor().execute(|| panic!("seen in the pool"));
    let in_pool: Result<(), _> = in_pool.await;
    assert_eq!(in_pool, Err(TaskError::Panicked));
    let server = started(&service, Tough::default());
    let main = server.main_thread();
    let in_endpoint: Call<()> = main.call_async(|_, _| panic!("seen in an endpoint"));
    in_endpoint.await.unwrap_err();
    // Other tests of this process panic too.
    let seen = seen.lock().unwrap();
    assert!(seen.iter().any(|it| it == "seen in the pool"), "{seen:?}");
    assert!(
        seen.iter().any(|it| it == "seen in an endpoint"),
        "{seen:?}"
    );
}
