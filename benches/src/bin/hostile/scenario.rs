//! A good caller beside a hostile peer.

use std::process::{Command, Stdio};
use std::time::Duration;

use benches::harness::resident;
use rpc_core::BoxError;
use tokio::time::{Instant, sleep, timeout};

use crate::figures::{Latencies, MIB};
use crate::victim::{dial, serve};

pub(crate) const HEADER: &str = "\
| peer | alone: p50 / p99 / max µs | beside it | failed of calls beside it | newcomers served \
| MiB before | peak | after | the peer |
|---|---|---|---|---|---|---|---|---|";

/// Measures alone, then beside the peer, and prints a row.
pub(crate) async fn run(name: String) -> Result<(), BoxError> {
    let server = serve(["good", "bad"].map(str::to_owned).into_iter()).await?;
    let (_caller, gateway) = dial(&server.address_of("good")).await?;
    let gateways = [gateway];
    Latencies::of(&gateways, Duration::from_millis(500)).await;
    let alone = Latencies::of(&gateways, Duration::from_secs(2)).await;
    let before = resident()?;

    let address = server.address_of("");
    let authority = address.trim_start_matches("tcp://").trim_end_matches('/');
    let peer = Command::new(std::env::current_exe()?)
        .args(["peer", &name, authority])
        .stdout(Stdio::piped())
        .spawn()?;
    // It has to start before it can be felt.
    sleep(Duration::from_millis(200)).await;
    let (beside, newcomers, peak) = tokio::join!(
        tokio::spawn(async move { Latencies::of(&gateways, BESIDE).await }),
        tokio::spawn(newcomers(server.address_of("good"))),
        tokio::spawn(peak()),
    );
    let ((tried, served), beside) = (newcomers?, beside?);
    let peer = tokio::task::spawn_blocking(|| peer.wait_with_output()).await??;
    let did = String::from_utf8_lossy(&peer.stdout).trim().to_owned();
    // What it left behind ends within that: a handler rests no longer.
    sleep(Duration::from_secs(6)).await;
    println!(
        "| {name} | {alone} | {beside} | {} of {} | {served} of {tried} | {} | {} | {} | {did} |",
        beside.failed,
        beside.asked(),
        before / MIB,
        peak?? / MIB,
        resident()? / MIB,
    );
    Ok(())
}

/// Returns how many have come, and how many of them were answered.
async fn newcomers(address: String) -> (usize, usize) {
    let (mut tried, mut served) = (0, 0);
    let end = Instant::now() + BESIDE;
    while Instant::now() < end {
        tried += 1;
        let visit = timeout(Duration::from_secs(1), visit(&address));
        served += usize::from(matches!(visit.await, Ok(Ok(()))));
        sleep(Duration::from_millis(100)).await;
    }
    (tried, served)
}

async fn visit(address: &str) -> Result<(), BoxError> {
    let (service, gateway) = dial(address).await?;
    let answer = gateway.echo(1).await;
    service.close().await?;
    answer?;
    Ok(())
}

/// Returns the most memory that this process had.
async fn peak() -> Result<u64, BoxError> {
    let mut peak = 0;
    let end = Instant::now() + BESIDE;
    while Instant::now() < end {
        peak = peak.max(resident()?);
        sleep(Duration::from_millis(10)).await;
    }
    Ok(peak)
}

/// How long is measured beside the peer.
const BESIDE: Duration = Duration::from_secs(6);
