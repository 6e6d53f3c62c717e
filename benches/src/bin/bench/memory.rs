//! How much memory idle endpoints have, each kind in a process of its own, so that none finds what
//! another has left.

use std::process::Command;
use std::time::Duration;

use benches::floor::Bounded;
use benches::harness::{Place, Subject, resident};
use benches::rpc::{Counter, CounterGateway};
use clap::ValueEnum;
use rpc_core::{BoxError, RpcService};
use tokio::time::{Instant, sleep};

use crate::table::Table;
use crate::text;

/// What there are many of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// Tasks behind an `mpsc`.
    Task,
    /// Endpoints that are started, and never called.
    Started,
    /// Endpoints that were called once.
    Called,
}

impl Kind {
    const fn text(self) -> &'static str {
        match self {
            Self::Task => "a tokio task behind an mpsc",
            Self::Started => "an endpoint, never called",
            Self::Called => "an endpoint, called once",
        }
    }

    /// Makes a million, in another process. Returns how many bytes and nanoseconds each takes.
    fn measure(self) -> Result<(f64, f64), BoxError> {
        let name = self.to_possible_value().expect("all have names");
        let mut command = Command::new(std::env::current_exe()?);
        let output = command.args(["idle", name.get_name()]).output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let numbers = text.trim().split_once(' ');
        let (bytes, nanoseconds) = numbers.ok_or_else(|| format!("it ended: {}", output.status))?;
        Ok((bytes.parse()?, nanoseconds.parse()?))
    }
}

/// Measures all kinds. The first is what the others are compared to.
pub(crate) fn table() -> Table {
    let mut table = Table::new(["what", "times the first", "bytes each", "time to make one"]);
    let mut floor = None;
    for kind in Kind::value_variants() {
        match kind.measure() {
            Ok((bytes, time)) => {
                let ratio = text::digits(bytes / *floor.get_or_insert(bytes));
                let bytes = format!("{bytes:.0}");
                table.push([kind.text().to_owned(), ratio, bytes, text::time(time)]);
            }
            Err(error) => table.push([kind.text().to_owned(), format!("failed: {error}")]),
        }
    }
    table
}

/// Is the other process: returns what it prints.
pub(crate) fn child(kind: Kind) -> Result<String, BoxError> {
    let runtime = Place::One.runtime();
    let making = runtime.spawn(async move {
        match kind {
            Kind::Task => tasks().await,
            Kind::Started | Kind::Called => endpoints(kind == Kind::Called).await,
        }
    });
    let (bytes, time) = runtime.block_on(making)??;
    // What a million of them take to end is not asked.
    runtime.shutdown_background();
    let each = |it: f64| it / MILLION as f64;
    Ok(format!(
        "{} {}",
        each(bytes as f64),
        each(time.as_nanos() as f64)
    ))
}

async fn tasks() -> Result<(u64, Duration), BoxError> {
    let mut senders = Vec::with_capacity(MILLION);
    let (before, begin) = (resident()?, Instant::now());
    for _ in 0..MILLION {
        senders.push(Bounded::connect(String::new()).await);
    }
    let time = begin.elapsed();
    sleep(SETTLE).await;
    let bytes = resident()? - before;
    drop(senders);
    Ok((bytes, time))
}

async fn endpoints(called: bool) -> Result<(u64, Duration), BoxError> {
    let service = RpcService::local();
    let names: Vec<String> = (0..MILLION).map(|it| format!("counter{it}")).collect();
    let mut servers = Vec::with_capacity(MILLION);
    let (before, begin) = (resident()?, Instant::now());
    for name in &names {
        let server = service.start_server(name, Counter::default())?;
        server.start();
        servers.push(server);
    }
    let time = begin.elapsed();
    if called {
        for name in &names {
            let counter = service.connect::<dyn CounterGateway>(name).await?;
            counter.add(1).await?;
        }
    }
    sleep(SETTLE).await;
    let bytes = resident()? - before;
    drop(servers);
    Ok((bytes, time))
}

const MILLION: usize = 1_000_000;
/// Until those that are idle have no task any more.
const SETTLE: Duration = Duration::from_secs(5);
