//! How long does a call take, one at a time, by each transport and beside each floor?

mod common;

use benches::harness::Load;
use criterion::{Criterion, criterion_group, criterion_main};

use self::common::compare;

fn latency(criterion: &mut Criterion) {
    compare(criterion, "latency", Load::ask(1, 1), SUBJECTS);
}

criterion_group!(benches, latency);
criterion_main!(benches);

const SUBJECTS: &[&str] = &[
    "service/mpsc-unbounded",
    "service/mpsc-bounded",
    "service/rpc",
    "service/ractor",
    "service/kameo",
    "service/actix",
    "service/tarpc",
    "service/irpc",
    "local/rpc",
    "tcp/ping-pong",
    "tcp/multiplexer",
    "tcp/rpc",
    "tcp/tarpc",
    "tcp/tonic",
    "tcp/remoc",
    "tls/ping-pong",
    "tls/rpc",
    "quic/ping-pong",
    "quic/multiplexer",
    "quic/stream-per-call",
    "quic/rpc",
    "quic/tarpc",
];
