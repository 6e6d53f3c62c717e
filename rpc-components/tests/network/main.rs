//! Processes that talk over a real network while it fails, and while they do: a test without the
//! usual harness, since its own program is also the processes that it starts.
//!
//! Each case has network namespaces of its own, as a user without rights may make them. It runs with
//! `cargo test -p rpc-components --all-features --test network`, and a part of a case's name runs that.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "it says what came of each case, and a test that meets an error has failed"
)]

mod cases;
#[path = "../../cli/tests/child/mod.rs"]
mod child;
mod net;
mod pair;
mod probe;

use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::thread;

use self::cases::CASES;
use self::pair::Scheme;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let first = args.next();
    if first.as_deref() == Some("probe") {
        return probe::main(args);
    }
    let filter = first.filter(|it| !it.starts_with('-')).unwrap_or_default();
    for tool in ["ip", "nft", "nsenter", "ss", "tc", "unshare"] {
        let found = Command::new(tool).arg("--version").output().is_ok();
        assert!(
            found,
            "`{tool}` is missing: install iproute2, nftables and util-linux"
        );
    }
    let mut cases = Vec::new();
    for (name, case, schemes) in CASES {
        for scheme in *schemes {
            let name = format!("{name} ({})", scheme.name());
            if name.contains(&filter) {
                cases.push((name, *case, *scheme));
            }
        }
    }
    assert!(!cases.is_empty(), "no case has {filter} in its name");
    run(cases)
}

/// Runs some cases at once: they mostly wait.
fn run(cases: Vec<(String, fn(Scheme), Scheme)>) -> ExitCode {
    let cases = Mutex::new(cases.into_iter());
    let next = || cases.lock().unwrap().next();
    let work = || {
        let mut failed = 0;
        while let Some((name, case, scheme)) = next() {
            let thread = thread::Builder::new().name(name.clone());
            let ended = thread.spawn(move || case(scheme)).unwrap().join();
            let verdict = if ended.is_ok() { "ok" } else { "FAILED" };
            println!("test {name} ... {verdict}");
            failed += usize::from(ended.is_err());
        }
        failed
    };
    let failed: usize = thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
        workers.into_iter().map(|it| it.join().unwrap()).sum()
    });
    match failed {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

const AT_ONCE: usize = 4;
