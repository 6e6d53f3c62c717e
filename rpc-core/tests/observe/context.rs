//! All that a service runs, it runs in the span in which it was made: what Flink's context class
//! loader is to its code.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use rpc_core::{
    BoxError, Call, Context, MainThread, RpcEndpoint, RpcResult, RpcServer, RpcService, gateways,
    rpc_endpoint, rpc_gateway,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tokio::sync::Notify;
use tracing::{Instrument, info_span};

use crate::log::{Log, pass_time, seen};
use crate::pipes;

#[rpc_gateway]
trait EdgesGateway {
    fn one_way(&self);
    fn ask(&self, value: Decoded) -> Call<Decoded>;
    fn wait(&self) -> Call<()>;
}

/// Tells where it is decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Decoded(bool);

impl Serialize for Decoded {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Decoded {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let is_answer = bool::deserialize(deserializer)?;
        seen(if is_answer {
            "answer decoded"
        } else {
            "request decoded"
        });
        Ok(Self(is_answer))
    }
}

#[derive(Default)]
struct Edges(Arc<Notify>);

impl RpcEndpoint for Edges {
    type Gateways = gateways![EdgesGateway];

    fn on_start(&mut self, cx: &mut Context<Self>) -> Result<(), BoxError> {
        seen("on_start");
        let ready = std::future::ready(()).inspect(|()| seen("piped future"));
        cx.pipe(ready, |_, _, ()| seen("continuation"));
        Ok(())
    }

    async fn on_stop(_: MainThread<'_, Self>) -> Result<(), BoxError> {
        seen("on_stop");
        tokio::task::yield_now().await;
        seen("on_stop");
        Ok(())
    }
}

impl Drop for Edges {
    fn drop(&mut self) {
        seen("endpoint dropped");
    }
}

#[rpc_endpoint(EdgesGateway)]
impl Edges {
    fn one_way(&mut self) {
        seen("one_way");
    }

    fn ask(&mut self, _value: Decoded) -> RpcResult<Decoded> {
        seen("ask");
        Ok(Decoded(true))
    }

    async fn wait(main: MainThread<'_, Self>) -> RpcResult<()> {
        seen("wait");
        let gate = main.run(|edges, _| Arc::clone(&edges.0));
        gate.notified().await;
        seen("wait");
        Ok(())
    }
}

/// A service that is made in a span, and is used in another.
async fn service() -> RpcService {
    let span = info_span!("service");
    let building = pipes::build(RpcService::builder());
    building.instrument(span).await
}

fn start(service: &RpcService) -> RpcServer<Edges> {
    let server = service.start_server("edges", Edges::default()).unwrap();
    server.start();
    server
}

/// Waits until the endpoint has done what it was asked to before.
async fn settled(server: &RpcServer<Edges>) {
    server.main_thread().call_async(|_, _| ()).await.unwrap();
}

// Flink: ContextClassLoadingSettingTest#testRpcActor_OnStartCalledWithFlinkContextClassLoader
// Flink: ContextClassLoadingSettingTest#testRpcActor_OnStopCalledWithFlinkContextClassLoader
// Flink: ContextClassLoadingSettingTest#
//        testSupervisorActor_TerminationFutureCompletedWithFlinkContextClassLoader
#[tokio::test]
async fn an_endpoint_begins_and_ends_in_the_services_span() {
    let (log, _guard) = Log::keep();
    let service = service().await;
    async {
        let server = start(&service);
        settled(&server).await;
        server.close().await.unwrap();
        seen("terminated");
    }
    .instrument(info_span!("caller"))
    .await;
    assert_eq!(log.spans_at("on_start"), [ENDPOINT]);
    assert_eq!(log.spans_at("on_stop"), [ENDPOINT; 2]);
    assert_eq!(log.spans_at("endpoint dropped"), [ENDPOINT]);
    // A future is completed in the task that awaits it, and so in its span.
    assert_eq!(log.spans_at("terminated"), [["caller"]]);
}

// Flink: ContextClassLoadingSettingTest#testRpcActor_CallAsyncCalledWithFlinkContextClassLoader
// Flink: ContextClassLoadingSettingTest#testRpcActor_RunAsyncCalledWithFlinkContextClassLoader
#[tokio::test]
async fn posted_code_and_continuations_run_in_the_services_span() {
    let (log, _guard) = Log::keep();
    let service = service().await;
    async {
        let server = start(&service);
        let main = server.main_thread();
        main.run_async(|_, _| seen("run_async"));
        main.execute(|| seen("execute"));
        let called = main.call_async(|_, _| seen("call_async"));
        called.await.unwrap();
        settled(&server).await;
    }
    .instrument(info_span!("caller"))
    .await;
    for edge in [
        "run_async",
        "execute",
        "call_async",
        "piped future",
        "continuation",
    ] {
        assert_eq!(log.spans_at(edge), [ENDPOINT], "{edge}");
    }
}

// Flink: ContextClassLoadingSettingTest#
//        testRpcService_ScheduleCallableSetsFlinkContextClassLoader
// Flink: ContextClassLoadingSettingTest#
//        testRpcService_ScheduleRunnableSetsFlinkContextClassLoader
// Flink: ContextClassLoadingSettingTest#
//        testRpcService_ScheduleRunnableWithFixedRateSetsFlinkContextClassLoader
// Flink: ContextClassLoadingSettingTest#
//        testRpcService_ScheduleRunnableWithFixedDelaySetsFlinkContextClassLoader
#[tokio::test(start_paused = true)]
async fn timers_run_in_the_services_span() {
    let (log, _guard) = Log::keep();
    let service = service().await;
    async {
        let server = start(&service);
        let main = server.main_thread();
        let second = Duration::from_secs(1);
        let set = main.schedule_run_async(second, |_, _| seen("once"));
        set.await.unwrap();
        let set = main.call_async(move |_, cx| cx.schedule_every(second, |_, _| seen("again")));
        set.await.unwrap();
        pass_time(Duration::from_millis(2500)).await;
    }
    .instrument(info_span!("caller"))
    .await;
    assert_eq!(log.spans_at("once"), [ENDPOINT]);
    assert_eq!(log.spans_at("again"), [ENDPOINT; 2]);
}

// Flink: ContextClassLoadingSettingTest#
//        testRpcService_ExecuteRunnableSetsFlinkContextClassLoader
// Flink: ContextClassLoadingSettingTest#
//        testRpcService_TerminationFutureCompletedWithFlinkContextClassLoader
#[tokio::test]
async fn tasks_run_in_the_services_span() {
    let (log, _guard) = Log::keep();
    let service = service().await;
    async {
        let done = Arc::new(Notify::new());
        let task = Arc::clone(&done);
        service.spawn(async move {
            seen("task");
            task.notify_one();
        });
        done.notified().await;
        service.close().await.unwrap();
        seen("closed");
    }
    .instrument(info_span!("caller"))
    .await;
    assert_eq!(log.spans_at("task"), [["service"]]);
    assert_eq!(log.spans_at("closed"), [["caller"]]);
}

// Flink: ContextClassLoadingSettingTest#
//        testRpcActor_RPCReturningVoidCalledWithFlinkContextClassLoader
// Flink: ContextClassLoadingSettingTest#testRpcActor_RPCCalledWithFlinkContextClassLoader
// Flink: ContextClassLoadingSettingTest#
//        testRpcService_ConnectFutureCompletedWithFlinkContextClassLoader
// Flink: ContextClassLoadingSettingTest#
//        testRpcInvocationHandler_RPCFutureCompletedWithFlinkContextClassLoader
// Flink: ContextClassLoadingSettingTest#
//        testRpcInvocationHandler_ContextClassLoaderUsedForDeserialization
#[tokio::test]
async fn handlers_and_decoding_run_in_the_services_span() {
    let (log, _guard) = Log::keep();
    let callee = service().await;
    let caller = pipes::build(RpcService::builder());
    let caller = caller.instrument(info_span!("caller service")).await;
    async {
        let server = start(&callee);
        let address = server.address();
        let gateway = caller.connect::<dyn EdgesGateway>(&address);
        let gateway = gateway.await.unwrap();
        seen("connected");
        gateway.one_way();
        let waits = gateway.wait();
        assert_eq!(gateway.ask(Decoded(false)).await, Ok(Decoded(true)));
        seen("answered");
        let opened = server
            .main_thread()
            .call_async(|edges, _| edges.0.notify_one());
        opened.await.unwrap();
        waits.await.unwrap();
    }
    .instrument(info_span!("caller"))
    .await;
    let handler = ["service", "endpoint", "rpc"];
    assert_eq!(log.spans_at("one_way"), [handler]);
    assert_eq!(log.spans_at("ask"), [handler]);
    assert_eq!(log.spans_at("wait"), [handler, handler], "at each poll");
    assert_eq!(log.spans_at("request decoded"), [["service"]]);
    assert_eq!(log.spans_at("answer decoded"), [["caller service"]]);
    assert_eq!(log.spans_at("connected"), [["caller"]]);
    assert_eq!(log.spans_at("answered"), [["caller"]]);
}

/// The code of an endpoint runs in the endpoint's span, which is in the service's.
const ENDPOINT: [&str; 2] = ["service", "endpoint"];
