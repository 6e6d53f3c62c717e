//! How long does a call take, on average, while others are under way?
//!
//! `in_flight_64` and `in_flight_512` are calls of one task, and `tasks_64` is one call of each of 64
//! tasks.

mod common;

use benches::harness::Load;
use criterion::{Criterion, criterion_group, criterion_main};

use self::common::compare;

fn in_flight(criterion: &mut Criterion) {
    compare(criterion, "in_flight_64", Load::ask(1, 64), SUBJECTS);
    compare(criterion, "in_flight_512", Load::ask(1, 512), SUBJECTS);
    compare(criterion, "tasks_64", Load::ask(64, 1), SUBJECTS);
}

criterion_group!(benches, in_flight);
criterion_main!(benches);

const SUBJECTS: &[&str] = &[
    "service/mpsc-unbounded",
    "service/rpc",
    "service/ractor",
    "service/kameo",
    "service/actix",
    "service/tarpc",
    "local/rpc",
    "tcp/multiplexer",
    "tcp/rpc",
    "tcp/tarpc",
    "tcp/tonic",
    "tcp/remoc",
    "tls/rpc",
    "quic/multiplexer",
    "quic/stream-per-call",
    "quic/rpc",
    "quic/tarpc",
];
