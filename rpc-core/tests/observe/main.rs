//! What is seen from outside of what a service does: spans, metrics, reports, warnings.
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

use parking_lot::{Mutex, MutexGuard};

mod book;
mod context;
mod log;
mod metrics;
mod pipes;
mod relay;
mod reports;
mod rounds;
mod stalls;
mod traces;

/// Lets one test run at a time; each has to hold it.
///
/// What is recorded of a place in the code is worked out when a thread first comes there, and again
/// when a recorder comes: tracing loses the recorder that comes while another thread is at it. In a
/// program, which installs its recorder at its beginning, nobody is.
fn alone() -> Alone {
    static ALONE: Mutex<()> = Mutex::new(());
    Alone(ALONE.lock())
}

struct Alone(#[expect(dead_code, reason = "held for its end")] MutexGuard<'static, ()>);
