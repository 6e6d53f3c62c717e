//! Whole jobs: the words of a file, counted by a loop and by clusters.

mod cluster;
mod plain;
mod words;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use rpc_core::BoxError;
use tokio::time::Instant;

use self::cluster::Cluster;
use crate::arguments::Plan;
use crate::table::Table;
use crate::text;

/// Where things are.
struct Files {
    /// The cluster's program.
    program: PathBuf,
    input: PathBuf,
    output: PathBuf,
}

/// Who counts.
enum Way {
    /// A loop of one thread.
    Plain,
    /// A cluster that is started for the job, in one process, with these options.
    Embedded(&'static str, &'static [&'static str]),
    /// A cluster of processes that is there before.
    Processes(Result<Cluster, BoxError>),
}

/// What a way has shown: how long each round took, and what came out.
type Counted = Result<(Vec<Duration>, Vec<u8>), BoxError>;

impl Way {
    const fn text(&self) -> &'static str {
        match self {
            Self::Plain => "a loop of one thread",
            Self::Embedded(text, _) => text,
            Self::Processes(_) => "a cluster of two TaskManager processes, over TCP",
        }
    }

    /// Counts once.
    fn count(&self, files: &Files) -> Result<(), BoxError> {
        match self {
            Self::Plain => Ok(plain::count(&files.input, &files.output)?),
            Self::Embedded(_, options) => cluster::count(files, &files.input, options),
            Self::Processes(Ok(cluster)) => cluster.count(files, &files.input),
            Self::Processes(Err(error)) => Err(error.to_string().into()),
        }
    }

    /// Counts once more, unless that has failed before.
    fn add_to(&self, counted: &mut Counted, files: &Files) {
        if let Ok((times, output)) = counted {
            let begin = Instant::now();
            let ended = self.count(files);
            times.push(begin.elapsed());
            match ended.and_then(|()| Ok(fs::read(&files.output)?)) {
                Ok(bytes) => *output = bytes,
                Err(error) => *counted = Err(error),
            }
        }
    }
}

/// Counts the same words in all ways, in turns, and compares how long that takes and what comes out.
pub(crate) fn table(plan: Plan) -> Result<Table, BoxError> {
    let program = std::env::current_exe()?;
    let folder = program.parent().ok_or("a program is in a folder")?;
    let files = Files {
        program: folder.join("rpc-cluster"),
        input: words::file(folder)?,
        output: folder.join("bench-word-counts"),
    };
    let mut all: Vec<(Way, Counted)> = Vec::new();
    for way in [
        Way::Plain,
        Way::Embedded("a cluster in one process", &[]),
        Way::Embedded(
            "a cluster in one process, over TCP",
            &["--transport", "tcp", "--task-managers", "2"],
        ),
        Way::Processes(Cluster::start(&files)),
    ] {
        all.push((way, Ok((Vec::new(), Vec::new()))));
    }
    for _ in 0..=plan.rounds.min(ROUNDS_MAX) {
        for (way, counted) in &mut all {
            way.add_to(counted, &files);
        }
    }
    Ok(compare(&all))
}

/// Puts all into a table. The first is what the others are compared to.
fn compare(all: &[(Way, Counted)]) -> Table {
    let names = [
        "who counts",
        "times the first",
        "wall time",
        "what comes out",
    ];
    let mut table = Table::new(names);
    let mut first = None;
    for (way, counted) in all {
        match counted {
            Ok((times, output)) => {
                let time = median(times);
                let (least, expected) = *first.get_or_insert((time, output));
                let ratio = text::digits(time / least);
                let output = match output == expected {
                    true => "the same",
                    false => "something else",
                };
                table.push([way.text(), &ratio, &text::time(time), output]);
            }
            Err(error) => table.push([way.text(), &format!("failed: {error}")]),
        }
    }
    table
}

/// Returns the median of all rounds but the first, in nanoseconds.
fn median(times: &[Duration]) -> f64 {
    let mut counted = times[1..].to_vec();
    counted.sort_unstable();
    counted[counted.len() / 2].as_nanos() as f64
}

/// Each round takes seconds.
const ROUNDS_MAX: usize = 3;
