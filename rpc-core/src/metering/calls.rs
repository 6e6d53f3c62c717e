//! The metrics of calls at their callers: those that fail, wherever they fail.

use std::sync::OnceLock;

use metrics::{Counter, Label, counter};

use crate::error::RpcError;
use crate::method::MethodInfo;

/// Meters the calls of a gateway.
pub(crate) struct CallMeter {
    endpoint: String,
    /// In the gateway's order; made when a call first fails, which most never do.
    methods: Box<[OnceLock<Box<Failures>>]>,
}

struct Failures {
    dropped: Counter,
    timeouts: Counter,
    /// In the order of [`KINDS`].
    errors: [OnceLock<Counter>; KINDS.len()],
}

impl CallMeter {
    /// Makes a meter for a gateway with so many methods, if somebody records.
    pub(crate) fn new(endpoint: &str, methods: usize) -> Option<Self> {
        super::is_recorded().then(|| Self {
            endpoint: endpoint.to_owned(),
            methods: (0..methods).map(|_| OnceLock::new()).collect(),
        })
    }

    /// A call of the method in this place has failed.
    pub(crate) fn failed<E>(&self, place: usize, method: &MethodInfo, error: &RpcError<E>) {
        let Some(failures) = self.failures(place, method) else {
            return;
        };
        if matches!(error, RpcError::Timeout { .. }) {
            failures.timeouts.increment(1);
        }
        let kind = kind(error);
        let counter = failures.errors[kind].get_or_init(|| {
            let [endpoint, name] = self.labels(method);
            let kind = Label::from_static_parts("kind", KINDS[kind]);
            counter!("rpc_call_errors_total", [endpoint, name, kind].iter())
        });
        counter.increment(1);
    }

    /// A one-way message was not sent.
    pub(crate) fn dropped(&self, place: usize, method: &MethodInfo) {
        if let Some(failures) = self.failures(place, method) {
            failures.dropped.increment(1);
        }
    }

    fn failures(&self, place: usize, method: &MethodInfo) -> Option<&Failures> {
        let made = || {
            let labels = self.labels(method);
            Box::new(Failures {
                dropped: counter!("rpc_messages_dropped_total", labels.iter()),
                timeouts: counter!("rpc_timeouts_total", labels.iter()),
                errors: std::array::from_fn(|_| OnceLock::new()),
            })
        };
        Some(self.methods.get(place)?.get_or_init(made))
    }

    fn labels(&self, method: &MethodInfo) -> [Label; 2] {
        [
            Label::new("endpoint", self.endpoint.clone()),
            Label::from_static_parts("method", method.name),
        ]
    }
}

/// What kinds of errors are called in metrics.
const KINDS: [&str; 13] = [
    "app",
    "codec",
    "disconnected",
    "failed",
    "fenced",
    "forbidden",
    "incompatible",
    "not_started",
    "overloaded",
    "panicked",
    "timeout",
    "too_large",
    "unreachable",
];

/// The place of an error's kind in [`KINDS`].
const fn kind<E>(error: &RpcError<E>) -> usize {
    match error {
        RpcError::App(_) => 0,
        RpcError::Codec { .. } => 1,
        RpcError::Disconnected { .. } => 2,
        RpcError::Failed(_) => 3,
        RpcError::Fenced { .. } => 4,
        RpcError::Forbidden { .. } => 5,
        RpcError::Incompatible { .. } => 6,
        RpcError::NotStarted { .. } => 7,
        RpcError::Overloaded { .. } => 8,
        RpcError::Panicked { .. } => 9,
        RpcError::Timeout { .. } => 10,
        RpcError::TooLarge { .. } => 11,
        RpcError::Unreachable { .. } => 12,
    }
}
