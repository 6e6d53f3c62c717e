//! In which tracing span code runs: where Flink sets its class loader and its logging context.

use std::fmt::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rpc_core::{
    BoxError, Call, Context, MainThread, RpcEndpoint, RpcResult, RpcServer, RpcService, TaskError,
    gateways, rpc_endpoint, rpc_gateway,
};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Instrument, Level, Subscriber, info, info_span};
use tracing_subscriber::layer::{self, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

#[rpc_gateway]
pub(crate) trait LoudGateway {
    fn speak(&self) -> Call<()>;
    fn tell(&self);
    fn think(&self) -> Call<()>;
}

/// Tells of everything that it does.
struct Loud;

impl RpcEndpoint for Loud {
    type Gateways = gateways![LoudGateway];

    fn on_start(&mut self, _cx: &mut Context<Self>) -> Result<(), BoxError> {
        info!("on_start");
        Ok(())
    }

    async fn on_stop(_main: MainThread<'_, Self>) -> Result<(), BoxError> {
        tokio::task::yield_now().await;
        info!("on_stop");
        Ok(())
    }
}

impl Drop for Loud {
    fn drop(&mut self) {
        info!("dropped");
    }
}

#[rpc_endpoint(LoudGateway)]
impl Loud {
    fn speak(&mut self) -> RpcResult<()> {
        info!("speak");
        Ok(())
    }

    fn tell(&mut self) {
        info!("tell");
    }

    async fn think(_main: MainThread<'_, Self>) -> RpcResult<()> {
        tokio::task::yield_now().await;
        info!("think");
        Ok(())
    }
}

fn start(service: &RpcService) -> RpcServer<Loud> {
    let server = service.start_server("loud", Loud).unwrap();
    server.start();
    server
}

// Flink: ContextClassLoadingSettingTest#testRpcActor_OnStartCalledWithFlinkContextClassLoader,
// #testRpcActor_OnStopCalledWithFlinkContextClassLoader,
// #testRpcActor_CallAsyncCalledWithFlinkContextClassLoader,
// #testRpcActor_RunAsyncCalledWithFlinkContextClassLoader,
// #testRpcActor_RPCReturningVoidCalledWithFlinkContextClassLoader,
// #testRpcActor_RPCCalledWithFlinkContextClassLoader
#[tokio::test]
async fn an_endpoints_code_runs_in_the_endpoints_span() {
    let (recorder, _recording) = recorded();
    let service = RpcService::local();
    let talking = async {
        let server = start(&service);
        let gateway = server.gateway::<dyn LoudGateway>();
        gateway.tell();
        gateway.think().await.unwrap();
        gateway.speak().await.unwrap();
        let main = server.main_thread();
        main.run_async(|_, _| info!("run_async"));
        main.call_async(|_, _| info!("call_async")).await.unwrap();
        service.close().await.unwrap();
    };
    talking.instrument(info_span!("caller")).await;
    let told = [
        "on_start",
        "tell",
        "think",
        "speak",
        "run_async",
        "call_async",
        "on_stop",
        "dropped",
    ];
    let expected = told.map(|it| format!("endpoint name=loud: {it}"));
    assert_eq!(*recorder.0.lock().unwrap(), expected);
}

#[tokio::test(start_paused = true)]
async fn code_that_runs_on_a_callers_thread_runs_in_the_endpoints_span() {
    let (recorder, _recording) = recorded();
    let service = RpcService::local();
    let talking = async {
        let server = start(&service);
        let gateway = server.gateway::<dyn LoudGateway>();
        for _ in 0..100 {
            gateway.speak().await.unwrap();
        }
        info!("listens");
    };
    talking.instrument(info_span!("caller")).await;
    let events = recorder.0.lock().unwrap();
    let last = events.iter().rev().take(2).map(String::as_str);
    assert_eq!(
        Vec::from_iter(last),
        ["caller: listens", "endpoint name=loud: speak"]
    );
}

#[tokio::test]
async fn an_endpoint_that_is_aborted_is_dropped_in_its_span() {
    for starts in [false, true] {
        let (recorder, _recording) = recorded();
        let service = RpcService::local();
        let server = service.start_server("loud", Loud).unwrap();
        if starts {
            server.start();
            let gateway = server.gateway::<dyn LoudGateway>();
            gateway.speak().await.unwrap();
        }
        service.abort();
        assert!(server.terminated().await.is_err());
        let events = recorder.0.lock().unwrap();
        let last = events.last().map(String::as_str);
        assert_eq!(last, Some("endpoint name=loud: dropped"));
    }
}

// Flink: ContextClassLoadingSettingTest#testRpcService_ConnectFutureCompletedWithFlinkContextClassLoader,
// #testRpcService_TerminationFutureCompletedWithFlinkContextClassLoader,
// #testRpcInvocationHandler_RPCFutureCompletedWithFlinkContextClassLoader,
// #testSupervisorActor_TerminationFutureCompletedWithFlinkContextClassLoader
#[tokio::test]
async fn whoever_waits_goes_on_in_its_own_span() {
    let (recorder, _recording) = recorded();
    let service = RpcService::local();
    let waiting = async {
        let server = start(&service);
        let gateway = service.connect::<dyn LoudGateway>("loud").await.unwrap();
        info!("connected");
        gateway.think().await.unwrap();
        info!("answered");
        server.close().await.unwrap();
        info!("ended");
        service.close().await.unwrap();
        info!("closed");
    };
    waiting.instrument(info_span!("caller")).await;
    let mut events = recorder.0.lock().unwrap();
    events.retain(|it| !it.starts_with("endpoint "));
    let expected = ["connected", "answered", "ended", "closed"];
    assert_eq!(*events, expected.map(|it| format!("caller: {it}")));
}

// Flink: ContextClassLoadingSettingTest#testRpcService_ExecuteRunnableSetsFlinkContextClassLoader,
// #testRpcService_ScheduleCallableSetsFlinkContextClassLoader,
// #testRpcService_ScheduleRunnableSetsFlinkContextClassLoader,
// #testRpcService_ScheduleRunnableWithFixedRateSetsFlinkContextClassLoader,
// #testRpcService_ScheduleRunnableWithFixedDelaySetsFlinkContextClassLoader
#[tokio::test(start_paused = true)]
async fn what_is_executed_runs_in_the_span_of_whoever_handed_it_in() {
    const TICK: Duration = Duration::from_millis(10);
    let (recorder, _recording) = recorded();
    let service = RpcService::local();
    let executor = service.executor();
    let caller = info_span!("caller");
    let thrice = |text: &'static str| {
        let mut runs = 0;
        move || {
            info!("{text}");
            runs += 1;
            assert!(runs < 3, "as it was asked to");
        }
    };
    let (executed, scheduled, rate, delay) = caller.in_scope(|| {
        (
            executor.execute(|| info!("execute")),
            executor.schedule(TICK, || info!("schedule")),
            executor.schedule_at_fixed_rate(2 * TICK, TICK, thrice("rate")),
            executor.schedule_with_fixed_delay(5 * TICK, TICK, thrice("delay")),
        )
    });
    assert_eq!(executed.await, Ok(()));
    assert_eq!(scheduled.await, Ok(()));
    assert_eq!(rate.await, Err(TaskError::Panicked));
    assert_eq!(delay.await, Err(TaskError::Panicked));
    let told = [
        "execute", "schedule", "rate", "rate", "rate", "delay", "delay", "delay",
    ];
    let expected = told.map(|it| format!("caller: {it}"));
    assert_eq!(*recorder.0.lock().unwrap(), expected);
}

/// Remembers what is logged, each with the span that it is logged in.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Vec<String>>>);

/// Records what the tests of this thread log from now on.
fn recorded() -> (Recorder, DefaultGuard) {
    let recorder = Recorder::default();
    let subscriber = tracing_subscriber::registry().with(recorder.clone());
    (recorder, tracing::subscriber::set_default(subscriber))
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Recorder {
    fn on_new_span(&self, span: &Attributes<'_>, id: &Id, cx: layer::Context<'_, S>) {
        let mut text = Text(span.metadata().name().to_owned());
        span.record(&mut text);
        cx.span(id).unwrap().extensions_mut().insert(text);
    }

    fn on_event(&self, event: &Event<'_>, cx: layer::Context<'_, S>) {
        if *event.metadata().level() != Level::INFO {
            return;
        }
        // The outermost: a call may have a span of its own within the endpoint's.
        let span = cx.event_scope(event).and_then(|it| it.from_root().next());
        let span = span.map_or_else(
            || String::from("no span"),
            |it| it.extensions().get::<Text>().unwrap().0.clone(),
        );
        let mut text = Text(span + ":");
        event.record(&mut text);
        self.0.lock().unwrap().push(text.0);
    }
}

/// A span or an event in words.
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => write!(self.0, " {value:?}").unwrap(),
            name => write!(self.0, " {name}={value:?}").unwrap(),
        }
    }
}
