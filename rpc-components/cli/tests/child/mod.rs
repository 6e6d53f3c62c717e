//! A process that a test starts, listens to, and kills when it has done with it.
#![allow(dead_code, reason = "each test file uses its part")]

use std::io::{BufRead, BufReader, Read};
use std::process::{self, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use tokio::time::Instant;

/// A process; dropping it kills it.
pub(crate) struct Child {
    what: String,
    process: process::Child,
    stdout: Lines,
    stderr: Lines,
}

/// What a process left behind.
#[derive(Debug)]
pub(crate) struct Ended {
    /// The exit status; `None` if a signal ended it.
    pub(crate) status: Option<i32>,
    /// The standard output.
    pub(crate) stdout: String,
    /// The lines of the standard error.
    pub(crate) stderr: Vec<String>,
}

impl Child {
    /// Starts a process that reads nothing.
    pub(crate) fn start(command: &mut Command) -> Self {
        let what = format!("{command:?}");
        let command = command.env_remove("RUST_LOG").stdin(Stdio::null());
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().expect("the program is there");
        Self {
            what,
            stdout: Lines::of(process.stdout.take()),
            stderr: Lines::of(process.stderr.take()),
            process,
        }
    }

    /// Waits for a line of the standard output that contains `part`.
    pub(crate) fn stdout_line(&mut self, part: &str) -> String {
        let line = self.stdout.find(part);
        line.unwrap_or_else(|why| self.fail(part, why))
    }

    /// Waits for a line of the standard error that contains `part`.
    pub(crate) fn stderr_line(&mut self, part: &str) -> String {
        let line = self.stderr.find(part);
        line.unwrap_or_else(|why| self.fail(part, why))
    }

    /// Returns the process's number.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Sends a signal, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let mut kill = Command::new("kill");
        kill.args(["-s", name, &self.process.id().to_string()]);
        assert!(kill.status().expect("kill is there").success());
    }

    /// Waits until the process has ended.
    pub(crate) fn end(mut self) -> Ended {
        let closed = self.stdout.drain().and_then(|()| self.stderr.drain());
        closed.unwrap_or_else(|why| self.fail("its end", why));
        // It has closed both, so that this does not take long.
        let status = self.process.wait().expect("it is a child");
        let mut stdout = self.stdout.seen.join("\n");
        if !stdout.is_empty() {
            stdout.push('\n');
        }
        Ended {
            status: status.code(),
            stdout,
            stderr: std::mem::take(&mut self.stderr.seen),
        }
    }

    fn fail(&mut self, part: &str, why: RecvTimeoutError) -> ! {
        // What it said last may tell more.
        let _ = self.process.kill();
        let _ = self.stdout.drain().and_then(|()| self.stderr.drain());
        panic!(
            "{}\nwaiting for {part}: {why}\nstdout: {:#?}\nstderr: {:#?}",
            self.what, self.stdout.seen, self.stderr.seen,
        );
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Ended {
    /// Returns the only line of the standard error.
    #[track_caller]
    pub(crate) fn only_line(&self) -> &str {
        match self.stderr.as_slice() {
            [line] => line,
            _ => panic!("not one line: {self:#?}"),
        }
    }
}

/// What is written to a pipe, read by a thread so that the pipe never fills.
struct Lines {
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Lines {
    fn of(pipe: Option<impl Read + Send + 'static>) -> Self {
        let (sender, lines) = channel();
        if let Some(pipe) = pipe {
            thread::spawn(move || {
                let mut lines = BufReader::new(pipe).lines().map_while(Result::ok);
                lines.try_for_each(|line| sender.send(line))
            });
        }
        let seen = Vec::new();
        Self { lines, seen }
    }

    /// Waits for a line that contains `part`, and that was not found before.
    fn find(&mut self, part: &str) -> Result<String, RecvTimeoutError> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left)?;
            self.seen.push(line.clone());
            if line.contains(part) {
                return Ok(line);
            }
        }
    }

    /// Waits for the end of the pipe.
    fn drain(&mut self) -> Result<(), RecvTimeoutError> {
        loop {
            match self.lines.recv_timeout(DEADLINE) {
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}

/// Long enough for a machine that does something else too.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);
