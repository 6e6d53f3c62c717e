//! The command line of the cluster: `rpc-cluster`.
//!
//! A program that registers operators of its own gets the same command line with
//! [`main_with`]:
//!
//! ```no_run
//! use rpc_components::operator::OperatorRegistry;
//!
//! fn main() -> std::process::ExitCode {
//!     let operators = OperatorRegistry::new();
//!     // operators.register_transform(..)
//!     rpc_cli::main_with(operators)
//! }
//! ```

mod address;
mod args;
mod ask;
mod certificates;
mod config;
mod error;
mod job_manager;
mod output;
mod progress;
mod run;
mod signal;
mod task_manager;

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use rpc_components::operator::OperatorRegistry;
use tokio::runtime::{Builder, Runtime};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use self::args::{Args, Command};
use self::error::CliError;

/// Runs the command line, with the operators that jobs may be made of.
///
/// Exit status: 0 done; 1 the job failed or was cancelled, or the cluster did; 2 the command line or
/// a file is wrong. Results go to the standard output, everything else to the standard error.
pub fn main_with(operators: OperatorRegistry) -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return usage(&error),
    };
    // Whoever runs for long has nobody to fail before, and says what is amiss.
    let usual = match &args.command {
        Command::Jobmanager(_) | Command::Taskmanager(_) => LevelFilter::WARN,
        _ => LevelFilter::ERROR,
    };
    if let Err(error) = start_logging(args.log.as_deref(), usual) {
        return end(Err(error));
    }
    end(runtime().and_then(|runtime| {
        let result = runtime.block_on(execute(args.command, Arc::new(operators)));
        // Threads of tasks that do not end are not waited for.
        runtime.shutdown_background();
        result
    }))
}

/// Starts the runtime, with as many threads as its variable says, which it would not look at closely.
fn runtime() -> Result<Runtime, CliError> {
    let mut builder = Builder::new_multi_thread();
    if let Some(text) = std::env::var_os(WORKER_THREADS) {
        let threads = text.to_str().and_then(|text| text.parse().ok());
        let threads = threads.filter(|threads| (1..=WORKER_THREADS_MAX).contains(threads));
        let threads = threads.ok_or_else(|| {
            let text = text.display();
            CliError::usage(format!(
                "{WORKER_THREADS} is `{text}`, not a number of threads from 1 to {WORKER_THREADS_MAX}"
            ))
        })?;
        builder.worker_threads(threads);
    }
    let runtime = builder.enable_all().build();
    runtime.map_err(|error| CliError::failed("cannot start the runtime", &error))
}

fn end(result: Result<(), CliError>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::complain(&error.to_string());
            ExitCode::from(error.status())
        }
    }
}

async fn execute(command: Command, operators: Arc<OperatorRegistry>) -> Result<(), CliError> {
    signal::survive_file_size_limit()?;
    match command {
        Command::Cancel(args) => ask::cancel(args).await,
        Command::Certificates(args) => certificates::generate(&args),
        Command::Info(args) => ask::info(args).await,
        Command::Jobmanager(args) => job_manager::run(args, operators).await,
        Command::List(args) => ask::list(args).await,
        Command::Metrics(args) => ask::metrics(args).await,
        Command::Run(args) => run::run(*args, operators).await,
        Command::TaskManagers(args) => ask::task_managers(args).await,
        Command::Taskmanager(args) => task_manager::run(args, operators).await,
    }
}

/// Prints what clap has to say: help to the standard output, and an error on one line.
fn usage(error: &clap::Error) -> ExitCode {
    use clap::error::ErrorKind;
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            end(output::print(&error.to_string()))
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            output::complain_raw(&error.to_string());
            ExitCode::from(2)
        }
        _ => {
            let text = error.to_string();
            let text = text.trim_start_matches("error: ");
            // What is wrong, and perhaps a tip; not the usage, which takes more than a line.
            let paragraphs = text.split("\n\n").map(str::trim).take_while(|it| {
                !it.starts_with("Usage:") && !it.starts_with("For more information")
            });
            let message = paragraphs.collect::<Vec<_>>().join("; ");
            end(Err(CliError::usage(message)))
        }
    }
}

fn start_logging(filter: Option<&str>, usual: LevelFilter) -> Result<(), CliError> {
    let filter = match filter {
        Some(text) => EnvFilter::try_new(text)
            .map_err(|error| CliError::usage(format!("--log {text}: {error}")))?,
        None => EnvFilter::builder()
            .with_default_directive(usual.into())
            .from_env_lossy(),
    };
    // A second subscriber, as in tests, is no reason to stop.
    let _ = tracing_subscriber::fmt()
        .with_ansi(std::io::stderr().is_terminal())
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .try_init();
    Ok(())
}

/// How many threads tokio's runtime has.
const WORKER_THREADS: &str = "TOKIO_WORKER_THREADS";

/// More than any machine has cores.
const WORKER_THREADS_MAX: usize = 1024;
