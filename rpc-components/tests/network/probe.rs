//! The processes of the tests: one that serves, and one that calls and says what came of it.

use std::fmt::Display;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime};

use rpc_components::transport::{Network, Security};
use rpc_core::{
    BoxError, Call, GatewayClosed, MainThread, Outcome, ReplyTo, RpcConfig, RpcEndpoint, RpcError,
    RpcResult, gateways, rpc_endpoint, rpc_gateway,
};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tracing_subscriber::EnvFilter;

/// What the caller asks.
#[rpc_gateway]
trait ProbeGateway {
    /// Says the number, and answers with so many bytes.
    fn count(&self, number: u64, bytes: usize) -> Call<Vec<u8>>;
    /// Never answers.
    #[rpc(timeout = "none")]
    fn hang(&self) -> Call<()>;
    /// Blocks the thread for so long.
    fn block(&self, millis: u64) -> Call<()>;
    /// Answers when the endpoint stops.
    #[rpc(timeout = "none")]
    fn wait(&self) -> Call<()>;
}

#[derive(Default)]
struct Probe {
    waiting: Vec<ReplyTo<()>>,
    stops_never: bool,
}

impl RpcEndpoint for Probe {
    type Gateways = gateways![ProbeGateway];

    async fn on_stop(main: MainThread<'_, Self>) -> Result<(), BoxError> {
        println!("stopping");
        let stops_never = main.run(|probe, _| {
            for reply in probe.waiting.drain(..) {
                reply.answer(Ok(()));
            }
            probe.stops_never
        });
        match stops_never {
            true => std::future::pending().await,
            false => Ok(()),
        }
    }
}

#[rpc_endpoint(ProbeGateway)]
impl Probe {
    fn count(&mut self, number: u64, bytes: usize) -> RpcResult<Vec<u8>> {
        println!("counted {number}");
        Ok(vec![7; bytes])
    }

    async fn hang(_: MainThread<'_, Self>) -> RpcResult<()> {
        let _dropped = Dropped;
        println!("hanging");
        std::future::pending().await
    }

    fn block(&mut self, millis: u64) -> RpcResult<()> {
        println!("blocking");
        thread::park_timeout(Duration::from_millis(millis));
        Ok(())
    }

    fn wait(&mut self, reply: ReplyTo<()>) {
        self.waiting.push(reply);
    }
}

struct Dropped;

impl Drop for Dropped {
    fn drop(&mut self) {
        println!("hang dropped");
    }
}

/// What both processes are told: the options are those of the tests, which make no mistakes.
#[derive(Clone, Default)]
struct Options {
    address: String,
    certificates: Option<String>,
    keepalive_ms: u64,
    timeout_ms: u64,
    block_ms: Option<u64>,
    bytes: usize,
    idle: bool,
    stops_never: bool,
}

/// Runs `serve ADDRESS ..` or `call ADDRESS ..`.
pub(crate) fn main(mut args: impl Iterator<Item = String>) -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new("rpc_core=debug"))
        .with_writer(std::io::stderr)
        .init();
    let mode = args.next().unwrap();
    let mut options = Options {
        address: args.next().unwrap(),
        keepalive_ms: 500,
        timeout_ms: 1500,
        ..Options::default()
    };
    while let Some(option) = args.next() {
        match option.as_str() {
            "--block" => options.block_ms = Some(args.next().unwrap().parse().unwrap()),
            "--bytes" => options.bytes = args.next().unwrap().parse().unwrap(),
            "--certificates" => options.certificates = args.next(),
            "--idle" => options.idle = true,
            "--keepalive" => options.keepalive_ms = args.next().unwrap().parse().unwrap(),
            "--stops-never" => options.stops_never = true,
            "--timeout" => options.timeout_ms = args.next().unwrap().parse().unwrap(),
            other => panic!("{other}?"),
        }
    }
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
    match mode.as_str() {
        "call" => runtime.block_on(call(options)),
        _ => runtime.block_on(serve(options)),
    }
}

impl Options {
    fn network(&self) -> Network {
        let security = match &self.certificates {
            Some(folder) => Security::MutualTls {
                certificate: Path::new(folder).join("cert.pem"),
                key: Path::new(folder).join("key.pem"),
                authority: Path::new(folder).join("ca.pem"),
            },
            None => Security::Insecure,
        };
        Network::new(security).unwrap()
    }

    fn config(&self) -> RpcConfig {
        let mut config = RpcConfig::default();
        config.keepalive_timeout = Duration::from_millis(self.keepalive_ms);
        config.keepalive_interval = config.keepalive_timeout / 4;
        config.connect_timeout = Duration::from_millis(500);
        config.redial_delay_min = Duration::from_millis(100);
        config.redial_delay_max = Duration::from_millis(400);
        config
    }
}

async fn serve(options: Options) -> ExitCode {
    let network = options.network();
    let listening = network.listen(&options.address, None, options.config());
    let service = listening.await.unwrap();
    let probe = Probe {
        stops_never: options.stops_never,
        ..Probe::default()
    };
    service.start_server("probe", probe).unwrap().start();
    let blocked = service.start_server("blocked", Probe::default());
    blocked.unwrap().start();
    let mut terminate = on(SignalKind::terminate());
    let mut ask = on(SignalKind::user_defined1());
    println!("serving");
    loop {
        tokio::select! {
            biased;
            _ = terminate.recv() => break,
            _ = ask.recv() => {
                let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
                println!("wall clock {}", now.unwrap().as_secs());
            }
        }
    }
    tokio::select! {
        biased;
        closed = service.close() => {
            closed.unwrap();
            ExitCode::SUCCESS
        }
        _ = terminate.recv() => {
            service.abort();
            ExitCode::FAILURE
        }
    }
}

/// Calls until it is told to end, and then waits for what is under way.
async fn call(options: Options) -> ExitCode {
    let address = format!("{}/probe", options.address);
    let service = options.network().dial(&address, options.config()).await;
    let service = service.unwrap();
    let mut gateway = loop {
        // A busy machine may need longer than a connection may take.
        match service.connect::<dyn ProbeGateway>(&address).await {
            Ok(gateway) => break gateway,
            Err(error) => eprintln!("{error}"),
        }
    };
    let mut watched = JoinSet::new();
    if let Some(millis) = options.block_ms {
        let address = format!("{}/blocked", options.address);
        let blocked = service.connect::<dyn ProbeGateway>(&address).await.unwrap();
        let block = blocked.block(millis);
        watched.spawn(async { println!("block {}", outcome(&block.await)) });
    }
    let (hang, wait, closed) = (gateway.hang(), gateway.wait(), gateway.closed());
    watched.spawn(async { println!("hang {}", outcome(&hang.await)) });
    watched.spawn(async { println!("wait {}", outcome(&wait.await)) });
    watched.spawn(async {
        match closed.await {
            GatewayClosed::Stopped => println!("closed stopped"),
            _ => println!("closed disconnected"),
        }
    });
    let mut terminate = on(SignalKind::terminate());
    let mut mark = on(SignalKind::user_defined1());
    let mut ticks = interval(Duration::from_millis(20));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let restarted = Arc::new(Notify::new());
    let (mut calls, mut number) = (JoinSet::new(), 0);
    println!("connected");
    loop {
        tokio::select! {
            biased;
            _ = terminate.recv() => break,
            _ = mark.recv() => println!("mark {number}"),
            () = restarted.notified() => {
                if let Ok(anew) = service.reconnect(&*gateway).await {
                    gateway = anew;
                    println!("reconnected");
                }
            }
            _ = ticks.tick(), if !options.idle => {
                let call = gateway.count(number, options.bytes);
                let call = call.timeout(Duration::from_millis(options.timeout_ms));
                let restarted = Arc::clone(&restarted);
                calls.spawn(report(number, call, restarted));
                number += 1;
                while calls.try_join_next().is_some() {}
            }
        }
    }
    while calls.join_next().await.is_some() {}
    println!("done");
    // What its own end does to them says nothing.
    watched.shutdown().await;
    service.close().await.unwrap();
    ExitCode::SUCCESS
}

async fn report(number: u64, call: Call<Vec<u8>>, restarted: Arc<Notify>) {
    let result = call.await;
    println!("count {number} {}", outcome(&result));
    if matches!(
        result,
        Err(RpcError::Unreachable {
            restarted: true,
            ..
        })
    ) {
        restarted.notify_one();
    }
}

/// Says what came of a call, and what its caller knows.
fn outcome<T>(result: &RpcResult<T>) -> String {
    let kind: &dyn Display = match result {
        Ok(_) => return "ok executed".to_owned(),
        Err(RpcError::Disconnected { .. }) => &"disconnected",
        Err(RpcError::Timeout { .. }) => &"timeout",
        Err(RpcError::Unreachable {
            restarted: true, ..
        }) => &"restarted",
        Err(RpcError::Unreachable { .. }) => &"unreachable",
        Err(error) => error,
    };
    let outcome = match result
        .as_ref()
        .map_or_else(RpcError::outcome, |_| Outcome::Executed)
    {
        Outcome::Executed => "executed",
        Outcome::NotExecuted => "not-executed",
        Outcome::Unknown => "unknown",
    };
    format!("{kind} {outcome}")
}

fn on(kind: SignalKind) -> Signal {
    signal(kind).unwrap()
}
