//! What does a call cost, beside the least that it could cost?
//!
//! `ask` is one call in flight: its time is the latency. `ask_64` is 64 in flight from one task:
//! its time is that of all of them. Caller and callee share a runtime with two workers.

use std::time::Duration;

use benches::{Ask, Remote, SameService, floor};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use rpc_tls::Certificates;
use rpc_transport_local::LocalNetwork;
use rpc_transport_quic::Quic;
use rpc_transport_tcp::Tcp;
use tokio::runtime::Builder;
use tokio::time::Instant;

fn ask(c: &mut Criterion) {
    compare(c.benchmark_group("ask"), 1);
}

fn ask_64(c: &mut Criterion) {
    compare(c.benchmark_group("ask_64"), 64);
}

fn compare(mut group: BenchmarkGroup<'_, WallTime>, calls: usize) {
    let certificates = &Certificates::generate(&[]).expect("there are random bytes");
    let group = &mut group;
    group.throughput(Throughput::Elements(calls as u64));

    measure(group, "service/rpc", calls, async || SameService::start());
    measure(group, "service/floor_bounded", calls, async || {
        floor::Bounded::start()
    });
    measure(group, "service/floor_unbounded", calls, async || {
        floor::Unbounded::start()
    });
    measure(group, "local/rpc", calls, async || {
        let network = LocalNetwork::new();
        Remote::start(network.bind("callee"), network.dial_only()).await
    });
    measure(group, "local/floor", calls, async || floor::pipe());
    measure(group, "tcp/rpc", calls, async || {
        Remote::start(Tcp::bind(LOOPBACK), Tcp::dial_only()).await
    });
    measure(group, "tcp/floor", calls, floor::tcp);
    measure(group, "tls/rpc", calls, async || {
        let callee = Tcp::bind(LOOPBACK).mtls(certificates.clone());
        Remote::start(callee, Tcp::dial_only().mtls(certificates.clone())).await
    });
    measure(group, "tls/floor", calls, async || {
        floor::tls(certificates).await
    });
    measure(group, "quic/rpc", calls, async || {
        let callee = Quic::bind(LOOPBACK).mtls(certificates.clone());
        Remote::start(callee, Quic::dial_only().mtls(certificates.clone())).await
    });
    measure(group, "quic/floor", calls, async || {
        floor::quic(certificates).await
    });
}

/// Measures from within a task: the thread that waits for the runtime is none of its workers.
fn measure<A: Ask>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    calls: usize,
    start: impl AsyncFn() -> A,
) {
    group.bench_function(name, |bencher| {
        let mut runtime = Builder::new_multi_thread();
        let runtime = runtime.worker_threads(2).enable_all().build();
        let runtime = runtime.expect("threads can be started");
        let mut idle = Some(runtime.block_on(start()));
        bencher.iter_custom(|rounds| {
            let asking = idle.take().expect("it comes back");
            let task = runtime.spawn(run(asking, calls, rounds));
            let (elapsed, asked) = runtime.block_on(task).expect("no call fails");
            idle = Some(asked);
            elapsed
        });
    });
}

async fn run<A: Ask>(mut asked: A, calls: usize, rounds: u64) -> (Duration, A) {
    let start = Instant::now();
    for _ in 0..rounds {
        match calls {
            1 => asked.ask().await,
            _ => asked.ask_at_once(calls).await,
        }
    }
    (start.elapsed(), asked)
}

criterion_group!(benches, ask, ask_64);
criterion_main!(benches);

const LOOPBACK: &str = "127.0.0.1:0";
