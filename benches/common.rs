//! What all benches share.

use benches::harness::{Load, Place};
use benches::subjects;
use criterion::{Criterion, Throughput};

/// Measures subjects under a load, in a process that has both sides. Those that are not built in are
/// left out.
pub(crate) fn compare(criterion: &mut Criterion, name: &str, load: Load, subjects: &[&str]) {
    let mut group = criterion.benchmark_group(name);
    group.throughput(match load.bytes() {
        0 => Throughput::Elements(1),
        bytes => Throughput::Bytes(bytes as u64),
    });
    for entry in subjects.iter().filter_map(|it| subjects::find(it)) {
        group.bench_function(entry.name, |bencher| {
            let running = entry.start(Place::One).expect("it can be started");
            bencher.iter_custom(|calls| running.times(load, calls));
        });
    }
}
