//! Code that runs beside the endpoints. The clock is paused: it goes on when nothing else can.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use parking_lot::Mutex;
use rpc_core::{RpcService, ScheduledTask, TaskError};
use tokio::sync::mpsc;
use tokio::time::{Instant, advance};

const TICK: Duration = Duration::from_millis(10);

// Flink: PekkoRpcServiceTest#testExecuteRunnable, AkkaRpcServiceTest#testExecuteCallable
#[tokio::test]
async fn what_is_executed_has_a_result() {
    let executor = RpcService::local().executor();
    // The service above is gone, and what runs nothing any more says so.
    assert_eq!(executor.execute(|| 42).await, Err(TaskError::Cancelled));

    let service = RpcService::local();
    let executor = service.executor();
    let task = executor.execute(|| 42);
    assert!(!task.is_done());
    assert_eq!(task.await, Ok(42));
    // A panic is that of its task only.
    let panics: ScheduledTask<()> = executor.execute(|| panic!("as it was asked to"));
    assert_eq!(panics.await, Err(TaskError::Panicked));
    assert_eq!(executor.execute(|| "next").await, Ok("next"));
}

// Flink: PekkoRpcServiceTest#testScheduleRunnable, #testScheduledExecutorServiceSimpleSchedule
#[tokio::test(start_paused = true)]
async fn what_is_scheduled_runs_when_its_time_has_come_and_not_before() {
    let service = RpcService::local();
    let start = Instant::now();
    let mut task = service.executor().schedule(TICK, Instant::now);
    advance(TICK - Duration::from_millis(1)).await;
    assert!((&mut task).now_or_never().is_none());
    assert!(!task.is_done());
    assert_eq!(task.await, Ok(start + TICK));
}

// Flink: PekkoRpcServiceTest#testScheduledExecutorServicePeriodicSchedule
#[tokio::test(start_paused = true)]
async fn a_fixed_rate_is_kept_by_late_runs_too() {
    let service = RpcService::local();
    let executor = service.executor();
    let (task, mut runs) =
        runs_each_tick(|run| executor.schedule_at_fixed_rate(2 * TICK, TICK, run)).await;
    // Runs that a busy runtime has missed are made up for.
    advance(3 * TICK).await;
    let late = Some(Instant::now());
    for _ in 0..3 {
        assert_eq!(runs.recv().await, late);
    }
    assert_eq!(runs.recv().await, late.map(|it| it + TICK));
    task.cancel();
    assert_eq!(task.await, Err(TaskError::Cancelled));
    // What it held is dropped.
    assert_eq!(runs.recv().await, None);
}

// Flink: PekkoRpcServiceTest#testScheduledExecutorServiceWithFixedDelaySchedule
#[tokio::test(start_paused = true)]
async fn a_fixed_delay_begins_when_a_run_ends() {
    let service = RpcService::local();
    let executor = service.executor();
    let (_task, mut runs) =
        runs_each_tick(|run| executor.schedule_with_fixed_delay(2 * TICK, TICK, run)).await;
    // Runs that a busy runtime has missed are not made up for.
    advance(3 * TICK).await;
    let late = Some(Instant::now());
    assert_eq!(runs.recv().await, late);
    assert_eq!(runs.recv().await, late.map(|it| it + TICK));
}

// Flink: PekkoRpcServiceTest#testScheduledExecutorServiceCancelWithFixedDelay
#[tokio::test(start_paused = true)]
async fn a_run_that_cancels_its_series_is_the_last() {
    let service = RpcService::local();
    let executor = service.executor();
    for fixed_rate in [false, true] {
        let (ran, mut runs) = mpsc::channel(16);
        let task: Arc<Mutex<Option<ScheduledTask<()>>>> = Arc::default();
        let own = Arc::clone(&task);
        let mut count = 0;
        let run = move || {
            ran.try_send(()).unwrap();
            count += 1;
            if count == 3 {
                let own = own.lock().take().unwrap();
                own.cancel();
                assert!(own.is_done());
            }
        };
        *task.lock() = Some(match fixed_rate {
            true => executor.schedule_at_fixed_rate(TICK, TICK, run),
            false => executor.schedule_with_fixed_delay(TICK, TICK, run),
        });
        // The end of the channel is the end of the series.
        let mut count = 0;
        while runs.recv().await.is_some() {
            count += 1;
        }
        assert_eq!(count, 3);
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_panics_is_the_last() {
    let service = RpcService::local();
    let executor = service.executor();
    let runs = Arc::new(AtomicU32::new(0));
    for fixed_rate in [false, true] {
        runs.store(0, Ordering::Relaxed);
        let count = Arc::clone(&runs);
        let run = move || {
            let run = count.fetch_add(1, Ordering::Relaxed);
            assert!(run < 2, "as it was asked to");
        };
        let task = match fixed_rate {
            true => executor.schedule_at_fixed_rate(TICK, TICK, run),
            false => executor.schedule_with_fixed_delay(TICK, TICK, run),
        };
        assert_eq!(task.await, Err(TaskError::Panicked));
        advance(4 * TICK).await;
        assert_eq!(runs.load(Ordering::Relaxed), 3);
    }
}

// Flink: ScheduledFutureAdapterTest#testForwardedMethods
#[tokio::test(start_paused = true)]
async fn what_is_cancelled_does_not_run() {
    let service = RpcService::local();
    let runs = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&runs);
    let task = service.executor().schedule(TICK, move || {
        count.fetch_add(1, Ordering::Relaxed);
    });
    assert!(!task.is_done());
    task.cancel();
    assert!(task.is_done());
    assert_eq!(task.await, Err(TaskError::Cancelled));
    advance(2 * TICK).await;
    tokio::task::yield_now().await;
    assert_eq!(runs.load(Ordering::Relaxed), 0);
    // What is over is not cancelled any more.
    let task = service.executor().schedule(TICK, || 42);
    advance(2 * TICK).await;
    tokio::task::yield_now().await;
    assert!(task.is_done());
    task.cancel();
    assert_eq!(task.await, Ok(42));
}

/// In Flink a branch of it gives a future that throws.
// Flink: MainScheduledExecutorTest#testScheduleRunnableAfterClose, #testScheduleCallableAfterClose
#[tokio::test(start_paused = true)]
async fn a_service_that_closes_cancels_what_has_not_run() {
    let service = RpcService::local();
    let executor = service.executor();
    let waits = executor.schedule(TICK, || 42);
    let recurs = executor.schedule_at_fixed_rate(TICK, TICK, || ());
    service.close().await.unwrap();
    assert_eq!(waits.await, Err(TaskError::Cancelled));
    assert_eq!(recurs.await, Err(TaskError::Cancelled));
    let late = executor.schedule(TICK, || 42);
    assert!(late.is_done());
    assert_eq!(late.await, Err(TaskError::Cancelled));
    assert_eq!(executor.execute(|| 42).await, Err(TaskError::Cancelled));
}

/// Waits for some runs of work that is to run after two ticks, and then at each; returns with the
/// work the times of its further runs.
async fn runs_each_tick(
    schedule: impl FnOnce(Box<dyn FnMut() + Send>) -> ScheduledTask<()>,
) -> (ScheduledTask<()>, mpsc::Receiver<Instant>) {
    let (ran, mut runs) = mpsc::channel(16);
    let start = Instant::now();
    let task = schedule(Box::new(move || ran.try_send(Instant::now()).unwrap()));
    for number in 2..6 {
        assert_eq!(runs.recv().await, Some(start + number * TICK));
        assert!(!task.is_done());
    }
    (task, runs)
}
