//! Wakers that run code at once, as those of some executors do, and code that calls whoever woke it.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures_util::FutureExt;
use parking_lot::Mutex;
use rpc_core::testing::sim::{self, SimNetwork};
use rpc_core::{
    Call, ReplyTo, RpcConfig, RpcEndpoint, RpcError, RpcService, gateways, rpc_endpoint,
    rpc_gateway,
};
use tokio::sync::mpsc;

#[rpc_gateway]
trait WaitGateway {
    #[rpc(idempotent)]
    fn wait(&self) -> Call<()>;
    fn wait_once(&self) -> Call<()>;
    fn tell(&self);
}

/// Leaves its answers to the test.
struct Waits(mpsc::Sender<ReplyTo<()>>);

impl RpcEndpoint for Waits {
    type Gateways = gateways![WaitGateway];
}

#[rpc_endpoint(WaitGateway)]
impl Waits {
    fn wait(&mut self, reply: ReplyTo<()>) {
        self.0.try_send(reply).unwrap();
    }

    fn wait_once(&mut self, reply: ReplyTo<()>) {
        self.0.try_send(reply).unwrap();
    }

    fn tell(&mut self) {}
}

struct Pair {
    callee: RpcService,
    caller: RpcService,
    waits: Arc<dyn WaitGateway>,
    replies: mpsc::Receiver<ReplyTo<()>>,
}

impl Pair {
    async fn new(net: &SimNetwork, config: RpcConfig) -> Self {
        let callee = RpcService::builder().config(config);
        let callee = callee.transport(net.node("b").transport()).build();
        let callee = callee.await.unwrap();
        let caller = RpcService::builder().transport(net.node("a").transport());
        let caller = caller.build().await.unwrap();
        let (sender, replies) = mpsc::channel(9);
        let server = callee.start_server("waits", Waits(sender)).unwrap();
        server.start();
        let waits = caller.connect(&server.address()).await.unwrap();
        Self {
            callee,
            caller,
            waits,
            replies,
        }
    }
}

/// Runs code when it is woken, and then wakes the task.
struct Inline<F> {
    code: F,
    task: Mutex<Waker>,
}

impl<F: Fn() + Send + Sync + 'static> Wake for Inline<F> {
    fn wake(self: Arc<Self>) {
        (self.code)();
        let task = self.task.lock().clone();
        task.wake();
    }
}

/// Polls a future with a waker that runs such code.
async fn woken_by<T>(
    mut future: impl Future<Output = T> + Unpin,
    code: impl Fn() + Send + Sync + 'static,
) -> T {
    let task = Mutex::new(Waker::noop().clone());
    let inline = Arc::new(Inline { code, task });
    poll_fn(|cx: &mut Context<'_>| -> Poll<T> {
        inline.task.lock().clone_from(cx.waker());
        let waker = Waker::from(Arc::clone(&inline));
        future.poll_unpin(&mut Context::from_waker(&waker))
    })
    .await
}

#[test]
fn a_caller_that_waited_for_a_connection_in_vain_may_use_its_gateway() {
    sim::run(1, async |net| {
        let mut config = RpcConfig::default();
        config.calls_max = 1;
        let mut pair = Pair::new(&net, config).await;
        let _lost = pair.waits.wait_once();
        net.reset("a", "b");
        tokio::time::sleep(Duration::from_millis(100)).await;
        let (first, second) = (pair.waits.wait_once(), pair.waits.wait_once());
        let again = Arc::clone(&pair.waits);
        let refused = woken_by(second, move || again.tell()).await.unwrap_err();
        assert!(matches!(refused, RpcError::Overloaded { .. }), "{refused}");
        while let Some(reply) = pair.replies.recv().await {
            if !reply.is_cancelled() {
                reply.answer(Ok(()));
                break;
            }
        }
        assert_eq!(first.await, Ok(()));
    });
}

#[test]
fn a_caller_whose_service_ends_may_use_its_gateway_and_its_service() {
    sim::run(1, async |net| {
        for is_idempotent in [true, false] {
            let net = net.clone();
            let pair = Pair::new(&net, RpcConfig::default()).await;
            let waits = match is_idempotent {
                true => pair.waits.wait(),
                false => pair.waits.wait_once(),
            };
            tokio::time::sleep(Duration::from_millis(100)).await;
            let (gateway, service) = (Arc::clone(&pair.waits), pair.caller.clone());
            let ended = woken_by(waits, move || {
                gateway.tell();
                drop(gateway.wait());
                let _report = service.diagnostics();
            });
            let mut ended = Box::pin(ended);
            assert!((&mut ended).now_or_never().is_none());
            pair.caller.abort();
            let error = ended.await.unwrap_err();
            assert!(matches!(error, RpcError::Disconnected { .. }), "{error}");
            pair.callee.close().await.unwrap();
        }
    });
}

#[test]
fn one_who_hears_that_nobody_waits_for_its_answer_may_use_its_service() {
    sim::run(1, async |net| {
        let mut pair = Pair::new(&net, RpcConfig::default()).await;
        let waits = pair.waits.wait_once();
        let reply = pair.replies.recv().await.unwrap();
        let callee = pair.callee.clone();
        let cancelled = Box::pin(reply.cancelled());
        let mut cancelled = Box::pin(woken_by(cancelled, move || callee.abort()));
        assert!((&mut cancelled).now_or_never().is_none());
        drop(waits);
        cancelled.await;
        assert!(pair.callee.is_closed());
    });
}

#[test]
fn one_who_accepts_channels_may_use_its_service_when_that_ends() {
    sim::run(1, async |net| {
        let pair = Pair::new(&net, RpcConfig::default()).await;
        let mut channels = pair.callee.accept_channels("channel").unwrap();
        let callee = pair.callee.clone();
        let accepting = Box::pin(channels.accept());
        let mut accepting = Box::pin(woken_by(accepting, move || {
            assert!(callee.accept_channels("channel").is_err());
        }));
        assert!((&mut accepting).now_or_never().is_none());
        pair.callee.abort();
        assert!(accepting.await.is_none());
    });
}
