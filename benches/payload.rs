//! How many bytes go forth and back in a second, in messages of each size?

mod common;

use benches::harness::Load;
use criterion::{Criterion, criterion_group, criterion_main};

use self::common::compare;

fn payload(criterion: &mut Criterion) {
    for (name, bytes) in [
        ("payload_1KiB", 1 << 10),
        ("payload_64KiB", 64 << 10),
        ("payload_1MiB", 1 << 20),
    ] {
        compare(criterion, name, Load::echo(bytes, 1), SUBJECTS);
    }
}

criterion_group!(benches, payload);
criterion_main!(benches);

const SUBJECTS: &[&str] = &[
    "local/rpc",
    "tcp/copy",
    "tcp/rpc",
    "tcp/tarpc",
    "tcp/tonic",
    "tcp/remoc",
    "tls/rpc",
    "quic/copy",
    "quic/rpc",
];
