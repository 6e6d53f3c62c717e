//! What a service tells of itself, and how it watches its endpoints.

use std::sync::Arc;

use super::RpcService;
use super::registry::AnyEndpoint;
use crate::deadlines::Waits;
use crate::diagnostics::{Diagnostics, EndpointDiagnostics, EndpointState, WaitingCall};
use crate::endpoint::{GatewayList, RpcEndpoint};
use crate::endpoint_core::EndpointCore;
use crate::lifecycle::State;
use crate::moment::Moment;
use crate::pulse::{Beat, Doing};
use crate::watchdog::{Progress, Stall};

impl RpcService {
    /// Reports what the service does just now: its endpoints, its connections, and who waits for
    /// whom. It takes a lock of each for an instant, and waits for nobody.
    #[must_use]
    pub fn diagnostics(&self) -> Diagnostics {
        let inner = &self.inner;
        let transports = inner.transports.iter();
        let addresses = transports.filter_map(|(scheme, reach)| {
            let authority = reach.authority.as_ref()?;
            Some(format!("{scheme}://{authority}"))
        });
        let mut connections = inner.peers.reports();
        connections.extend(inner.accepted.reports());
        let now = Moment::now();
        let waiting = inner.caller.deadlines.waiting();
        Diagnostics {
            service: id(inner.id),
            addresses: addresses.collect(),
            endpoints: inner.registry.reports(),
            connections,
            waiting: waiting.iter().map(|it| self.waiting(it, now)).collect(),
        }
    }

    fn waiting(&self, waits: &Waits, now: Moment) -> WaitingCall {
        let Waits {
            about,
            trace,
            who,
            since,
            deadline,
        } = waits;
        let callee = &about.callee;
        // An endpoint of another service may use a gateway of this one.
        let own = who
            .endpoint
            .as_ref()
            .filter(|it| self.inner.registry.has(it));
        WaitingCall {
            from: own.map(|it| it.to_string()),
            handler: who
                .handler
                .filter(|_| own.is_some())
                .map(|it| it.name.to_owned()),
            to: callee.address.to_string(),
            to_service: id(callee.service),
            method: about.method.name.to_owned(),
            waited: now.since(*since),
            left: (*deadline != Moment::NEVER).then(|| deadline.since(now)),
            trace: trace.map(|it| id(it.trace_id())),
        }
    }

    /// Starts to watch the endpoints, if nobody does yet.
    pub(super) fn start_watching(&self) {
        self.inner.watching.call_once(|| {
            let awake = Arc::clone(&self.inner.awake);
            let limit = self.inner.config.stall_warning;
            self.spawn(async move { awake.watch(limit).await });
        });
    }
}

/// Tells of a main thread that is kept from its work.
pub(super) fn tell(endpoint: &dyn AnyEndpoint, stall: Stall) {
    let (report, running) = (endpoint.report(), endpoint.name_of(stall.by));
    tracing::warn!(
        endpoint = report.name,
        method = running.as_deref().unwrap_or("(none)"),
        time = ?stall.time,
        messages = report.mailbox,
        "the main thread is blocked",
    );
}

fn id(id: u128) -> String {
    format!("{id:032x}")
}

impl<E: RpcEndpoint> EndpointCore<E> {
    pub(super) fn report(&self) -> EndpointDiagnostics {
        EndpointDiagnostics {
            name: self.name.to_string(),
            state: match self.pulse.state() {
                State::Created => EndpointState::Created,
                State::Started => EndpointState::Started,
                State::Paused => EndpointState::Paused,
                State::Terminating => EndpointState::Terminating,
                State::Terminated => EndpointState::Terminated,
            },
            mailbox: self.mailbox.len() as u64,
            handlers: self.pulse.handlers().into(),
            timers: self.pulse.timers().into(),
            dropped: self.dropped(),
            running: self.name_of(self.pulse.beat().doing()),
        }
    }

    pub(super) fn progress(&self) -> Progress {
        // The beat first: what is done between the two looks is no stall.
        let beat: Beat = self.pulse.beat();
        Progress {
            beat,
            mail: self.mailbox.len() > 0,
            idle: self.pulse.is_idle(),
        }
    }

    pub(super) fn name_of(&self, doing: Doing) -> Option<String> {
        let name = match doing {
            Doing::Nothing => return None,
            Doing::OnStart => "on_start",
            Doing::OnStop => "on_stop",
            Doing::Timer => "a timer",
            Doing::Posted => "posted code",
            Doing::Continuation => "a continuation",
            Doing::Method(place) => E::Gateways::methods().get(usize::from(place))?.name,
        };
        Some(name.to_owned())
    }
}
