use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;

use super::{Deadlines, TICK};
use crate::call::{Call, Time, Waiting};
use crate::callee::Callee;
use crate::connection::Ask;
use crate::error::RpcError;
use crate::method::{CallTimeout, MethodInfo};
use crate::moment::Moment;
use crate::reply_slot::{Found, ReplySlot, Told};
use crate::scope::CallScope;

type Slot = Arc<ReplySlot<u32, crate::Never>>;

#[tokio::test(start_paused = true)]
async fn a_call_alone_ends_at_its_deadline() {
    let deadlines = Deadlines::default();
    let start = Instant::now();
    for ms in [100, 1, 30, 0] {
        let (call, slot) = call(&deadlines, Duration::from_millis(ms));
        let made = start.elapsed();
        let after = Duration::from_millis(ms);
        let method = String::from("wait");
        assert_eq!(call.await, Err(RpcError::Timeout { method, after }));
        assert_late(start.elapsed() - made, after);
        assert!(slot.is_abandoned());
        assert_eq!(deadlines.waiting().len(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn many_calls_end_in_the_order_of_their_deadlines() {
    let deadlines = Deadlines::default();
    let start = Instant::now();
    // 7 and 10,000 have no common factor: each deadline comes once, and none in order.
    let calls = (0..10_000_u64).map(|n| {
        let after = Duration::from_millis(n * 7 % 10_000 + 1);
        let (call, slot) = call(&deadlines, after);
        async move {
            assert!(call.await.is_err());
            drop(slot);
            after
        }
    });
    let mut calls: FuturesUnordered<_> = calls.collect();
    let mut before = Duration::ZERO;
    while let Some(after) = calls.next().await {
        assert_late(start.elapsed(), after);
        assert!(before < after, "{after:?} came after {before:?}");
        before = after;
    }
    assert_eq!(before, Duration::from_secs(10));
    assert_eq!(deadlines.waiting().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_earlier_deadline_wakes_the_sweeper_earlier() {
    let deadlines = Deadlines::default();
    let start = Instant::now();
    let (mut late, _slot) = call(&deadlines, Duration::from_secs(60));
    assert!(poll(&mut late).is_pending());
    tokio::time::advance(Duration::from_secs(1)).await;
    let (early, _slot) = call(&deadlines, Duration::from_secs(1));
    assert!(early.await.is_err());
    assert_late(start.elapsed(), Duration::from_secs(2));
    assert!(late.await.is_err());
    assert_late(start.elapsed(), Duration::from_secs(60));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_answered_or_dropped_leaves_nothing_behind() {
    let deadlines = Deadlines::default();
    let (mut answered, slot) = call(&deadlines, Duration::from_secs(1));
    let (mut dropped, _slot) = call(&deadlines, Duration::from_secs(1));
    let (mut detached, _slot) = call(&deadlines, Duration::from_secs(1));
    let (unpolled, _slot) = call(&deadlines, Duration::from_secs(1));
    for call in [&mut answered, &mut dropped, &mut detached] {
        assert!(poll(call).is_pending());
        assert!(poll(call).is_pending());
    }
    assert_eq!(deadlines.waiting().len(), 3);
    slot.fill(Ok(1));
    assert_eq!(answered.await, Ok(1));
    assert_eq!(deadlines.waiting().len(), 2);
    drop(dropped);
    assert_eq!(deadlines.waiting().len(), 1);
    detached.detach();
    drop(unpolled);
    assert_eq!(deadlines.waiting().len(), 0);
}

#[test]
fn who_waits_for_a_call_again_once_it_was_detached_is_woken() {
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    let cx = Context::from_waker(&waker);
    let (slot, mut told) = (ReplySlot::<u32, crate::Never>::new(), Told::default());
    assert!(matches!(slot.find(&cx, &mut told), Found::Waits));
    slot.detach(&mut told);
    // A task that is made later may have the memory, and so the waker, of one that has ended.
    assert!(matches!(slot.find(&cx, &mut told), Found::Waits));
    slot.fill(Ok(1));
    assert_eq!(woken.0.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn another_deadline_replaces_the_first() {
    let deadlines = Deadlines::default();
    let start = Instant::now();
    let (mut longer, _slot) = call(&deadlines, Duration::from_secs(1));
    let (mut shorter, _slot) = call(&deadlines, Duration::from_secs(1));
    let (mut endless, slot) = call(&deadlines, Duration::from_secs(1));
    for call in [&mut longer, &mut shorter, &mut endless] {
        assert!(poll(call).is_pending());
    }
    let longer = longer.timeout(Duration::from_secs(2));
    assert!(shorter.timeout(Duration::from_millis(100)).await.is_err());
    assert_late(start.elapsed(), Duration::from_millis(100));
    let mut endless = endless.without_timeout();
    assert!(poll(&mut endless).is_pending());
    assert!(longer.await.is_err());
    assert_late(start.elapsed(), Duration::from_secs(2));
    assert_eq!(
        deadlines.waiting().len(),
        1,
        "one without a deadline waits too"
    );
    assert!(poll(&mut endless).is_pending());
    slot.fill(Ok(1));
    assert_eq!(endless.await, Ok(1));
    assert_eq!(deadlines.waiting().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_time_begins_when_the_call_is_awaited_or_its_deadline_inherited() {
    let deadlines = Deadlines::default();
    let second = Duration::from_secs(1);
    let (awaited, _slot) = call(&deadlines, second);
    let (inherited, slot) = call(&deadlines, second);
    let (changed, _slot) = call(&deadlines, second);
    tokio::time::advance(5 * second).await;
    let changed = changed.timeout(3 * second);
    let start = Instant::now();
    assert_eq!(slot.begin().deadline(), Moment::of(start + second));
    tokio::time::advance(second / 2).await;
    assert!(inherited.await.is_err());
    assert_late(start.elapsed(), second);
    let late = Instant::now();
    assert!(awaited.await.is_err());
    assert_late(late.elapsed(), second);
    assert!(changed.await.is_err());
    assert_late(start.elapsed(), 3 * second);
}

#[tokio::test(start_paused = true)]
async fn a_place_that_is_used_again_after_a_sweep_is_looked_at_again() {
    let deadlines = Deadlines::default();
    let second = Duration::from_secs(1);
    let (mut first, slot) = call(&deadlines, second);
    assert!(poll(&mut first).is_pending());
    slot.fill(Ok(1));
    let place = Arc::as_ptr(&slot);
    drop(slot);
    assert_eq!(first.await, Ok(1));
    // The sweeper finds nobody, and sleeps.
    tokio::time::advance(5 * second).await;
    tokio::task::yield_now().await;
    let (next, slot) = call(&deadlines, second);
    assert_eq!(Arc::as_ptr(&slot), place, "it is used again");
    let start = Instant::now();
    let ended = tokio::time::timeout(9 * second, next).await;
    assert!(ended.expect("it ends").is_err());
    assert_late(start.elapsed(), second);
}

#[tokio::test(start_paused = true)]
async fn a_place_whose_call_has_timed_out_serves_the_next() {
    let deadlines = Deadlines::default();
    let second = Duration::from_secs(1);
    let (first, slot) = call(&deadlines, second);
    let place = Arc::as_ptr(&slot);
    drop(slot);
    assert!(first.await.is_err());
    for _ in 0..2 {
        let (next, slot) = call(&deadlines, second);
        assert_eq!(Arc::as_ptr(&slot), place, "it is used again");
        assert!(!slot.is_abandoned());
        let start = Instant::now();
        drop(slot);
        assert!(next.await.is_err());
        assert_late(start.elapsed(), second);
    }
    let (answered, slot) = call(&deadlines, second);
    slot.fill(Ok(1));
    assert_eq!(answered.await, Ok(1));
}

#[tokio::test(start_paused = true)]
async fn places_that_nobody_uses_any_more_are_forgotten() {
    let deadlines = Deadlines::default();
    let calls: Vec<_> = (0..5_000)
        .map(|_| call(&deadlines, Duration::from_millis(20)))
        .collect();
    let listed = || deadlines.shard().slots.lock().list.len();
    assert_eq!(listed(), 5_000);
    for (call, slot) in calls {
        drop(slot);
        assert!(call.await.is_err());
    }
    // The next sweep finds only those that are kept for further calls.
    let (last, _slot) = call(&deadlines, Duration::from_secs(1));
    assert!(last.await.is_err());
    assert!(listed() <= 1_024, "{}", listed());
}

#[test]
fn a_call_that_panics_for_want_of_a_clock_harms_no_other() {
    let deadlines = Deadlines::default();
    let (timeless, _slot) = call(&deadlines, Duration::from_millis(100));
    let bare = Builder::new_current_thread().build().unwrap();
    let awaiting = AssertUnwindSafe(|| bare.block_on(timeless));
    assert!(catch_unwind(awaiting).is_err());
    runtime().block_on(async {
        let (call, _slot) = call(&deadlines, Duration::from_millis(300));
        assert!(call.await.is_err(), "it ends");
    });
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_with_the_deadline_is_not_lost() {
    let deadlines = Deadlines::default();
    let (mut call, slot) = call(&deadlines, Duration::ZERO);
    slot.fill(Ok(1));
    assert_eq!(poll(&mut call), Poll::Ready(Ok(1)));
}

#[tokio::test(start_paused = true)]
async fn the_task_that_polled_last_is_woken() {
    let deadlines = Deadlines::default();
    let (mut call, _slot) = call(&deadlines, Duration::from_secs(1));
    assert!(poll(&mut call).is_pending());
    let call = tokio::spawn(call);
    assert!(call.await.unwrap().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_gone_keeps_nobody() {
    for outlives in [false, true] {
        let deadlines = Deadlines::default();
        let caller = Arc::new(Nobody);
        let waker = Waker::from(Arc::clone(&caller));
        let mut cx = Context::from_waker(&waker);
        let (mut call, slot) = call(&deadlines, Duration::from_secs(1));
        assert!(Pin::new(&mut call).poll(&mut cx).is_pending());
        let deadlines = outlives.then_some(deadlines);
        slot.fill(Ok(1));
        drop(slot);
        assert!(Pin::new(&mut call).poll(&mut cx).is_ready());
        drop(call);
        drop(deadlines);
        drop(waker);
        assert_eq!(Arc::strong_count(&caller), 1, "outlives: {outlives}");
    }
}

/// Counts how often it is woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

struct Nobody;

impl Wake for Nobody {
    fn wake(self: Arc<Self>) {}
}

#[tokio::test(start_paused = true)]
async fn a_call_that_outlives_its_service_still_ends() {
    let deadlines = Deadlines::default();
    let (call, _slot) = call(&deadlines, Duration::from_secs(1));
    drop(deadlines);
    assert!(call.await.is_err());
    // The sweeper ends when nobody waits.
    tokio::task::yield_now().await;
    assert_eq!(
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks(),
        0
    );
}

#[test]
fn a_call_ends_though_the_runtime_of_the_sweeper_is_gone() {
    let deadlines = Deadlines::default();
    let (first, second) = (runtime(), runtime());
    let (mut starts, _slot) = first.block_on(async { call(&deadlines, Duration::from_secs(9)) });
    first.block_on(async { assert!(poll(&mut starts).is_pending()) });
    second.block_on(async {
        let start = Instant::now();
        let (call, _slot) = call(&deadlines, Duration::from_secs(1));
        let waits = tokio::spawn(call);
        tokio::task::yield_now().await;
        first.shutdown_background();
        assert!(waits.await.unwrap().is_err());
        assert_late(start.elapsed(), Duration::from_secs(1));
    });
}

#[test]
fn calls_of_several_threads_end() {
    let deadlines = Arc::new(Deadlines::default());
    let runtime = Builder::new_multi_thread()
        .worker_threads(4)
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let tasks = (0..400).map(|n| {
            let deadlines = Arc::clone(&deadlines);
            tokio::spawn(async move {
                let (call, slot) = call(&deadlines, Duration::from_millis(n % 20 + 1));
                let answerer = (n % 2 == 0).then(|| tokio::spawn(async move { slot.fill(Ok(1)) }));
                let result = call.await;
                if let Some(answerer) = answerer {
                    answerer.await.unwrap();
                } else {
                    assert!(result.is_err());
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
    });
    assert_eq!(deadlines.waiting().len(), 0);
}

/// Checks that it was not too early, and at most a tick (and the millisecond to which timers are
/// rounded) too late.
#[track_caller]
fn assert_late(elapsed: Duration, deadline: Duration) {
    let at_most = deadline + TICK + Duration::from_millis(1);
    assert!(
        (deadline..=at_most).contains(&elapsed),
        "{elapsed:?} is not {deadline:?}"
    );
}

fn call(deadlines: &Deadlines, after: Duration) -> (Call<u32>, Slot) {
    let time = Time::new(CallTimeout::After(after), Duration::MAX);
    let address = "tests".parse().unwrap();
    let ask = Ask {
        method: 0,
        info: &WAIT,
        token: None,
        trace: None,
    };
    let callee = Arc::new(Callee::new(address, 0, None));
    let waiting = Waiting::begin(deadlines, &callee, &ask, &time);
    let slot = Arc::clone(waiting.slot());
    (Call::waiting(waiting), slot)
}

fn poll(call: &mut Call<u32>) -> Poll<crate::RpcResult<u32>> {
    Pin::new(call).poll(&mut Context::from_waker(Waker::noop()))
}

fn runtime() -> Runtime {
    Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
}

static WAIT: MethodInfo = MethodInfo::internal("wait", CallTimeout::Default);
