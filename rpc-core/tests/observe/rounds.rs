//! What is counted and timed of many messages that are handled one after the other, which the recorder
//! is told of all at once.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use rpc_core::{
    Call, Context, MainThread, PanicPolicy, ReplyTo, RpcEndpoint, RpcResult, RpcServer, RpcService,
    gateways, rpc_endpoint, rpc_gateway,
};

use crate::book::Book;
use crate::pipes;

#[rpc_gateway]
trait BusyGateway {
    /// Takes so many nanoseconds.
    fn spend(&self, nanos: u64);
    /// Looks into the book.
    fn look(&self);
    fn ask(&self) -> Call<u32>;
    fn fail(&self) -> Call<()>;
    /// Answers when it is told to.
    fn keep(&self) -> Call<()>;
    /// Answers those that were kept.
    fn answer(&self);
    /// Takes so many nanoseconds after it has awaited something.
    fn think(&self, nanos: u64) -> Call<()>;
    /// Asks so many times that another takes some nanoseconds.
    fn order(&self, address: String, times: u32);
    fn end(&self);
}

#[derive(Default)]
struct Busy {
    book: Book,
    kept: Vec<ReplyTo<()>>,
    /// How many messages were told of whenever somebody looked.
    seen: Arc<Mutex<Vec<u64>>>,
}

impl RpcEndpoint for Busy {
    type Gateways = gateways![BusyGateway];

    const ON_PANIC: PanicPolicy = PanicPolicy::Continue;
}

#[rpc_endpoint(BusyGateway)]
impl Busy {
    fn spend(&mut self, nanos: u64) {
        pass(nanos);
    }

    fn look(&mut self) {
        let told = self.book.counter("rpc_calls_total a BusyGateway::look");
        self.seen.lock().unwrap().push(told);
    }

    fn ask(&mut self) -> RpcResult<u32> {
        Ok(7)
    }

    fn fail(&mut self) -> RpcResult<()> {
        panic!("on purpose")
    }

    fn keep(&mut self, reply: ReplyTo<()>) {
        self.kept.push(reply);
    }

    fn answer(&mut self) {
        self.kept.drain(..).for_each(|it| it.answer(Ok(())));
    }

    async fn think(_: MainThread<'_, Self>, nanos: u64) -> RpcResult<()> {
        tokio::task::yield_now().await;
        pass(nanos);
        Ok(())
    }

    fn order(&mut self, cx: &mut Context<Self>, address: String, times: u32) {
        let service = cx.service().unwrap();
        let other = service.connect::<dyn BusyGateway>(&address);
        let other = other.now_or_never().unwrap().unwrap();
        (0..times).for_each(|_| other.spend(1));
    }

    fn end(&mut self, cx: &mut Context<Self>) {
        cx.main_thread().terminate();
    }
}

/// Lets time pass, without giving way to anybody.
fn pass(nanos: u64) {
    let _waits = tokio::time::advance(Duration::from_nanos(nanos)).now_or_never();
}

fn busy(service: &RpcService, name: &str, book: &Book) -> RpcServer<Busy> {
    let busy = Busy {
        book: book.clone(),
        ..Busy::default()
    };
    let server = service.start_server(name, busy).unwrap();
    server.start();
    server
}

/// All that was told of a method: how many messages, how long their handlers took, how long they waited.
fn told(book: &Book, method: &str) -> (u64, Vec<f64>, Vec<f64>) {
    let of = |metric| format!("{metric} a BusyGateway::{method}");
    let calls = book.counter(&of("rpc_calls_total"));
    let mut handler = book.histogram(&of("rpc_handler_seconds"));
    let mut wait = book.histogram(&of("rpc_mailbox_wait_seconds"));
    handler.sort_by(f64::total_cmp);
    wait.sort_by(f64::total_cmp);
    (calls, handler, wait)
}

async fn settled(server: &RpcServer<Busy>) {
    server.main_thread().call_async(|_, _| ()).await.unwrap();
}

#[test]
fn the_recorder_is_told_at_the_end_of_each_round() {
    Book::keep(async |book| {
        let service = RpcService::local();
        let server = busy(&service, "a", book);
        let seen = server
            .main_thread()
            .call_async(|it, _| Arc::clone(&it.seen));
        let seen = seen.await.unwrap();
        let gateway = server.gateway::<dyn BusyGateway>();
        (0..150).for_each(|_| gateway.look());
        settled(&server).await;
        let rounds = [[0; 64], [64; 64], [128; 64]].concat();
        assert_eq!(*seen.lock().unwrap(), rounds[..150]);
        let (calls, handler, wait) = told(book, "look");
        assert_eq!((calls, handler.len(), wait.len()), (150, 150, 150));
    });
}

#[test]
fn a_long_handler_among_quick_ones_is_told_exactly() {
    Book::keep(async |book| {
        let service = RpcService::local();
        let server = busy(&service, "a", book);
        let gateway = server.gateway::<dyn BusyGateway>();
        let times = [200; 10].into_iter().chain([5_000_000]).chain([200; 10]);
        times.for_each(|it| gateway.spend(it));
        settled(&server).await;
        let (calls, handler, wait) = told(book, "spend");
        assert_eq!((calls, wait.len()), (21, 21));
        let (long, quick) = handler.split_last().unwrap();
        assert_eq!(*long, 0.005);
        assert_eq!(quick, [200e-9; 20]);
        // All that came after it have waited for it, but for those that were timed together with it.
        let waited = wait.iter().filter(|it| **it >= 0.005).count();
        assert!((8..=10).contains(&waited), "{wait:?}");
        let some = wait.iter().filter(|it| **it >= 0.001).count();
        assert!((10..=12).contains(&some), "{wait:?}");
    });
}

#[test]
fn handlers_that_are_not_quick_are_each_told_exactly() {
    Book::keep(async |book| {
        let service = RpcService::local();
        let server = busy(&service, "a", book);
        let gateway = server.gateway::<dyn BusyGateway>();
        (1..=20).for_each(|it| gateway.spend(20_000 + it));
        settled(&server).await;
        let (_, handler, wait) = told(book, "spend");
        let exact = (1..=20).map(|it| (20_000 + it) as f64 / 1e9);
        assert_eq!(handler, exact.collect::<Vec<_>>());
        let begun = (0..20).map(|it: u64| (20_000 * it + it * (it + 1) / 2) as f64 / 1e9);
        assert_eq!(wait, begun.collect::<Vec<_>>());
    });
}

#[test]
fn each_message_is_counted_however_its_handler_ends() {
    Book::keep(async |book| {
        let service = RpcService::local();
        let server = busy(&service, "a", book);
        let gateway = server.gateway::<dyn BusyGateway>();
        let mut calls = Vec::new();
        for turn in 0..40 {
            gateway.spend(100);
            calls.push(gateway.keep());
            calls.push(gateway.think(2_000_000));
            if turn % 3 == 0 {
                calls.push(gateway.fail());
            }
            gateway.spend(100);
        }
        gateway.answer();
        let failed = futures_util::future::join_all(calls).await;
        let failed = failed.into_iter().filter(Result::is_err).count();
        settled(&server).await;
        assert_eq!(failed, 14);
        for (method, count) in [("spend", 80), ("keep", 40), ("think", 40), ("fail", 14)] {
            let (calls, handler, wait) = told(book, method);
            assert_eq!(calls, count, "{method}");
            assert_eq!(handler.len() as u64, count, "{method}");
            assert_eq!(wait.len() as u64, count, "{method}");
        }
        let (_, think, _) = told(book, "think");
        assert!(think.iter().all(|it| *it >= 0.002), "{think:?}");
        let (_, spend, _) = told(book, "spend");
        assert_eq!(spend, [100e-9; 80]);
    });
}

#[test]
fn an_endpoint_that_ends_has_told_all() {
    Book::keep(async |book| {
        let service = RpcService::local();
        let server = busy(&service, "a", book);
        let gateway = server.gateway::<dyn BusyGateway>();
        (0..5).for_each(|_| gateway.spend(1));
        gateway.end();
        (0..5).for_each(|_| gateway.spend(1));
        server.terminated().await.unwrap();
        let (calls, handler, wait) = told(book, "spend");
        assert_eq!((calls, handler.len(), wait.len()), (10, 10, 10));
        assert_eq!(told(book, "end").0, 1);
        assert_eq!(book.gauge("rpc_mailbox_messages a"), 0.0);
    });
}

#[test]
fn the_mailbox_is_told_of_once_for_what_comes_in_one_turn() {
    Book::keep(async |book| {
        let service = RpcService::local();
        let (a, b) = (busy(&service, "a", book), busy(&service, "b", book));
        let gateway = a.gateway::<dyn BusyGateway>();
        gateway.order(String::from("b"), 5);
        settled(&a).await;
        settled(&b).await;
        let mut levels = book.levels("rpc_mailbox_messages b");
        levels.dedup();
        // At last that of the code that settles it.
        assert_eq!(levels, [0.0, 5.0, 0.0, 1.0, 0.0]);
    });
}

#[test]
fn responses_are_counted_whoever_sends_them() {
    Book::keep(async |book| {
        let (caller, callee) = (
            pipes::build(RpcService::builder()).await,
            pipes::build(RpcService::builder()).await,
        );
        let server = busy(&callee, "a", book);
        let address = server.address();
        let gateway = caller.connect::<dyn BusyGateway>(&address).await.unwrap();
        let asked = futures_util::future::join_all((0..70).map(|_| gateway.ask())).await;
        assert!(asked.iter().all(|it| *it == Ok(7)));
        let sizes =
            |method: &str| book.histogram(&format!("rpc_response_bytes a BusyGateway::{method}"));
        settled(&server).await;
        let asked = sizes("ask");
        assert_eq!(asked.len(), 70);
        assert!(asked.iter().all(|it| *it == asked[0] && *it > 0.0));
        // Of one that is not on the main thread.
        let kept = gateway.keep();
        assert_eq!(gateway.ask().await, Ok(7), "it came after that");
        let reply = server.main_thread().call_async(|it, _| it.kept.pop());
        let reply = reply.await.unwrap().unwrap();
        reply.answer(Ok(()));
        assert_eq!(sizes("keep").len(), 1, "it is told at once");
        assert_eq!(kept.await, Ok(()));
    });
}
