//! What does a call cost, beside the least that it could cost?
//!
//! `report` runs every scenario and writes tables and plots, `run` compares what it is told,
//! `instructions` counts by valgrind, and `list` tells what there is. See `benches/README.md`.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "figures are what it is for"
)]

mod arguments;
mod chart;
mod compare;
mod curve;
mod figure;
mod instructions;
mod latency_chart;
mod machine;
mod memory;
mod observed;
mod parse;
mod report;
mod scenario;
mod scenarios;
mod table;
mod text;
mod word_count;

use std::io::{self, Write};
use std::process::ExitCode;

use benches::harness::{Place, ServerProcess};
use benches::subjects;
use clap::Parser;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use rpc_core::BoxError;

use self::arguments::{Arguments, Command, RunArguments};
use self::compare::Comparison;

fn main() -> ExitCode {
    allow_descriptors();
    let command = Arguments::parse().command;
    if cfg!(debug_assertions) && command.measures() {
        eprintln!(
            "this is a debug build, whose figures say little: `cargo run --release` is for them"
        );
    }
    match act(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn act(command: Command) -> Result<(), BoxError> {
    match command {
        Command::Report(arguments) => report::write(&arguments),
        Command::Run(arguments) => run(&arguments),
        Command::List => Ok(list(&mut io::stdout().lock())?),
        Command::Serve { name, pinned } => {
            let place = if pinned { Place::TwoPinned } else { Place::Two };
            ServerProcess::serve(parse::subject(&name)?, place);
            Ok(())
        }
        Command::Instructions => {
            println!("{}", instructions::table()?);
            Ok(())
        }
        Command::Counted { what, calls } => {
            instructions::child(what, calls);
            Ok(())
        }
        Command::Idle { kind } => {
            println!("{}", memory::child(kind)?);
            Ok(())
        }
        Command::Watched {
            watched,
            load,
            name,
            time,
        } => {
            println!("{}", observed::child(watched, &load, &name, time)?);
            Ok(())
        }
    }
}

/// Compares what the command line names.
fn run(arguments: &RunArguments) -> Result<(), BoxError> {
    let load = parse::load(&arguments.load)?;
    let names = arguments.names.iter();
    let entries: Vec<_> = names
        .map(|it| parse::subject(it))
        .collect::<Result<_, _>>()?;
    let comparison = Comparison {
        load,
        place: arguments.place.into(),
        figure: arguments.figure.unwrap_or_else(|| figure::usual(load)),
        entries,
    };
    let results = comparison.measure(arguments.plan);
    println!("{}\n\n{}", results.what_is_compared(), results.table());
    Ok(())
}

fn list(out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "subjects:")?;
    for subject in subjects::all() {
        writeln!(out, "  {}", subject.name)?;
    }
    writeln!(out, "scenarios:")?;
    for chapter in report::chapters() {
        writeln!(out, "  {:32} {}", chapter.name(), chapter.title())?;
    }
    Ok(())
}

/// Takes as many descriptors as it may: a thousand connections need two thousand, and more.
fn allow_descriptors() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // If not, a scenario that needs them says so.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}
