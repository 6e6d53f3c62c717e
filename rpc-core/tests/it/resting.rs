//! Endpoints that have nothing to do, and no task.

use std::collections::BTreeSet;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rpc_core::{
    BoxError, Call, Context, EndpointError, FencingToken, MainThread, RpcEndpoint, RpcError,
    RpcResult, RpcServer, RpcService, gateways, rpc_endpoint, rpc_gateway,
};
use tokio::runtime::{Builder, Handle};
use tokio::sync::Notify;

#[rpc_gateway]
trait SumGateway {
    fn add(&self, number: u32) -> Call<u32>;
    fn tell(&self, number: u32);
    fn add_after(&self, delay: Duration, number: u32);
    fn wait(&self) -> Call<u32>;
}

#[derive(Default)]
struct Sum {
    sum: u32,
    go: Arc<Notify>,
    ends: Arc<AtomicU32>,
    /// Its main thread, as tokio names tasks.
    tasks: BTreeSet<Option<tokio::task::Id>>,
}

impl RpcEndpoint for Sum {
    type Gateways = gateways![SumGateway];

    async fn on_stop(main: MainThread<'_, Self>) -> Result<(), BoxError> {
        main.run(|sum, _| sum.ends.fetch_add(1, Ordering::Relaxed));
        Ok(())
    }
}

#[rpc_endpoint(SumGateway)]
impl Sum {
    fn add(&mut self, number: u32) -> RpcResult<u32> {
        self.sum += number;
        Ok(self.sum)
    }

    fn tell(&mut self, number: u32) {
        self.tasks.insert(tokio::task::try_id());
        self.sum += number;
    }

    fn add_after(&mut self, cx: &mut Context<Self>, delay: Duration, number: u32) {
        cx.schedule(delay, move |sum, _| sum.sum += number);
    }

    async fn wait(main: MainThread<'_, Self>) -> RpcResult<u32> {
        let go = main.run(|sum, _| Arc::clone(&sum.go));
        go.notified().await;
        Ok(main.run(|sum, _| sum.sum))
    }
}

/// Lets time pass in which idle endpoints go to rest.
async fn pass_time() {
    for _ in 0..100 {
        tokio::time::advance(Duration::from_millis(100)).await;
        tokio::task::yield_now().await;
    }
}

fn tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

fn start(service: &RpcService, name: &str) -> RpcServer<Sum> {
    let server = service.start_server(name, Sum::default()).unwrap();
    server.start();
    server
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_has_a_task_only_while_it_has_something_to_do() {
    let service = RpcService::local();
    let first = start(&service, "first");
    first.gateway::<dyn SumGateway>().add(1).await.unwrap();
    pass_time().await;
    // But those of the service itself.
    let none = tasks();
    let many: Vec<_> = (0..100)
        .map(|it| start(&service, &format!("sum{it}")))
        .collect();
    pass_time().await;
    assert_eq!(tasks(), none, "they were started, and that is all");
    for server in many.iter().take(7) {
        let sum = server.gateway::<dyn SumGateway>();
        assert_eq!(sum.add(1).await, Ok(1));
    }
    assert_eq!(
        tasks(),
        none + 7,
        "who was asked just now may be asked again"
    );
    pass_time().await;
    assert_eq!(tasks(), none);
    first.main_thread().run_async(|sum, _| sum.sum += 1);
    assert_eq!(tasks(), none + 1);
    service.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_is_asked_again_and_again_keeps_its_task() {
    let service = RpcService::local();
    let server = start(&service, "sum");
    let sum = server.gateway::<dyn SumGateway>();
    let main = server.main_thread();
    for _ in 0..100 {
        sum.add(1).await.unwrap();
    }
    // It has another when its handlers are known to be brief.
    main.run_async(|sum, _| sum.tasks.clear());
    for _ in 0..100 {
        sum.tell(1);
        sum.add(1).await.unwrap();
        tokio::time::advance(Duration::from_millis(100)).await;
        tokio::task::yield_now().await;
    }
    let tasks = main.call_async(|sum, _| sum.tasks.len()).await;
    assert_eq!(tasks, Ok(1));
    pass_time().await;
    sum.tell(1);
    let tasks = main.call_async(|sum, _| sum.tasks.len()).await;
    assert_eq!(tasks, Ok(2));
}

#[tokio::test(start_paused = true)]
async fn what_an_endpoint_is_outlives_its_tasks() {
    let service = RpcService::local();
    let server = start(&service, "sum");
    let sum = server.gateway::<dyn SumGateway>();
    assert_eq!(sum.add(1).await, Ok(1));
    let token = FencingToken::new(7);
    let set = server
        .main_thread()
        .call_async(move |_, cx| cx.set_fencing_token(Some(token)));
    set.await.unwrap().unwrap();
    pass_time().await;
    assert_eq!(sum.add(1).await, Ok(2));
    let kept = server.main_thread().call_async(|_, cx| cx.fencing_token());
    assert_eq!(kept.await, Ok(Some(token)));
    sum.add_after(Duration::from_secs(1), 10);
    // What stops it passes by what waits.
    assert_eq!(sum.add(0).await, Ok(2));
    server.stop();
    // The timer is due meanwhile, and waits.
    pass_time().await;
    let refused = sum.add(1).await;
    assert!(
        matches!(refused, Err(RpcError::NotStarted { .. })),
        "{refused:?}"
    );
    server.start();
    pass_time().await;
    assert_eq!(sum.add(1).await, Ok(2 + 10 + 1));
    pass_time().await;
    let ends = server
        .main_thread()
        .call_async(|sum, _| Arc::clone(&sum.ends));
    let ends = ends.await.unwrap();
    pass_time().await;
    server.close().await.unwrap();
    assert_eq!(ends.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_waits_for_something_keeps_its_task() {
    let service = RpcService::local();
    let server = start(&service, "sum");
    let sum = server.gateway::<dyn SumGateway>();
    sum.add_after(MINUTE, 10);
    pass_minutes().await;
    assert_eq!(sum.add(0).await, Ok(10), "the timer has run");
    let piped = server.main_thread().call_async(|_, cx| {
        let later = tokio::time::timeout(MINUTE, pending::<()>());
        cx.pipe(later, |sum, _, _| sum.sum += 5);
    });
    piped.await.unwrap();
    pass_minutes().await;
    assert_eq!(
        sum.add(0).await,
        Ok(10 + 5),
        "what was waited for was there"
    );
    let go = server
        .main_thread()
        .call_async(|sum, _| Arc::clone(&sum.go));
    let go = go.await.unwrap();
    let waits = async {
        pass_minutes().await;
        go.notify_one();
    };
    let (waited, ()) = tokio::join!(sum.wait().without_timeout(), waits);
    assert_eq!(waited, Ok(10 + 5), "its handler has gone on");
}

/// Lets more time pass than anything takes here: the clock runs while all wait.
async fn pass_minutes() {
    let _elapsed = tokio::time::timeout(5 * MINUTE, pending::<()>()).await;
}

/// How an endpoint that rests is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Aborted,
    Dropped,
    RuntimeGone,
}

/// Waits for an end that may not come.
async fn ended(server: &RpcServer<Sum>) -> Result<(), EndpointError> {
    let ended = tokio::time::timeout(Duration::from_secs(30), server.terminated());
    ended.await.expect("it ends")
}

#[test]
fn an_endpoint_that_rests_ends_with_its_service_and_with_its_runtime() {
    for end in [End::Aborted, End::Dropped, End::RuntimeGone] {
        let runtime = || Builder::new_current_thread().enable_time().build().unwrap();
        let (home, other) = (runtime(), runtime());
        let service = {
            let _inside = other.enter();
            RpcService::local()
        };
        let ends = Arc::default();
        let server = home.block_on(async {
            let ends = Arc::clone(&ends);
            let sum = Sum {
                ends,
                ..Sum::default()
            };
            service.start_server("sum", sum).unwrap()
        });
        // Nothing but that: it rests from its start on.
        server.start();
        home.block_on(tokio::task::yield_now());
        let ended = match end {
            End::Aborted => {
                service.abort();
                home.block_on(ended(&server))
            }
            End::Dropped => {
                drop(service);
                home.block_on(ended(&server))
            }
            End::RuntimeGone => {
                drop(home);
                other.block_on(ended(&server))
            }
        };
        let aborted = EndpointError::Aborted {
            endpoint: "sum".to_owned(),
        };
        assert_eq!(ended, Err(aborted), "{end:?}");
        assert_eq!(ends.load(Ordering::Relaxed), 0, "it is not stopped");
        assert_eq!(Arc::strong_count(&ends), 1, "its state is gone");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_that_comes_while_an_endpoint_goes_to_rest() {
    let service = RpcService::local();
    let server = start(&service, "sum");
    let sum = server.gateway::<dyn SumGateway>();
    // A task that was begun by no message rests at once.
    let starting = tokio::spawn({
        let server = server.clone();
        async move {
            for _ in 0..ROUNDS {
                server.start();
                tokio::task::yield_now().await;
            }
        }
    });
    for _ in 0..ROUNDS {
        sum.tell(1);
        tokio::task::yield_now().await;
    }
    starting.await.unwrap();
    assert_eq!(sum.add(0).await, Ok(ROUNDS));
    server.close().await.unwrap();
}

const ROUNDS: u32 = 5_000;
const MINUTE: Duration = Duration::from_secs(60);
