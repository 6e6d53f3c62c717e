//! Code that runs later on a main thread. The clock is paused: it goes on when nothing else can.

use std::time::Duration;

use rpc_core::{
    BoxError, Call, Context, MainThread, RpcEndpoint, RpcResult, RpcServer, RpcService,
    TimerHandle, gateways, rpc_endpoint, rpc_gateway,
};
use tokio::time::{Instant, advance};

#[rpc_gateway]
pub(crate) trait LogGateway {
    fn entries(&self) -> Call<Vec<String>>;
}

#[derive(Default)]
struct Log {
    entries: Vec<String>,
    timer: Option<TimerHandle>,
    /// What scheduling something in `on_stop` gave.
    stopped: Option<tokio::sync::oneshot::Sender<TimerHandle>>,
}

impl RpcEndpoint for Log {
    type Gateways = gateways![LogGateway];

    async fn on_stop(main: MainThread<'_, Self>) -> Result<(), BoxError> {
        main.run(|log, cx| {
            let late = cx.schedule(Duration::ZERO, |log, _| log.entries.push("late".into()));
            if let Some(stopped) = log.stopped.take() {
                let _ = stopped.send(late);
            }
        });
        Ok(())
    }
}

#[rpc_endpoint(LogGateway)]
impl Log {
    fn entries(&mut self) -> RpcResult<Vec<String>> {
        Ok(self.entries.clone())
    }
}

fn started(service: &RpcService) -> RpcServer<Log> {
    let server = service.start_server("log", Log::default()).unwrap();
    server.start();
    server
}

async fn entries(server: &RpcServer<Log>) -> Vec<String> {
    server.gateway::<dyn LogGateway>().entries().await.unwrap()
}

const TICK: Duration = Duration::from_millis(10);
const TICKS_MAX: usize = 10_000;

/// A delay is a `Duration`, whatever its unit, and a value is sent to whoever wants it.
// Flink: RpcEndpointTest#testScheduleRunnableWithDelayInMilliseconds,
// #testScheduleRunnableWithDelayInSeconds, #testScheduleCallableWithDelayInMilliseconds,
// #testScheduleCallableWithDelayInSeconds, PekkoRpcActorTest#testScheduling,
// AsyncCallsTest#testScheduleWithDelay, MainScheduledExecutorTest#testScheduleRunnable,
// #testScheduleCallable, RpcEndpointMainThreadExecutorTest#testScheduleRunAsync
#[tokio::test(start_paused = true)]
async fn code_runs_when_its_time_has_come_and_not_before() {
    let service = RpcService::local();
    let server = started(&service);
    for delay in [TICK, Duration::from_secs(3), Duration::ZERO] {
        let start = Instant::now();
        let (done, ran) = tokio::sync::oneshot::channel();
        let set = server
            .main_thread()
            .schedule_run_async(delay, move |_, cx| {
                cx.main_thread().assert_running_in_main_thread();
                done.send(Instant::now()).unwrap();
            });
        set.await.unwrap();
        assert_eq!(ran.await, Ok(start + delay));
    }
}

#[tokio::test(start_paused = true)]
async fn code_recurs_until_it_is_cancelled_by_itself_too() {
    let service = RpcService::local();
    let server = started(&service);
    let set = server.main_thread().call_async(|log, cx| {
        log.timer = Some(cx.schedule_every(TICK, |log, _| {
            log.entries.push("tick".into());
            if log.entries.len() == 3
                && let Some(timer) = &log.timer
            {
                timer.cancel();
            }
        }));
    });
    set.await.unwrap();
    for _ in 0..10 {
        advance(TICK).await;
        entries(&server).await;
    }
    assert_eq!(entries(&server).await, ["tick"; 3]);
}

// Flink: RpcEndpointTest#testCancelScheduledRunnable, #testCancelScheduledCallable
#[tokio::test(start_paused = true)]
async fn a_cancelled_timer_does_not_run() {
    let service = RpcService::local();
    let server = started(&service);
    let set = server
        .main_thread()
        .schedule_run_async(TICK, |log, _| log.entries.push("no".into()));
    let timer = set.await.unwrap();
    timer.cancel();
    assert!(timer.is_cancelled());
    advance(2 * TICK).await;
    assert!(entries(&server).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn to_cancel_a_timer_that_never_elapses_leaves_the_others() {
    let service = RpcService::local();
    let server = started(&service);
    let (ran, runs) = tokio::sync::oneshot::channel();
    let set = server.main_thread().call_async(|_, cx| {
        let never = cx.schedule(Duration::MAX, |_, _| unreachable!());
        cx.schedule(TICK, |_, _| ran.send(()).unwrap());
        never
    });
    let never = set.await.unwrap();
    assert!(!never.is_cancelled());
    never.cancel();
    assert!(never.is_cancelled());
    assert_eq!(runs.await, Ok(()));
}

/// In Flink the future never completes; here the handle says so.
// Flink: RpcEndpointTest#testScheduleRunnableAfterClose, #testScheduleCallableAfterClose
#[tokio::test(start_paused = true)]
async fn an_endpoint_that_stops_schedules_nothing() {
    let service = RpcService::local();
    let (stopped, late) = tokio::sync::oneshot::channel();
    let log = Log {
        stopped: Some(stopped),
        ..Log::default()
    };
    let server = service.start_server("log", log).unwrap();
    server.start();
    server.close().await.unwrap();
    assert!(late.await.unwrap().is_cancelled());
}

/// A recurring timer is due while something else runs on the main thread, which cancels it.
// Flink: RpcEndpointMainThreadExecutorTest#testScheduleAtFixedRateWithCancellationAfterScheduled,
// #testScheduleWithFixedDelayWithCancellationAfterScheduled
#[tokio::test(start_paused = true)]
async fn a_timer_that_is_cancelled_when_it_is_due_does_not_run() {
    let service = RpcService::local();
    let server = started(&service);
    for cancels in [true, false] {
        let set = server
            .main_thread()
            .call_async(|_, cx| cx.schedule_every(TICK, |log, _| log.entries.push("tick".into())));
        let timer = set.await.unwrap();
        // Posted before the clock goes on, it is handled first.
        server.main_thread().run_async(move |_, _| {
            if cancels {
                timer.cancel();
            }
        });
        advance(2 * TICK).await;
        assert_eq!(entries(&server).await.is_empty(), cancels);
    }
}

/// A timer that sets itself again for the time that it is.
fn tick(log: &mut Log, cx: &mut Context<Log>) {
    log.entries.push("tick".into());
    if log.entries.len() < TICKS_MAX {
        cx.schedule(Duration::ZERO, tick);
    }
}

#[tokio::test(start_paused = true)]
async fn messages_do_not_wait_for_a_timer_that_is_always_due() {
    let service = RpcService::local();
    let server = started(&service);
    let main = server.main_thread();
    let (ran, runs) = tokio::sync::oneshot::channel();
    main.run_async(move |_, cx| {
        cx.schedule(Duration::ZERO, |log, cx| {
            let counts = |log: &mut Log, _: &mut Context<Log>| ran.send(log.entries.len()).unwrap();
            cx.main_thread().run_async(counts);
            tick(log, cx);
        });
    });
    let ticks = runs.await.unwrap();
    assert!(ticks < TICKS_MAX, "{ticks}");
}

/// More timers are due at once than are run before messages are handled again.
#[tokio::test(start_paused = true)]
async fn all_timers_run_that_are_due_at_once() {
    let service = RpcService::local();
    let server = started(&service);
    let (ran, mut runs) = tokio::sync::mpsc::channel(TICKS_MAX);
    server.main_thread().run_async(move |_, cx| {
        for _ in 0..TICKS_MAX {
            let ran = ran.clone();
            cx.schedule(TICK, move |_, _| ran.try_send(()).unwrap());
        }
    });
    let mut count = 0;
    let start = Instant::now();
    while runs.recv().await.is_some() {
        count += 1;
    }
    assert_eq!(count, TICKS_MAX);
    assert_eq!(start.elapsed(), TICK);
}

#[tokio::test(start_paused = true)]
async fn a_continuation_comes_back_to_the_main_thread() {
    let service = RpcService::local();
    let server = started(&service);
    let (answer, question) = tokio::sync::oneshot::channel::<String>();
    server.main_thread().run_async(|_, cx: &mut Context<Log>| {
        cx.pipe(question, |log, cx, answer| {
            cx.main_thread().assert_running_in_main_thread();
            log.entries.push(answer.unwrap());
        });
    });
    assert!(entries(&server).await.is_empty());
    answer.send("answer".into()).unwrap();
    tokio::task::yield_now().await;
    assert_eq!(entries(&server).await, ["answer"]);
}
