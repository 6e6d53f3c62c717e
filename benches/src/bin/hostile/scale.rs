//! Many endpoints, and many services.

use std::time::Duration;

use benches::harness::resident;
use rpc_core::{BoxError, RpcService};
use tokio::time::{Instant, sleep};

use crate::figures::{Latencies, MIB};
use crate::victim::{Victim, VictimGateway, dial, serve};

pub(crate) const NAMES: [&str; 4] = ["endpoints", "services", "idle", "churn"];

pub(crate) const HEADER: &str = "| what | figure |\n|---|---|";

/// Measures, and prints rows.
pub(crate) async fn run(name: String) -> Result<(), BoxError> {
    match &*name {
        "endpoints" => endpoints().await,
        "services" => services().await,
        "idle" => idle().await,
        _ => churn().await,
    }
}

/// Calls many endpoints in turn by one connection.
async fn endpoints() -> Result<(), BoxError> {
    let names = || (0..MANY).map(|it| format!("e{it}"));
    let server = serve(names()).await?;
    let (caller, one) = dial(&server.address_of("e0")).await?;
    let mut all = Vec::new();
    for name in names() {
        all.push(caller.connect(&server.address_of(&name)).await?);
    }
    Latencies::of(&all, WARM).await;
    let one = Latencies::of(&[one], TIME).await;
    let all = Latencies::of(&all, TIME).await;
    println!("| one endpoint: p50 / p99 / max µs | {one} |");
    println!("| {MANY} endpoints in turn, one connection | {all} |");
    Ok(())
}

/// Calls one endpoint by many connections, each of a service of its own.
async fn services() -> Result<(), BoxError> {
    let server = serve(std::iter::once("e".to_owned())).await?;
    let address = server.address_of("e");
    let (_caller, one) = dial(&address).await?;
    let one = [one];
    Latencies::of(&one, WARM).await;
    let alone = Latencies::of(&one, TIME).await;
    let (before, begin) = (resident()?, Instant::now());
    let (mut services, mut all) = (Vec::new(), Vec::new());
    for _ in 0..MANY {
        let (service, gateway) = dial(&address).await?;
        services.push(service);
        all.push(gateway);
    }
    let took = begin.elapsed();
    Latencies::of(&all, WARM).await;
    let each = (resident()? - before) / MANY as u64;
    let among = Latencies::of(&one, TIME).await;
    let turns = Latencies::of(&all, TIME).await;
    println!("| one connection: p50 / p99 / max µs | {alone} |");
    println!("| that one, {MANY} others being idle | {among} |");
    println!("| {MANY} services' connections in turn | {turns} |");
    println!("| making and connecting {MANY} services | {took:.2?} |");
    println!("| a service and a connection, both ends | {each} bytes |");
    Ok(())
}

/// Has a million endpoints, of which nobody asks anything.
async fn idle() -> Result<(), BoxError> {
    let service = RpcService::local();
    let mut servers = Vec::with_capacity(MILLION);
    let names: Vec<String> = (0..MILLION).map(|it| format!("e{it}")).collect();
    let (before, begin) = (resident()?, Instant::now());
    for name in &names {
        servers.push(service.start_server(name, Victim)?);
    }
    let made = begin.elapsed();
    sleep(SETTLE).await;
    let each = (resident()? - before) / MILLION as u64;
    println!("| an endpoint that is not started | {each} bytes |");
    println!("| making {MILLION} of them | {made:.2?} |");
    let begin = Instant::now();
    servers.iter().for_each(|it| it.start());
    for name in &names {
        let gateway = service.connect::<dyn VictimGateway>(name).await?;
        gateway.echo(1).await?;
    }
    let started = begin.elapsed();
    sleep(SETTLE).await;
    let (now, begin) = (resident()?, Instant::now());
    println!(
        "| one that is started | {} bytes |",
        (now - before) / MILLION as u64
    );
    println!("| starting them, and calling each once | {started:.2?} |");
    println!("| all that the process has | {} MiB |", now / MIB);
    drop(servers);
    service.close().await?;
    println!(
        "| closing the service that has them | {:.2?} |",
        begin.elapsed()
    );
    Ok(())
}

/// Starts and closes endpoints one after the other, beside few and beside many.
async fn churn() -> Result<(), BoxError> {
    let service = RpcService::local();
    for others in [0, 100 * MANY] {
        for other in 0..others {
            service
                .start_server(&format!("other{other}"), Victim)?
                .start();
        }
        let (rounds, begin) = (100 * MANY, Instant::now());
        for _ in 0..rounds {
            let server = service.start_server("e", Victim)?;
            server.start();
            server.close().await?;
        }
        let rate = rounds as f64 / begin.elapsed().as_secs_f64();
        println!("| started and closed in turn, beside {others} others | {rate:.0} a second |");
    }
    Ok(())
}

const MANY: usize = 1_000;
const MILLION: usize = 1_000_000;
const WARM: Duration = Duration::from_millis(500);
const TIME: Duration = Duration::from_secs(3);
const SETTLE: Duration = Duration::from_secs(1);
