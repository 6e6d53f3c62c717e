//! A process that serves and one that calls, and what they said of each other.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use rpc_components::transport::generate_certificates;
use tempfile::TempDir;

use crate::child::{Child, Ended};
use crate::net::{Host, Net};

/// By what the processes talk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Quic,
    Tcp,
    /// TCP with certificates.
    Tls,
}

impl Scheme {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Quic => "quic",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        }
    }
}

/// The processes' hosts, and how they are started.
pub(crate) struct Pair {
    pub(crate) net: Net,
    scheme: Scheme,
    certificates: TempDir,
}

impl Pair {
    pub(crate) fn new(scheme: Scheme) -> Self {
        let certificates = tempfile::tempdir().unwrap();
        let made = generate_certificates(&["10.9.0.1"]).unwrap();
        for (name, text) in [
            ("ca.pem", made.authority),
            ("cert.pem", made.certificate),
            ("key.pem", made.key),
        ] {
            fs::write(certificates.path().join(name), text).unwrap();
        }
        Self {
            net: Net::new(),
            scheme,
            certificates,
        }
    }

    /// Starts a process that serves.
    pub(crate) fn serve(&self, options: &[&str]) -> Child {
        self.serve_with(options, |command| command)
    }

    pub(crate) fn serve_with(
        &self,
        options: &[&str],
        change: impl FnOnce(&mut Command) -> &mut Command,
    ) -> Child {
        let mut command = self.command(&self.net.server, "serve", options);
        let mut server = Child::start(change(&mut command));
        server.stdout_line("serving");
        server
    }

    /// Starts a process that calls, and waits until an answer has come.
    pub(crate) fn call(&self, options: &[&str]) -> Caller {
        self.call_from(&self.net.caller, options)
    }

    pub(crate) fn call_from(&self, host: &Host, options: &[&str]) -> Caller {
        let mut caller = Child::start(&mut self.command(host, "call", options));
        caller.stdout_line("connected");
        Caller(caller)
    }

    fn command(&self, host: &Host, mode: &str, options: &[&str]) -> Command {
        let program = std::env::current_exe().unwrap();
        let scheme = if self.scheme == Scheme::Quic {
            "quic"
        } else {
            "tcp"
        };
        let address = format!("{scheme}://10.9.0.1:7000");
        let mut command = host.command(program.to_str().unwrap());
        command.args(["probe", mode, &address]).args(options);
        if self.scheme != Scheme::Tcp {
            command.arg("--certificates").arg(self.certificates.path());
        }
        command
    }
}

/// A process that calls.
pub(crate) struct Caller(pub(crate) Child);

impl Caller {
    /// Waits for what comes of a call that is made from now on.
    pub(crate) fn next(&mut self, wanted: fn(&str) -> bool) -> u64 {
        self.0.signal("USR1");
        let mark = number(&self.0.stdout_line("mark "), 1);
        for _ in 0..CALLS_MAX {
            let line = self.0.stdout_line("count ");
            let (number, outcome) = counted(&line);
            if number >= mark && wanted(outcome) {
                return number;
            }
        }
        panic!("calls come to something else all the time");
    }

    /// Waits until a call is answered that is made from now on.
    pub(crate) fn is_answered(&mut self) -> u64 {
        self.next(|outcome| outcome == "ok executed")
    }

    /// Waits until a call fails that is made from now on.
    pub(crate) fn is_not_answered(&mut self) -> u64 {
        self.next(|outcome| outcome != "ok executed")
    }

    pub(crate) fn said(&mut self, line: &str) {
        self.0.stdout_line(line);
    }

    /// Lets it make no more calls, and waits for those that are under way.
    pub(crate) fn end(self) -> Ended {
        self.0.signal("TERM");
        let ended = self.0.end();
        assert_eq!(ended.status, Some(0), "{ended:#?}");
        ended
    }
}

/// As many calls as a caller makes in half a minute.
const CALLS_MAX: usize = 1500;

/// What the calls of a process came to, and which were executed.
#[derive(Debug, Default)]
pub(crate) struct Books {
    /// By the outcome as the caller sees it: how many calls there were, and how many of these were
    /// executed.
    pub(crate) calls: BTreeMap<String, (usize, usize)>,
}

impl Books {
    /// Checks that what the caller believes is what the servers, one after the other, did.
    #[track_caller]
    pub(crate) fn balance(servers: &[&Ended], caller: &Ended) -> Self {
        let lines = servers.iter().flat_map(|it| it.stdout.lines());
        let executed = lines.filter_map(|it| it.strip_prefix("counted "));
        let executed: Vec<u64> = executed.map(|it| it.parse().unwrap()).collect();
        let in_order = executed.is_sorted_by(|one, next| one < next);
        assert!(in_order, "twice, or out of order: {executed:?}");
        let mut books = Self::default();
        for line in caller.stdout.lines().filter(|it| it.starts_with("count ")) {
            let (number, outcome) = counted(line);
            let was_executed = executed.binary_search(&number).is_ok();
            let believed = match outcome.rsplit(' ').next() {
                Some("executed") => was_executed,
                Some("not-executed") => !was_executed,
                _ => true,
            };
            assert!(believed, "{line}, and yet executed: {was_executed}");
            let (calls, done) = books.calls.entry(outcome.to_owned()).or_default();
            *calls += 1;
            *done += usize::from(was_executed);
        }
        books
    }

    /// Returns how many calls had an outcome of this kind.
    pub(crate) fn count(&self, part: &str) -> usize {
        self.sum(part, |(calls, _)| *calls)
    }

    /// Returns how many of these were executed.
    pub(crate) fn executed(&self, part: &str) -> usize {
        self.sum(part, |(_, executed)| *executed)
    }

    fn sum(&self, part: &str, of: fn(&(usize, usize)) -> usize) -> usize {
        let rows = self.calls.iter();
        let rows = rows.filter(|(outcome, _)| outcome.split(' ').any(|it| it == part));
        rows.map(|(_, row)| of(row)).sum()
    }
}

/// Cuts `count 7 ok executed`.
fn counted(line: &str) -> (u64, &str) {
    let (_, outcome) = line.split_once(' ').unwrap().1.split_once(' ').unwrap();
    (number(line, 1), outcome)
}

/// Returns the number at a place of a line.
pub(crate) fn number(line: &str, place: usize) -> u64 {
    line.split(' ').nth(place).unwrap().parse().unwrap()
}
