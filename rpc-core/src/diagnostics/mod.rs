//! What a service does just now, as a report.

mod cycles;

pub use self::cycles::{Cycle, CycleStep, find_cycles};

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use crate::metering::Direction;

/// What a service does at one moment: a value that can be sent, stored and printed.
///
/// [`RpcService::diagnostics`](crate::RpcService::diagnostics) makes it, and [`find_cycles`] finds in
/// the reports of several services who waits for whom in a circle.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Diagnostics {
    /// The service's id, in hexadecimal digits; new with each start of the service.
    pub service: String,
    /// Where others reach the service, as `scheme://authority`.
    pub addresses: Vec<String>,
    /// Its endpoints, by name.
    pub endpoints: Vec<EndpointDiagnostics>,
    /// Its connections that carry calls.
    pub connections: Vec<ConnectionDiagnostics>,
    /// The calls of its gateways that somebody awaits, those first that have waited the longest. A
    /// call that nobody has polled yet is not among them, nor is one that was detached.
    pub waiting: Vec<WaitingCall>,
}

/// An endpoint, in a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EndpointDiagnostics {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub state: EndpointState,
    /// How many messages wait in its mailbox.
    pub mailbox: u64,
    /// How many of its handlers await something.
    pub handlers: u64,
    /// How many timers are set.
    pub timers: u64,
    /// How many one-way messages its full mailbox has turned away.
    pub dropped: u64,
    /// What runs on its main thread: a method, or `on_start`, `on_stop`, `a timer`, `posted code` or
    /// `a continuation`.
    pub running: Option<String>,
}

/// Where an endpoint stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum EndpointState {
    /// It was not started yet.
    Created,
    /// It refuses calls until it is started again.
    Paused,
    /// It serves.
    Started,
    /// It has ended.
    Terminated,
    /// `on_stop` runs.
    Terminating,
}

/// A connection, in a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ConnectionDiagnostics {
    /// The other side.
    pub peer: String,
    /// Who opened it, and so, who calls whom.
    pub direction: Direction,
    /// How many calls are under way.
    pub calls: u64,
    /// How many bytes wait to be written.
    pub bytes_queued: u64,
    /// How long ago it was opened.
    pub age: Duration,
    /// Whether a second one carries what is large; see
    /// [`bulk_bytes_min`](crate::RpcConfig::bulk_bytes_min).
    pub bulk: bool,
}

/// A call that somebody awaits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct WaitingCall {
    /// The endpoint of this service whose code awaits it; `None` if it is code beside the endpoints.
    pub from: Option<String>,
    /// The method whose handler awaits it.
    pub handler: Option<String>,
    /// The address of the endpoint that is to answer.
    pub to: String,
    /// The id of the service that the endpoint belongs to.
    pub to_service: String,
    /// The method that was called.
    pub method: String,
    /// How long it has waited, since its time was set last.
    pub waited: Duration,
    /// How long it waits on at most; `None` if for ever.
    pub left: Option<Duration>,
    /// The id of its trace, in hexadecimal digits.
    pub trace: Option<String>,
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "service {}", self.service)?;
        for address in &self.addresses {
            write!(f, " at {address}")?;
        }
        for endpoint in &self.endpoints {
            write!(f, "\n  {endpoint}")?;
        }
        for connection in &self.connections {
            write!(f, "\n  {connection}")?;
        }
        for call in &self.waiting {
            write!(f, "\n  {call}")?;
        }
        Ok(())
    }
}

impl fmt::Display for EndpointDiagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            state,
            mailbox,
            handlers,
            timers,
            dropped,
            running,
        } = self;
        write!(
            f,
            "endpoint {name}: {state}, {mailbox} messages wait, {handlers} handlers await, \
             {timers} timers, {dropped} messages dropped"
        )?;
        match running {
            Some(running) => write!(f, ", runs {running}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for EndpointState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Created => "created",
            Self::Paused => "paused",
            Self::Started => "started",
            Self::Terminated => "terminated",
            Self::Terminating => "terminating",
        })
    }
}

impl fmt::Display for ConnectionDiagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            peer,
            direction,
            calls,
            bytes_queued,
            age,
            bulk,
        } = self;
        write!(
            f,
            "{} connection, peer {peer}: {calls} calls under way, {bytes_queued} bytes to be \
             written, open for {age:.1?}{}",
            direction.name(),
            if *bulk {
                ", and one for what is large"
            } else {
                ""
            },
        )
    }
}

impl fmt::Display for WaitingCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let from = self.from.as_deref().unwrap_or("(no endpoint)");
        write!(f, "{from} ")?;
        if let Some(handler) = &self.handler {
            write!(f, "in {handler} ")?;
        }
        let Self {
            to, method, waited, ..
        } = self;
        write!(f, "awaits {method} of {to} for {waited:.1?}")?;
        match self.left {
            Some(left) => write!(f, ", {left:.1?} left")?,
            None => write!(f, ", without a deadline")?,
        }
        match &self.trace {
            Some(trace) => write!(f, ", trace {trace}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
