//! How long does it take to start and to stop an endpoint, and to call one of many?

mod common;

use benches::harness::Load;
use criterion::{Criterion, criterion_group, criterion_main};

use self::common::compare;

fn endpoints(criterion: &mut Criterion) {
    compare(criterion, "start_and_stop", Load::ask(1, 1), SHORT_LIVED);
    compare(criterion, "one_of_many", Load::ask(1, 1), MANY);
}

criterion_group!(benches, endpoints);
criterion_main!(benches);

const SHORT_LIVED: &[&str] = &["service/task-start-and-stop", "service/start-and-stop"];
const MANY: &[&str] = &["tcp/rpc", "tcp/rpc/64-endpoints"];
