//! What a main thread puts off to the end of its turn, and who does not wait for that.

use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use rpc_core::testing::sim::SimNetwork;
use rpc_core::{
    Call, GatewayClosed, MainThread, RpcEndpoint, RpcResult, RpcService, gateways, rpc_endpoint,
    rpc_gateway,
};
use tokio::runtime::Runtime;
use tokio::sync::Notify;
use tokio::task::block_in_place;
use tokio::time::Instant;

#[rpc_gateway]
trait BackGateway {
    fn note(&self);
    fn echo(&self, number: u32) -> Call<u32>;
    fn rest(&self) -> Call<()>;
    fn strike(&self) -> Call<()>;
}

#[derive(Default)]
struct Back {
    /// What `strike` waits for.
    resumed: Arc<Notify>,
}

impl RpcEndpoint for Back {
    type Gateways = gateways![BackGateway];
}

#[rpc_endpoint(BackGateway)]
impl Back {
    fn note(&mut self) {}

    fn echo(&mut self, number: u32) -> RpcResult<u32> {
        Ok(number)
    }

    async fn rest(_main: MainThread<'_, Self>) -> RpcResult<()> {
        std::future::pending().await
    }

    /// Sets a timer after it has been resumed, and waits for it.
    async fn strike(main: MainThread<'_, Self>) -> RpcResult<()> {
        let resumed = main.run(|back, _| Arc::clone(&back.resumed));
        resumed.notified().await;
        let (struck, strikes) = tokio::sync::oneshot::channel();
        main.run(|_, cx| cx.schedule(TICK, move |_, _| struck.send(()).unwrap()));
        strikes.await.unwrap();
        Ok(())
    }
}

#[rpc_gateway]
trait FrontGateway {
    fn ask_and_block(&self) -> Call<u32>;
    fn tell_and_block(&self) -> Call<()>;
}

struct Front {
    back: Arc<dyn BackGateway>,
    /// Lets the handler go on that blocks its main thread.
    gate: mpsc::Receiver<()>,
    /// Is told when it has begun.
    begun: Option<tokio::sync::oneshot::Sender<()>>,
}

impl RpcEndpoint for Front {
    type Gateways = gateways![FrontGateway];
}

#[rpc_endpoint(FrontGateway)]
impl Front {
    fn ask_and_block(&mut self) -> RpcResult<u32> {
        let call = self.back.echo(7);
        let answer = block_in_place(|| tokio::runtime::Handle::current().block_on(call));
        Ok(answer.unwrap())
    }

    fn tell_and_block(&mut self) -> RpcResult<()> {
        self.back.note();
        self.begun.take().unwrap().send(()).unwrap();
        block_in_place(|| self.gate.recv().unwrap());
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn code_that_blocks_its_main_thread_for_a_call_gets_the_answer() {
    let service = RpcService::local();
    let (front, _gate, _begun) = start(&service);
    assert_eq!(front.ask_and_block().await, Ok(7));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn nobody_else_waits_for_the_end_of_a_turn_that_takes_long() {
    let service = RpcService::local();
    let (front, gate, begun) = start(&service);
    let back = service.connect::<dyn BackGateway>("back").await.unwrap();
    let blocks = tokio::spawn(front.tell_and_block());
    begun.await.unwrap();
    // Its message is in the mailbox, and the waking of the endpoint is put off.
    assert_eq!(back.echo(1).await, Ok(1));
    gate.send(()).unwrap();
    assert_eq!(blocks.await.unwrap(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_timer_runs_that_a_resumed_handler_sets_among_others() {
    let service = RpcService::local();
    let resumed = Arc::new(Notify::new());
    let endpoint = Back {
        resumed: Arc::clone(&resumed),
    };
    let server = service.start_server("back", endpoint).unwrap();
    server.start();
    let back = server.gateway::<dyn BackGateway>();
    let _resting = [back.rest(), back.rest()];
    let (strike, begin) = (back.strike(), Instant::now());
    assert_eq!(back.echo(1).await, Ok(1), "it waits by now");
    // By nothing else is the main thread woken.
    resumed.notify_one();
    assert_eq!(strike.await, Ok(()));
    assert!(begin.elapsed() < 3 * TICK);
}

#[test]
fn the_death_watch_tells_of_a_runtime_that_is_shut_down() {
    let runtime = Runtime::new().unwrap();
    let back = runtime.block_on(async {
        let service = RpcService::local();
        let server = service.start_server("back", Back::default()).unwrap();
        server.start();
        let back = server.gateway::<dyn BackGateway>();
        assert_eq!(back.echo(1).await, Ok(1));
        back
    });
    let closed = back.closed();
    drop(runtime);
    let stopped = Runtime::new().unwrap().block_on(closed);
    assert_eq!(stopped, GatewayClosed::Stopped);
}

/// Starts both endpoints. Returns the gate that the front waits at, and what tells that it does.
fn start(
    service: &RpcService,
) -> (
    Arc<dyn FrontGateway>,
    mpsc::Sender<()>,
    tokio::sync::oneshot::Receiver<()>,
) {
    let back = service.start_server("back", Back::default()).unwrap();
    back.start();
    let (open, gate) = mpsc::channel();
    let (begins, begun) = tokio::sync::oneshot::channel();
    let front = Front {
        back: back.gateway(),
        gate,
        begun: Some(begins),
    };
    let front = service.start_server("front", front).unwrap();
    front.start();
    (front.gateway(), open, begun)
}

const TICK: Duration = Duration::from_millis(20);

/// Its handlers block until each is let go on.
struct Blocking {
    begun: tokio::sync::mpsc::Sender<u32>,
    gate: mpsc::Receiver<()>,
}

#[rpc_gateway]
trait BlockingGateway {
    fn quick(&self, number: u32) -> Call<u32>;
    fn block(&self, number: u32) -> Call<u32>;
    fn be_told_and_block(&self, number: u32);
}

impl RpcEndpoint for Blocking {
    type Gateways = gateways![BlockingGateway];
}

impl Blocking {
    /// Takes as long as the test likes, and in any case so long that it is no quick handler.
    fn wait(&self, number: u32) {
        let begun = Instant::now();
        self.begun.try_send(number).unwrap();
        self.gate.recv().unwrap();
        while begun.elapsed() < Duration::from_millis(2) {
            std::hint::spin_loop();
        }
    }
}

#[rpc_endpoint(BlockingGateway)]
impl Blocking {
    fn quick(&mut self, number: u32) -> RpcResult<u32> {
        Ok(number)
    }

    fn block(&mut self, number: u32) -> RpcResult<u32> {
        self.wait(number);
        Ok(number)
    }

    fn be_told_and_block(&mut self, number: u32) {
        self.wait(number);
    }
}

/// Runs `case` with an endpoint that blocks, of this service and of another.
async fn while_it_blocks(
    case: impl AsyncFn(Arc<dyn BlockingGateway>, tokio::sync::mpsc::Receiver<u32>, mpsc::Sender<()>),
) {
    for is_remote in [false, true] {
        let net = SimNetwork::seeded(1);
        let [callee, caller] = ["b", "a"].map(|name| {
            let transport = net.node(name).transport();
            RpcService::builder().transport(transport).build()
        });
        let (callee, caller) = (callee.await.unwrap(), caller.await.unwrap());
        let (begun, begins) = tokio::sync::mpsc::channel(99);
        let (go_on, gate) = mpsc::channel();
        let server = callee.start_server("blocking", Blocking { begun, gate });
        let server = server.unwrap();
        server.start();
        let of = if is_remote { &caller } else { &callee };
        let gateway = of.connect(&server.address()).await.unwrap();
        case(gateway, begins, go_on).await;
    }
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    let soon = tokio::time::timeout(Duration::from_secs(5), what);
    soon.await
        .expect("it does not wait for the handlers after it")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn an_answer_does_not_wait_for_handlers_that_take_long() {
    while_it_blocks(async |gateway, mut begins, go_on| {
        // More than are trusted to be quick without a look.
        let calls: Vec<_> = (0..20).map(|it| gateway.block(it)).collect();
        for (number, call) in (0..).zip(calls) {
            assert_eq!(begins.recv().await, Some(number));
            go_on.send(()).unwrap();
            if number < 19 {
                // The next blocks meanwhile.
                assert_eq!(soon(call).await, Ok(number));
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn an_answer_does_not_wait_for_what_is_not_known_to_be_quick() {
    while_it_blocks(async |gateway, mut begins, go_on| {
        for number in 0..20 {
            assert_eq!(gateway.quick(number).await, Ok(number));
        }
        let (quick, other) = (gateway.quick(7), gateway.quick(8));
        gateway.be_told_and_block(9);
        assert_eq!(soon(quick).await, Ok(7));
        assert_eq!(soon(other).await, Ok(8));
        assert_eq!(begins.recv().await, Some(9));
        go_on.send(()).unwrap();
    })
    .await;
}
