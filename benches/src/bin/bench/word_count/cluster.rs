use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};

use rpc_core::BoxError;

use super::Files;

/// A JobManager and two TaskManagers with one slot each, which end with this.
pub(super) struct Cluster {
    address: String,
    processes: Vec<Child>,
    /// Kept, so that what the JobManager says has somewhere to go.
    _said: BufReader<ChildStderr>,
}

impl Cluster {
    /// Starts it, and waits until it has run a job.
    pub(super) fn start(files: &Files) -> Result<Self, BoxError> {
        is_built(files)?;
        let mut command = Command::new(&files.program);
        command.args(["jobmanager", "--listen", "tcp://127.0.0.1:0"]);
        let mut job_manager = command.stderr(Stdio::piped()).spawn()?;
        let said = job_manager.stderr.take().expect("it is piped");
        let mut cluster = Self {
            address: String::new(),
            processes: vec![job_manager],
            _said: BufReader::new(said),
        };
        let mut line = String::new();
        cluster._said.read_line(&mut line)?;
        let address = line.split_whitespace().find(|it| it.starts_with("tcp://"));
        address
            .ok_or("no JobManager")?
            .clone_into(&mut cluster.address);
        for _ in 0..2 {
            let mut command = Command::new(&files.program);
            command.args(["taskmanager", "--jobmanager", &cluster.address]);
            let started = command.stderr(Stdio::null()).spawn()?;
            cluster.processes.push(started);
        }
        let small = files.output.with_extension("small");
        fs::write(&small, "a b c")?;
        cluster.count(files, &small)?;
        Ok(cluster)
    }

    /// Counts the words of a file.
    pub(super) fn count(&self, files: &Files, input: &Path) -> Result<(), BoxError> {
        count(
            files,
            input,
            &["--target", &self.address, "--wait-for-slots"],
        )
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for process in &mut self.processes {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// Has the words of a file counted by two subtasks of a cluster that options tell of.
pub(super) fn count(files: &Files, input: &Path, options: &[&str]) -> Result<(), BoxError> {
    is_built(files)?;
    let mut command = Command::new(&files.program);
    command.args(["run", "word-count", "--parallelism", "2"]);
    command.args([OsStr::new("--input"), input.as_os_str()]);
    command.args([OsStr::new("--output"), files.output.as_os_str()]);
    let output = command.args(options).output()?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(text.lines().last().unwrap_or("it says nothing").into())
}

fn is_built(files: &Files) -> Result<(), BoxError> {
    if files.program.exists() {
        return Ok(());
    }
    let profile = if cfg!(debug_assertions) {
        ""
    } else {
        " --release"
    };
    let program = files.program.display();
    Err(format!("no {program}: `cargo build{profile} -p rpc-cli` makes it").into())
}
