use std::path::PathBuf;
use std::time::Duration;

use benches::harness::Place;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::figure::Figure;
use crate::instructions::Counted;
use crate::memory::Kind;
use crate::observed::Watched;

/// Measures what calls cost, beside the least that they could cost.
#[derive(Debug, Parser)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs the scenarios, and writes tables and plots.
    Report(ReportArguments),
    /// Compares subjects under one load, the first being what the others are compared to.
    Run(RunArguments),
    /// Counts the instructions of calls, by valgrind.
    Instructions,
    /// Lists the subjects and the scenarios.
    List,
    /// Is the other process.
    #[command(hide = true)]
    Serve {
        name: String,
        #[arg(long)]
        pinned: bool,
    },
    /// Is the process that has a million of something.
    #[command(hide = true)]
    Idle { kind: Kind },
    /// Is the process whose calls are watched, or not.
    #[command(hide = true)]
    Watched {
        watched: Watched,
        load: String,
        name: String,
        #[arg(value_parser = parse_millis)]
        time: Duration,
    },
    /// Is the process whose instructions are counted.
    #[command(hide = true)]
    Counted { what: Counted, calls: u64 },
}

impl Command {
    /// Tells whether it is about figures, and not a part of another that is.
    pub(crate) const fn measures(&self) -> bool {
        matches!(self, Self::Report(_) | Self::Run(_) | Self::Instructions)
    }
}

#[derive(Args, Debug)]
pub(crate) struct ReportArguments {
    /// The folder that the report is written to.
    #[arg(long, value_name = "DIR", default_value = "target/bench-report")]
    pub(crate) out: PathBuf,
    /// Only the scenarios whose name has this in it.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) only: String,
    #[command(flatten)]
    pub(crate) plan: Plan,
}

#[derive(Args, Debug)]
pub(crate) struct RunArguments {
    /// `ask:CALLERSxINFLIGHT`, `tell` or `echo:BYTESxINFLIGHT`.
    pub(crate) load: String,
    /// Subjects, as `list` names them.
    #[arg(required = true, value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// Where caller and callee run.
    #[arg(long, default_value = "one")]
    pub(crate) place: PlaceArgument,
    /// What is compared; by default what the load is usually about.
    #[arg(long)]
    pub(crate) figure: Option<Figure>,
    #[command(flatten)]
    pub(crate) plan: Plan,
}

/// How long it is measured.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// How many rounds count, after one that does not.
    #[arg(long, default_value_t = 7, value_parser = parse_rounds)]
    pub(crate) rounds: usize,
    /// How long each subject is loaded in each round.
    #[arg(long, value_name = "MILLIS", default_value = "300", value_parser = parse_millis)]
    pub(crate) time: Duration,
}

/// The places, as the command line names them.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum PlaceArgument {
    /// In one process.
    One,
    /// In two processes.
    Two,
    /// In two processes on one processor.
    Pinned,
}

impl From<PlaceArgument> for Place {
    fn from(place: PlaceArgument) -> Self {
        match place {
            PlaceArgument::One => Self::One,
            PlaceArgument::Two => Self::Two,
            PlaceArgument::Pinned => Self::TwoPinned,
        }
    }
}

fn parse_rounds(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(rounds) if rounds > 0 => Ok(rounds),
        _ => Err("a count from 1".to_owned()),
    }
}

fn parse_millis(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(millis) if millis > 0 => Ok(Duration::from_millis(millis)),
        _ => Err("milliseconds from 1".to_owned()),
    }
}
