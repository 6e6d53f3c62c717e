//! Handlers that take next to no time run where their answer is awaited.

use std::future::poll_fn;
use std::sync::mpsc;
use std::task::Poll;
use std::time::Duration;

use rpc_core::{
    BoxError, Call, Context, EndpointError, MainThread, ReplyTo, RpcConfig, RpcEndpoint, RpcError,
    RpcResult, RpcServer, RpcService, gateways, rpc_endpoint, rpc_gateway,
};
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::time::Instant;

#[rpc_gateway]
trait PlaceGateway {
    /// Where the handler runs.
    fn brief(&self) -> Call<Option<u64>>;
    fn long(&self) -> Call<Option<u64>>;
    fn interleaving(&self, waits: bool) -> Call<Option<u64>>;
    fn count(&self, number: u32) -> Call<u32>;
    fn tell(&self, number: u32);
    fn later(&self) -> Call<()>;
    fn set_timer(&self) -> Call<()>;
    fn panic(&self, really: bool) -> Call<()>;
    /// Where a handler runs that this one calls, and where this one.
    fn nested(&self) -> Call<(Option<u64>, Option<u64>)>;
}

#[derive(Default)]
struct Place {
    counted: Vec<u32>,
    replies: Vec<ReplyTo<()>>,
    watcher: Option<mpsc::Sender<u32>>,
    other: Option<Call<Option<u64>>>,
}

impl RpcEndpoint for Place {
    type Gateways = gateways![PlaceGateway];

    async fn on_stop(main: MainThread<'_, Self>) -> Result<(), BoxError> {
        tokio::task::yield_now().await;
        main.run(|place, _| place.watch(0));
        Ok(())
    }
}

impl Place {
    /// Makes one that says what it counts, and when it has stopped.
    fn watched() -> (Self, mpsc::Receiver<u32>) {
        let (watcher, said) = mpsc::channel();
        let place = Self {
            watcher: Some(watcher),
            ..Self::default()
        };
        (place, said)
    }

    fn watch(&self, number: u32) {
        self.watcher
            .iter()
            .for_each(|it| it.send(number).expect("the test waits"));
    }
}

#[rpc_endpoint(PlaceGateway)]
impl Place {
    fn brief(&mut self) -> RpcResult<Option<u64>> {
        Ok(task())
    }

    fn long(&mut self) -> RpcResult<Option<u64>> {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_micros(200) {}
        Ok(task())
    }

    async fn interleaving(_main: MainThread<'_, Self>, waits: bool) -> RpcResult<Option<u64>> {
        let task = task();
        if waits {
            tokio::task::yield_now().await;
        }
        Ok(task)
    }

    fn count(&mut self, number: u32) -> RpcResult<u32> {
        self.counted.push(number);
        self.watch(number);
        Ok(self.counted.iter().sum())
    }

    fn tell(&mut self, number: u32) {
        self.counted.push(number);
    }

    fn later(&mut self, reply: ReplyTo<()>) {
        self.replies.push(reply);
    }

    fn set_timer(&mut self, cx: &mut Context<Self>) -> RpcResult<()> {
        cx.schedule(Duration::from_secs(1), |place, _| {
            place.replies.drain(..).for_each(|it| it.answer(Ok(())));
        });
        Ok(())
    }

    async fn nested(main: MainThread<'_, Self>) -> RpcResult<(Option<u64>, Option<u64>)> {
        let other = main.run(|place, _| place.other.take());
        let there = other.expect("it was made so").await?;
        Ok((there, task()))
    }

    fn panic(&mut self, really: bool) -> RpcResult<()> {
        assert!(!really, "on purpose");
        Ok(())
    }
}

/// Which task this is.
fn task() -> Option<u64> {
    tokio::task::try_id().map(|it| it.to_string().parse().expect("it is a number"))
}

fn start(service: &RpcService, place: Place) -> RpcServer<Place> {
    let server = service.start_server("place", place).unwrap();
    server.start();
    server
}

/// Makes such calls until it is known how long they take.
async fn warm<T>(call: impl Fn() -> Call<T>) {
    for _ in 0..100 {
        call().await.unwrap();
    }
}

async fn let_others_run() {
    for _ in 0..3 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_brief_handler_runs_where_its_answer_is_awaited() {
    let service = RpcService::local();
    let place = start(&service, Place::default()).gateway::<dyn PlaceGateway>();
    let calling = async move {
        warm(|| place.brief()).await;
        assert_eq!(place.brief().await, Ok(task()));
        warm(|| place.interleaving(false)).await;
        assert_eq!(place.interleaving(false).await, Ok(task()));
        // Whoever awaits it, and not who made it.
        let call = place.brief();
        let elsewhere = async { (call.await, task()) };
        let (answer, there) = tokio::spawn(elsewhere).await.unwrap();
        assert_eq!(answer, Ok(there));
        assert_ne!(there, task());
    };
    tokio::spawn(calling).await.unwrap();
}

#[tokio::test]
async fn other_handlers_run_in_the_endpoints_task() {
    let service = RpcService::local();
    let place = start(&service, Place::default()).gateway::<dyn PlaceGateway>();
    let calling = async move {
        warm(|| place.interleaving(true)).await;
        warm(|| place.long()).await;
        let places = [place.interleaving(true).await, place.long().await];
        assert_eq!(places[0], places[1]);
        assert_ne!(places[0], Ok(task()));
    };
    tokio::spawn(calling).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn no_main_thread_runs_within_another() {
    let service = RpcService::local();
    let other = start(&service, Place::default()).gateway::<dyn PlaceGateway>();
    warm(|| other.brief()).await;
    let asking = Place {
        other: Some(other.brief()),
        ..Place::default()
    };
    let asking = service.start_server("asking", asking).unwrap();
    asking.start();
    let asking = asking.gateway::<dyn PlaceGateway>();
    let (there, here) = asking.nested().await.unwrap();
    assert_ne!(there, here);
}

#[tokio::test(start_paused = true)]
async fn no_thread_is_lent_if_that_is_not_wanted() {
    let mut config = RpcConfig::default();
    config.lend_threads = false;
    let service = RpcService::builder().config(config).build().await.unwrap();
    let place = start(&service, Place::default()).gateway::<dyn PlaceGateway>();
    let calling = async move {
        warm(|| place.brief()).await;
        assert_ne!(place.brief().await, Ok(task()));
    };
    tokio::spawn(calling).await.unwrap();
}

#[test]
fn a_handler_runs_in_its_endpoints_runtime() {
    let runtime = || {
        let mut builder = Builder::new_current_thread();
        builder.enable_time().start_paused(true).build().unwrap()
    };
    let (give, taken) = oneshot::channel();
    let (done, is_done) = oneshot::channel::<()>();
    let home = std::thread::spawn(move || {
        runtime().block_on(async {
            let service = RpcService::local();
            let place = start(&service, Place::default()).gateway::<dyn PlaceGateway>();
            warm(|| place.brief()).await;
            give.send(place).map_err(drop).unwrap();
            is_done.await.unwrap();
        });
    });
    let calling = async {
        let place = taken.await.unwrap();
        warm(|| place.brief().without_timeout()).await;
        assert_ne!(place.brief().without_timeout().await, Ok(task()));
        done.send(()).unwrap();
    };
    let other = runtime();
    other.block_on(other.spawn(calling)).unwrap();
    home.join().unwrap();
}

#[tokio::test(start_paused = true)]
async fn messages_are_handled_in_their_order_wherever_that_is() {
    let service = RpcService::local();
    let server = start(&service, Place::default());
    let place = server.gateway::<dyn PlaceGateway>();
    warm(|| place.count(0)).await;
    let mut calls = Vec::new();
    for number in 0..300 {
        match number % 3 {
            0 => place.tell(number),
            _ => calls.push(place.count(number)),
        }
    }
    // Also if the last is awaited first.
    while let Some(call) = calls.pop() {
        call.await.unwrap();
    }
    let counted = server.main_thread().call_async(|it, _| it.counted.clone());
    let counted = counted.await.unwrap();
    assert_eq!(counted[100..], Vec::from_iter(0..300));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_nobody_awaits_is_handled_all_the_same() {
    let (place, counted) = Place::watched();
    let service = RpcService::local();
    let place = start(&service, place).gateway::<dyn PlaceGateway>();
    warm(|| place.count(0)).await;
    let held = place.count(1);
    let_others_run().await;
    assert_eq!(counted.try_iter().skip(100).collect::<Vec<_>>(), [1]);
    assert_eq!(held.await, Ok(1));
    place.count(2).detach();
    let_others_run().await;
    assert_eq!(counted.try_iter().collect::<Vec<_>>(), [2]);
}

#[test]
fn a_call_that_nobody_awaits_is_handled_though_its_executor_has_ended() {
    let mut builder = Builder::new_current_thread();
    let runtime = builder.enable_time().start_paused(true).build().unwrap();
    let (place, counted) = Place::watched();
    let (_service, place) = runtime.block_on(async {
        let service = RpcService::local();
        let place = start(&service, place).gateway::<dyn PlaceGateway>();
        warm(|| place.count(0)).await;
        (service, place)
    });
    let counted = || counted.try_iter().filter(|it| *it > 0).collect::<Vec<_>>();
    // It is over in one poll.
    assert_eq!(runtime.block_on(place.count(1)), Ok(1));
    assert_eq!(counted(), [1]);
    runtime.block_on(async {
        let held = place.count(2);
        let_others_run().await;
        assert_eq!(counted(), [2]);
        held.await.unwrap();
    });
    let held = runtime.block_on(poll_fn(|_| Poll::Ready(place.count(3))));
    runtime.block_on(let_others_run());
    assert_eq!(counted(), [3]);
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_handler_answers_later_has_its_time() {
    let service = RpcService::local();
    let place = start(&service, Place::default()).gateway::<dyn PlaceGateway>();
    for _ in 0..100 {
        let call = place.later();
        place.set_timer().await.unwrap();
        call.await.unwrap();
    }
    let begun = Instant::now();
    let late = place.later().timeout(Duration::from_secs(7)).await;
    assert!(matches!(late, Err(RpcError::Timeout { .. })), "{late:?}");
    let took = begun.elapsed().as_millis();
    assert!((7_000..7_010).contains(&took), "{took} ms");
}

#[tokio::test(start_paused = true)]
async fn a_timer_that_is_set_on_a_thread_that_is_lent_strikes() {
    let service = RpcService::local();
    let place = start(&service, Place::default()).gateway::<dyn PlaceGateway>();
    warm(|| place.set_timer()).await;
    tokio::time::advance(Duration::from_secs(2)).await;
    let call = place.later();
    place.set_timer().await.unwrap();
    let begun = Instant::now();
    assert_eq!(call.await, Ok(()));
    assert!(begun.elapsed() >= Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_panics_on_a_thread_that_is_lent_ends_the_endpoint_and_nobody_else() {
    let (place, stopped) = Place::watched();
    let service = RpcService::local();
    let server = start(&service, place);
    let place = server.gateway::<dyn PlaceGateway>();
    let calling = async move {
        warm(|| place.panic(false)).await;
        place.panic(true).await
    };
    let answer = tokio::spawn(calling).await.unwrap();
    assert!(
        matches!(answer, Err(RpcError::Panicked { .. })),
        "{answer:?}"
    );
    let ended = server.terminated().await;
    assert!(
        matches!(ended, Err(EndpointError::Panicked { .. })),
        "{ended:?}"
    );
    assert_eq!(stopped.try_recv(), Ok(0), "`on_stop` ran");
}

#[tokio::test(start_paused = true)]
async fn who_asks_again_and_again_lets_others_run() {
    let service = RpcService::local();
    let place = start(&service, Place::default()).gateway::<dyn PlaceGateway>();
    warm(|| place.brief()).await;
    let other = tokio::spawn(async {});
    let mut calls = 0;
    while !other.is_finished() && calls < 10_000 {
        place.brief().await.unwrap();
        calls += 1;
    }
    assert!(other.is_finished());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn those_who_ask_at_once_on_several_threads_are_each_answered_once() {
    const CALLS: u32 = 5_000;
    let service = RpcService::local();
    let server = start(&service, Place::default());
    let callers = (0..8).map(|caller| {
        let place = server.gateway::<dyn PlaceGateway>();
        tokio::spawn(async move {
            for call in 0..CALLS {
                match (call + caller) % 7 {
                    0 => place.tell(1),
                    1 => drop(place.interleaving(call % 5 == 0).await.unwrap()),
                    2 => drop(place.brief()),
                    _ => {
                        let calls = [(); 3].map(|()| place.brief());
                        futures_util::future::join_all(calls).await;
                        place.tell(1);
                    }
                }
            }
        })
    });
    futures_util::future::join_all(callers).await;
    let told = server.main_thread().call_async(|it, _| it.counted.len());
    let expected = (0..8).flat_map(|caller| (0..CALLS).map(move |call| (call + caller) % 7));
    let expected = expected.filter(|it| !matches!(it, 1 | 2)).count();
    assert_eq!(told.await, Ok(expected));
}
