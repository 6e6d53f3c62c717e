//! How long does a one-way message take, on average, if one follows the other?

mod common;

use benches::harness::Load;
use criterion::{Criterion, criterion_group, criterion_main};

use self::common::compare;

fn one_way(criterion: &mut Criterion) {
    compare(criterion, "one_way", Load::Tell, SUBJECTS);
}

criterion_group!(benches, one_way);
criterion_main!(benches);

const SUBJECTS: &[&str] = &[
    "service/mpsc-bounded",
    "service/mpsc-unbounded",
    "service/rpc",
    "service/fenced",
    "local/rpc",
    "tcp/multiplexer",
    "tcp/rpc",
    "quic/multiplexer",
    "quic/rpc",
];
