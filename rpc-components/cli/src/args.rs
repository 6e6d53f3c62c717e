//! What may stand on the command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args as ClapArgs, Parser, Subcommand};
use rpc_components::id::{JobId, check_name};
use rpc_components::job_graph::RestartStrategy;
use rpc_components::transport::Security;

/// A Flink-shaped cluster: run jobs in one process, or start its processes and talk to them.
#[derive(Debug, Parser)]
#[command(
    name = "rpc-cluster",
    version,
    arg_required_else_help = true,
    after_help = EXAMPLES
)]
pub(crate) struct Args {
    /// What to log to the standard error, such as `info` or `rpc_components=debug`; without it, what
    /// the variable RUST_LOG says, or else errors, and of a JobManager and a TaskManager also warnings.
    #[arg(long, global = true, value_name = "FILTER", display_order = LAST)]
    pub(crate) log: Option<String>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Cancel a job.
    Cancel(JobArgs),
    /// Make certificates for mutual TLS between the processes of a cluster.
    Certificates(CertificatesArgs),
    /// Show a job in full.
    Info(JobArgs),
    /// Start a JobManager: a Dispatcher and a ResourceManager.
    Jobmanager(JobManagerArgs),
    /// List the jobs that run, and the last that have ended.
    List(TargetArgs),
    /// Show the metrics of every process.
    Metrics(TargetArgs),
    /// Run a job: in a cluster of this process, or in the one that --target names.
    Run(Box<RunArgs>),
    /// List the TaskManagers.
    TaskManagers(TargetArgs),
    /// Start a TaskManager, which registers at a JobManager.
    Taskmanager(TaskManagerArgs),
}

/// How to prove who one is.
#[derive(Clone, Debug, ClapArgs)]
#[command(next_help_heading = "Security")]
pub(crate) struct SecurityArgs {
    /// This process's certificate, in PEM, for mutual TLS.
    #[arg(long, value_name = "FILE", requires_all = ["tls_key", "tls_ca"])]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key, in PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// The certificates of the authorities that peers' are judged by, in PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_ca: Option<PathBuf>,
    /// Talk without certificates: by tcp also where other hosts can listen, by quic on loopback.
    #[arg(long, conflicts_with = "tls_cert")]
    insecure: bool,
}

impl SecurityArgs {
    /// Tells whether there are files that may be replaced.
    pub(crate) const fn has_files(&self) -> bool {
        self.tls_cert.is_some()
    }

    pub(crate) fn security(self) -> Security {
        match (self.tls_cert, self.tls_key, self.tls_ca) {
            (Some(certificate), Some(key), Some(authority)) => Security::MutualTls {
                certificate,
                key,
                authority,
            },
            _ if self.insecure => Security::Insecure,
            _ => Security::None,
        }
    }
}

#[derive(Debug, ClapArgs)]
pub(crate) struct CertificatesArgs {
    /// The folder to write them to; it is made if it is not there.
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
    /// The names of the hosts that the certificate is valid for, besides localhost.
    #[arg(long, value_name = "NAME", num_args = 1..)]
    pub(crate) host: Vec<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct TargetArgs {
    /// The address of the JobManager, such as tcp://127.0.0.1:6123.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) target: String,
    #[command(flatten)]
    pub(crate) security: SecurityArgs,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct JobArgs {
    /// The job's id, as `run` and `list` print it.
    #[arg(value_name = "JOB", value_parser = job_id)]
    pub(crate) job: JobId,
    #[command(flatten)]
    pub(crate) target: TargetArgs,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct JobManagerArgs {
    /// Where to listen.
    #[arg(long, value_name = "ADDRESS", default_value = "tcp://127.0.0.1:6123")]
    pub(crate) listen: String,
    /// The host and port by which others reach this process, if not those of --listen.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) advertise: Option<String>,
    /// A TOML file of limits and times, with lines such as `heartbeat_timeout_ms = 50000`.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) security: SecurityArgs,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct TaskManagerArgs {
    /// The address of the JobManager.
    #[arg(long, value_name = "ADDRESS", default_value = "tcp://127.0.0.1:6123")]
    pub(crate) jobmanager: String,
    /// Where to listen; by default at any port of 127.0.0.1, by the JobManager's transport.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<String>,
    /// The host and port by which others reach this process, if not those of --listen.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) advertise: Option<String>,
    /// How many slots it has: how many subtasks of each operator run at once.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) slots: u32,
    /// Its name, which no other that runs may have; by default a new one.
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub(crate) name: Option<String>,
    /// A TOML file of limits and times, with lines such as `heartbeat_timeout_ms = 50000`.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) security: SecurityArgs,
}

#[derive(Debug, ClapArgs)]
#[command(group = ArgGroup::new("what").args(["name", "job"]).required(true))]
pub(crate) struct RunArgs {
    /// A job that is built in: `word-count`, which counts the words of files.
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// A TOML file that describes a job, instead of NAME; its paths are relative to the working folder.
    #[arg(long, value_name = "FILE")]
    pub(crate) job: Option<PathBuf>,
    /// The files and folders that word-count reads.
    #[arg(long, value_name = "PATH", num_args = 1.., conflicts_with = "job")]
    pub(crate) input: Vec<PathBuf>,
    /// The file that word-count writes; by default it prints.
    #[arg(long, value_name = "FILE", conflicts_with = "job")]
    pub(crate) output: Option<PathBuf>,
    /// How many subtasks each operator has for which the job says nothing else.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub(crate) parallelism: u32,
    /// How long the job may wait for slots, in seconds; by default as its file says, or else 15.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true)]
    pub(crate) slot_timeout: Option<Duration>,
    /// Wait for slots for ever.
    #[arg(long, conflicts_with = "slot_timeout")]
    pub(crate) wait_for_slots: bool,
    /// How the job is restarted, from its beginning, when a task fails or a TaskManager is lost: none,
    /// fixed-delay[:ATTEMPTS[:DELAY]], failure-rate[:FAILURES[:INTERVAL[:DELAY]]] or
    /// exponential-delay[:INITIAL[:MAX[:MULTIPLIER[:RESET_AFTER[:JITTER[:ATTEMPTS]]]]]], all times in
    /// seconds; by default as its file says, or else as the cluster does, which is fixed-delay:3:1.
    #[arg(long, value_name = "STRATEGY")]
    pub(crate) restart: Option<RestartStrategy>,
    /// The address of the JobManager of a cluster to run the job in, such as tcp://127.0.0.1:6123;
    /// without it, a cluster of this process.
    #[arg(long, value_name = "ADDRESS", conflicts_with_all = ["transport", "task_managers", "slots"])]
    pub(crate) target: Option<String>,
    /// Print the job's id when the cluster has taken it, and leave it running there.
    #[arg(long, requires = "target")]
    pub(crate) detached: bool,
    #[command(flatten)]
    pub(crate) embedded: EmbeddedArgs,
    #[command(flatten)]
    pub(crate) security: SecurityArgs,
}

/// The cluster of this process.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "The cluster of this process")]
pub(crate) struct EmbeddedArgs {
    /// How its components talk to each other.
    #[arg(long, value_name = "NAME", default_value = "local", value_parser = ["local", "quic", "tcp"])]
    pub(crate) transport: String,
    /// How many TaskManagers it has.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) task_managers: u32,
    /// How many slots each TaskManager has; by default as many as the job needs.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) slots: Option<u32>,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text
        .parse()
        .map_err(|_| String::from("not a number of seconds"))?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

fn name(text: &str) -> Result<String, String> {
    check_name(text).map_err(|error| format!("the name {error}"))?;
    Ok(text.to_owned())
}

/// Ids are as they are printed: a part of one is another job's.
fn job_id(text: &str) -> Result<JobId, String> {
    let digits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let id = digits.then(|| text.parse().ok()).flatten();
    id.ok_or_else(|| String::from("a job's id has 32 hexadecimal digits"))
}

/// Behind every other option.
const LAST: usize = 900;

const EXAMPLES: &str = "\
Examples:
  rpc-cluster run word-count --input FILE --parallelism 2
  rpc-cluster jobmanager --listen tcp://127.0.0.1:6123
  rpc-cluster taskmanager --jobmanager tcp://127.0.0.1:6123 --slots 2
  rpc-cluster run --job JOB.toml --target tcp://127.0.0.1:6123

Exit status: 0 done; 1 the job or the cluster failed, or the job was cancelled; 2 the command line or
a file is wrong. Results go to the standard output, everything else to the standard error.";
