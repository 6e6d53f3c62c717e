//! How many instructions a call takes: the same on each run but for a few, so that one sees a change
//! that a clock does not show.
//!
//! Valgrind counts those of a process that makes N calls, and of one that makes 2 N, on a runtime of
//! one thread. What both do besides the calls cancels out.

use std::process::Command;

use benches::harness::{Load, Subject};
use benches::rpc::{Local, Quick, Rpc, SameService};
use clap::ValueEnum;
use rpc_core::BoxError;
use tokio::runtime::Builder;

use crate::table::Table;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Counted {
    /// Calls within a process, one at a time.
    Ask,
    /// One-way messages within a process.
    OneWay,
    /// Calls as frames in memory, one at a time.
    LocalAsk,
    /// One-way messages as frames in memory.
    LocalOneWay,
    /// Calls as frames in memory, 64 at a time.
    LocalAskMany,
}

impl Counted {
    const fn text(self) -> &'static str {
        match self {
            Self::Ask => "a call within a process",
            Self::OneWay => "a one-way message within a process",
            Self::LocalAsk => "a call as frames in memory: two of them",
            Self::LocalOneWay => "a one-way message as a frame in memory",
            Self::LocalAskMany => "one of 64 calls at once, as frames in memory",
        }
    }

    /// Makes so many calls.
    async fn run(self, calls: u64) {
        match self {
            Self::Ask => run::<Rpc<SameService, Quick>>(Load::ask(1, 1), calls).await,
            Self::OneWay => run::<Rpc<SameService, Quick>>(Load::Tell, calls).await,
            Self::LocalAsk => run::<Rpc<Local, Quick>>(Load::ask(1, 1), calls).await,
            Self::LocalOneWay => run::<Rpc<Local, Quick>>(Load::Tell, calls).await,
            Self::LocalAskMany => run::<Rpc<Local, Quick>>(Load::ask(1, 64), calls).await,
        }
    }

    /// Counts the instructions of a process that makes so many calls.
    fn count(self, calls: u64) -> Result<u64, BoxError> {
        let name = self.to_possible_value().expect("all have names");
        let mut command = Command::new("valgrind");
        command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
        command.arg(std::env::current_exe()?);
        command.args(["counted", name.get_name(), &calls.to_string()]);
        let output = command.output()?;
        let text = String::from_utf8_lossy(&output.stderr);
        let count = collected(&text).filter(|_| output.status.success());
        count.ok_or_else(|| text.lines().last().unwrap_or("no word of valgrind").into())
    }
}

async fn run<S: Subject>(load: Load, calls: u64) {
    let address = S::serve().await;
    load.times(S::connect(address).await, calls).await;
}

/// Counts all, and puts them into a table.
pub(crate) fn table() -> Result<Table, BoxError> {
    if Command::new("valgrind").arg("--version").output().is_err() {
        return Err("there is no valgrind: `apt-get install valgrind` or the like gets it".into());
    }
    let mut table = Table::new(["what", "instructions"]);
    for counted in Counted::value_variants() {
        let (once, twice) = (counted.count(CALLS)?, counted.count(2 * CALLS)?);
        let each = twice.saturating_sub(once) as f64 / CALLS as f64;
        table.push([counted.text().to_owned(), format!("{each:.0}")]);
    }
    Ok(table)
}

/// Is the process whose instructions are counted.
pub(crate) fn child(counted: Counted, calls: u64) {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("it needs no thread");
    runtime.block_on(counted.run(calls));
    runtime.shutdown_background();
}

/// Finds the count in what callgrind says, such as `==7== Collected : 1234`.
fn collected(text: &str) -> Option<u64> {
    let mut lines = text.lines();
    let (_, count) = lines.find_map(|it| it.split_once("Collected : "))?;
    count.trim().parse().ok()
}

/// A whole number of batches of one-way messages.
const CALLS: u64 = 1 << 13;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_found() {
        let text = "==7== Events    : Ir\n==7== Collected : 1234\n==7==\n";
        assert_eq!(collected(text), Some(1234));
        assert_eq!(collected("Events : Ir"), None);
    }
}
