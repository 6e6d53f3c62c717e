use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::thread;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use tokio::runtime::{Builder, Runtime};

use super::{Entry, Failed};
use crate::certificates;

/// Where caller and callee run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "scenarios make it")]
pub enum Place {
    /// In one process, whose runtime has two workers.
    One,
    /// In two processes, with two workers each.
    Two,
    /// In two processes, all of them on one processor: the steadiest latency, since no idle processor
    /// has to be woken.
    TwoPinned,
}

impl Place {
    /// Makes the caller's runtime. Its workers run where the place says.
    #[must_use]
    pub fn runtime(self) -> Runtime {
        // A thread of its own: its workers inherit what it may use.
        let make = move || {
            if self == Self::TwoPinned {
                pin();
            }
            let mut builder = Builder::new_multi_thread();
            let runtime = builder.worker_threads(2).enable_all().build();
            runtime.expect("threads can be started")
        };
        let made = thread::spawn(make).join();
        made.expect("the thread does not panic")
    }

    /// Returns how reports name it.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::One => "one process",
            Self::Two => "two processes",
            Self::TwoPinned => "two processes on one core",
        }
    }
}

/// Keeps this thread, and those that it starts, on the first processor.
fn pin() {
    let mut first = CpuSet::new();
    first.set(0).expect("there is a first processor");
    sched_setaffinity(Pid::from_raw(0), &first).expect("a thread may choose its processor");
}

/// The other process, which ends with this.
#[derive(Debug)]
pub struct ServerProcess(Child);

impl ServerProcess {
    /// Starts this program as the server of a subject, and returns where it answers.
    ///
    /// The program is to take `serve NAME PLACE`, and to call [`serve`](Self::serve) then.
    pub(super) fn start(name: &str, place: Place) -> Result<(Self, String), Failed> {
        let program = std::env::current_exe().expect("a program knows its file");
        let mut command = Command::new(program);
        command.args(["serve", name]);
        if place == Place::TwoPinned {
            command.arg("--pinned");
        }
        certificates::give(&mut command);
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = piped.spawn().expect("the program can be started");
        let output = child.stdout.take().expect("it is piped");
        let (server, mut address) = (Self(child), String::new());
        let read = BufReader::new(output).read_line(&mut address);
        match read {
            Ok(length) if length > 0 => Ok((server, address.trim_end().to_owned())),
            _ => Err(Failed::new("its server does not start")),
        }
    }

    /// Is the server of a subject, until standard input ends.
    #[expect(clippy::print_stdout, reason = "the other process reads it")]
    pub fn serve(entry: Entry, place: Place) {
        let runtime = place.runtime();
        let address = runtime.block_on(runtime.spawn(entry.serve()));
        println!("{}", address.expect("the subject can be served"));
        let mut end = String::new();
        // Also an error is an end.
        let _ = std::io::stdin().read_line(&mut end);
        runtime.shutdown_background();
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
