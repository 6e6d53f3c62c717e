//! What really happened, kept outside of the simulated world, and what may not have happened.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::{Duration, Instant};

use super::world::config;
use crate::{FencingToken, Outcome};

/// The book of one run; a clone is the same book.
#[derive(Clone, Default)]
pub(super) struct Ledger(Arc<Mutex<Book>>);

#[derive(Default)]
struct Book {
    calls: Vec<Issued>,
    runs: Vec<Run>,
    births: u64,
    complaints: Vec<String>,
}

/// A call as its caller saw it.
struct Issued {
    what: What,
    at: Instant,
    end: Option<(Instant, End)>,
}

/// What is called, by whom.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct What {
    /// The gateway, whose calls keep their order.
    pub(super) gateway: u64,
    /// Which incarnation of an endpoint the gateway is for, if the caller knows.
    pub(super) birth: Option<u64>,
    pub(super) token: Option<FencingToken>,
    pub(super) timeout: Option<Duration>,
    pub(super) kind: Kind,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    /// At most once.
    #[default]
    Once,
    /// As often as need be.
    Idempotent,
    /// Nobody waits for it.
    OneWay,
    /// Made by the handler of another call.
    Nested,
}

#[derive(Debug)]
enum End {
    Answered(u64),
    Failed(
        Outcome,
        #[expect(dead_code, reason = "complaints print it")] String,
    ),
    /// The caller has dropped the call.
    Dropped,
}

/// An execution as the callee saw it.
struct Run {
    call: u64,
    birth: u64,
    token: Option<FencingToken>,
    begun: Instant,
    ended: Option<Instant>,
}

impl Ledger {
    pub(super) fn birth(&self) -> u64 {
        let mut book = self.0.lock();
        book.births += 1;
        book.births
    }

    /// Notes a call that is about to be made, and returns its number.
    pub(super) fn issue(&self, what: What) -> u64 {
        let mut book = self.0.lock();
        book.calls.push(Issued {
            what,
            at: Instant::now(),
            end: None,
        });
        book.calls.len() as u64 - 1
    }

    pub(super) fn end<E>(&self, call: u64, result: Option<Result<u64, crate::RpcError<E>>>)
    where
        E: std::fmt::Display,
    {
        let end = match result {
            Some(Ok(value)) => End::Answered(value),
            Some(Err(error)) => End::Failed(error.outcome(), error.to_string()),
            None => End::Dropped,
        };
        let mut book = self.0.lock();
        let before = book.calls[call as usize].end.replace((Instant::now(), end));
        if before.is_some() {
            book.complain(format!("call {call} ended twice"));
        }
    }

    /// Notes that a call is being executed; its end is noted when the guard is dropped.
    pub(super) fn run(&self, call: u64, birth: u64, token: Option<FencingToken>) -> Running {
        let mut book = self.0.lock();
        book.runs.push(Run {
            call,
            birth,
            token,
            begun: Instant::now(),
            ended: None,
        });
        Running {
            ledger: self.clone(),
            run: book.runs.len() - 1,
        }
    }

    /// How long a call may take.
    pub(super) fn timeout(&self, call: u64) -> Option<Duration> {
        self.0.lock().calls[call as usize].what.timeout
    }

    /// How often a call was executed so far.
    pub(super) fn executions(&self, call: u64) -> usize {
        let book = self.0.lock();
        book.runs.iter().filter(|it| it.call == call).count()
    }

    /// Whether a call is being executed.
    pub(super) fn is_running(&self, call: u64) -> bool {
        let book = self.0.lock();
        let mut runs = book.runs.iter();
        runs.any(|it| it.call == call && it.ended.is_none())
    }

    /// How many calls were made, and how many of them were answered.
    pub(super) fn counts(&self) -> (usize, usize) {
        let book = self.0.lock();
        let answered = |it: &&Issued| matches!(it.end, Some((_, End::Answered(_))));
        (book.calls.len(), book.calls.iter().filter(answered).count())
    }

    pub(super) fn complain(&self, complaint: String) {
        self.0.lock().complain(complaint);
    }

    /// Returns what is wrong with what happened.
    pub(super) fn complaints(&self) -> Vec<String> {
        let mut book = self.0.lock();
        book.judge();
        std::mem::take(&mut book.complaints)
    }
}

/// An execution under way.
pub(super) struct Running {
    ledger: Ledger,
    run: usize,
}

impl Drop for Running {
    fn drop(&mut self) {
        let now = Instant::now();
        self.ledger.0.lock().runs[self.run].ended = Some(now);
    }
}

impl Book {
    fn complain(&mut self, complaint: String) {
        if self.complaints.len() < COMPLAINTS_MAX {
            self.complaints.push(complaint);
        }
    }

    fn judge(&mut self) {
        let mut complaints = Vec::new();
        let mut executions: BTreeMap<u64, usize> = BTreeMap::new();
        for run in &self.runs {
            *executions.entry(run.call).or_default() += 1;
            self.judge_run(run, &mut complaints);
        }
        for (number, call) in self.calls.iter().enumerate() {
            let runs = executions
                .get(&(number as u64))
                .copied()
                .unwrap_or_default();
            judge_call(number, call, runs, &mut complaints);
        }
        self.judge_order(&mut complaints);
        for complaint in complaints {
            self.complain(complaint);
        }
    }

    fn judge_run(&self, run: &Run, complaints: &mut Vec<String>) {
        let what = &self.calls[run.call as usize].what;
        if what.birth.is_some_and(|birth| birth != run.birth) {
            complaints.push(format!(
                "call {} to incarnation {:?} came to {}",
                run.call, what.birth, run.birth
            ));
        }
        if what.token != run.token && what.token.is_some() {
            complaints.push(format!(
                "call {} with token {:?} was executed under {:?}",
                run.call, what.token, run.token
            ));
        }
        let took = run.ended.map(|it| it.saturating_duration_since(run.begun));
        match (took, what.timeout) {
            (None, _) => complaints.push(format!("the handler of call {} lives on", run.call)),
            (Some(took), Some(timeout)) if took > handler_time(timeout) => {
                complaints.push(format!(
                    "the handler of call {} ran for {took:?} in spite of its time of {timeout:?}",
                    run.call
                ));
            }
            _ => {}
        }
    }

    /// Calls through one gateway are begun in their order.
    fn judge_order(&self, complaints: &mut Vec<String>) {
        let mut latest: BTreeMap<u64, u64> = BTreeMap::new();
        for run in &self.runs {
            let what = &self.calls[run.call as usize].what;
            if matches!(what.kind, Kind::Idempotent | Kind::Nested) {
                continue;
            }
            let before = latest.insert(what.gateway, run.call);
            if let Some(before) = before.filter(|before| *before > run.call) {
                complaints.push(format!(
                    "call {} of gateway {} was executed after call {before}",
                    run.call, what.gateway
                ));
            }
        }
    }
}

fn judge_call(number: usize, call: &Issued, runs: usize, complaints: &mut Vec<String>) {
    let what = &call.what;
    if runs > 1 && what.kind != Kind::Idempotent {
        complaints.push(format!("call {number} was executed {runs} times"));
    }
    if what.kind == Kind::OneWay {
        return;
    }
    let Some((at, end)) = &call.end else {
        return complaints.push(format!("call {number} never ended ({what:?})"));
    };
    let took = at.saturating_duration_since(call.at);
    let most = what.timeout.map(|timeout| match what.kind {
        Kind::Nested => handler_time(timeout),
        _ => timeout + SLACK,
    });
    let waited = !matches!(end, End::Dropped);
    if waited && most.is_some_and(|most| took > most) {
        complaints.push(format!(
            "call {number} took {took:?} in spite of its time of {:?}, and ended with {end:?}",
            what.timeout
        ));
    }
    let possible = match end {
        End::Answered(value) => *value == number as u64 && runs > 0,
        End::Failed(Outcome::Executed, _) => runs > 0,
        End::Failed(Outcome::NotExecuted, _) => runs == 0,
        End::Failed(Outcome::Unknown, _) | End::Dropped => true,
    };
    if !possible {
        complaints.push(format!(
            "call {number} was executed {runs} times, and its caller heard {end:?} ({what:?})"
        ));
    }
}

/// How long a handler may run. A call is sent with the service's own time; that another was meant is
/// said right after, if it is longer, and may be late by as much.
fn handler_time(timeout: Duration) -> Duration {
    let usual = config().call_timeout;
    timeout.max(usual) + usual + SLACK
}

/// How much later than its deadline a call may end: the sweep's tick, and tokio's own.
pub(super) const SLACK: Duration = Duration::from_millis(10);
/// More would say no more.
const COMPLAINTS_MAX: usize = 20;
