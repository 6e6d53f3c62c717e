//! How long does a call take by the kind of its handler?
//!
//! `rpc` is a quick handler, `interleaving` one that may await, `nested` one that asks another
//! endpoint, and `fenced` a quick one behind a fencing token.

mod common;

use benches::harness::Load;
use criterion::{Criterion, criterion_group, criterion_main};

use self::common::compare;

fn handlers(criterion: &mut Criterion) {
    compare(criterion, "handlers", Load::ask(1, 1), SUBJECTS);
}

criterion_group!(benches, handlers);
criterion_main!(benches);

const SUBJECTS: &[&str] = &[
    "service/rpc",
    "service/interleaving",
    "service/nested",
    "service/fenced",
    "tcp/rpc",
    "tcp/interleaving",
    "tcp/nested",
    "tcp/fenced",
];
