//! How requests are handled, and what is learnt of how long that takes.

use std::pin::Pin;
use std::task::Context as TaskContext;
use std::time::Duration;

use tokio::time::Instant;
use tracing::Span;

use super::{MainLoop, Round};
use crate::call::{AnyReply, Time};
use crate::connection::Charge;
use crate::endpoint::{GatewayList, RpcEndpoint};
use crate::endpoint_core::Mail;
use crate::error::RpcError;
use crate::gateway::Head;
use crate::handler::{self, Around, Handler};
use crate::lifecycle::State;
use crate::method::MethodInfo;
use crate::mutant::{self, Mutant};
use crate::pulse::Doing;
use crate::scope::{self, Outer, Scope};
use crate::turn;

/// What has become of a request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Handled {
    Not,
    /// By a handler that did not wait for anything.
    Wholly,
    /// By one that goes on later.
    Begun,
}

impl<'a, E: RpcEndpoint> MainLoop<'a, E> {
    /// Tells whether such code is put off until those who are answered have their answers, since it is
    /// not known to be quick; or, on a thread that is lent, since it is not known to be brief.
    pub(super) fn puts_off(&self, doing: Doing) -> bool {
        match self.lent {
            true => !matches!(doing, Doing::Method(_)) || !self.trust.is_brief(doing),
            false => !self.trust.has(doing) && turn::owes(),
        }
    }

    /// Handles a message when other tasks have had their turn.
    pub(super) fn put_back(&mut self, mail: Mail<E>, round: &mut Round<'a, E>) -> Doing {
        self.mail.push_front(mail);
        round.taken -= 1;
        self.gives_way = true;
        Doing::Nothing
    }

    /// Such code begins. Returns when, if it is not known how long it takes, and now and then also if it
    /// is: that may change.
    pub(super) fn doubt(&mut self, doing: Doing) -> Option<Instant> {
        self.begun = self.begun.wrapping_add(1);
        (self.trust.is_to_time(doing) || self.begun.is_multiple_of(DOUBT)).then(Instant::now)
    }

    /// Such code has ended that began then.
    pub(super) fn settle(&mut self, doing: Doing, begun: Option<Instant>) {
        if let Some(begun) = begun {
            self.ran(doing, begun.elapsed());
        }
    }

    /// Such code took so long. If that is long, whoever it has answered does not wait for the next.
    pub(super) fn ran(&mut self, doing: Doing, took: Duration) {
        self.gives_way |= self.trust.ran(doing, took);
        self.tell_brief(doing);
    }

    /// Tells those who call whether such code is brief.
    pub(super) fn tell_brief(&self, doing: Doing) {
        let is_brief = self.trust.is_brief(doing) && self.core.caller.lends;
        self.core.brief.set(doing, is_brief);
    }

    /// Handles a request for this method, in this place.
    pub(super) fn request(
        &mut self,
        cx: &mut TaskContext<'_>,
        (place, method): (usize, &'static MethodInfo),
        head: Head,
        request: <E::Gateways as GatewayList<E>>::Request,
        round: &mut Round<'a, E>,
    ) -> Handled {
        let Head {
            token,
            trace,
            charge,
            queued,
        } = head;
        let unchecked = method.one_way && mutant::is(Mutant::TokenIgnoredOneWay);
        if method.fenced
            && !unchecked
            && let Err(error) = self.core.check_token(token)
        {
            E::Gateways::deny(request, error);
            return Handled::Not;
        }
        let reply = E::Gateways::reply(&request);
        let abandoned = reply.is_some_and(|it| it.is_abandoned());
        if abandoned && !mutant::is(Mutant::AbandonedBegun) {
            return Handled::Not;
        }
        let span = trace.map(|trace| {
            let asks = reply.and_then(AnyReply::peer);
            let peer = asks.or_else(|| charge.as_ref().map(Charge::peer));
            handler::span(trace, method, &self.core.name, peer)
        });
        // A call waits no more: whoever sent it may send the next.
        let time = reply.map_or(Time::ENDLESS, |it| it.begin(&mut round.begun));
        let (pulse, doing) = (&self.core.pulse, Doing::method(place));
        if let (Some(laps), Some(queued)) = (&mut self.laps, queued) {
            laps.begin(place, queued);
        }
        {
            let _during = pulse.during(doing);
            let _span = span.as_ref().map(Span::enter);
            let _scope = scope::enter_quick(time, trace, method);
            E::Gateways::handle(&mut round.batch, request);
        }
        let Some(handling) = round.batch.take_left() else {
            let charges = &mut round.begun.charges;
            charge.into_iter().for_each(|it| charges.join(it));
            self.laps.iter_mut().for_each(|it| it.end());
            return Handled::Wholly;
        };
        let call = handling.call.map_or(Outer::Had(time), Outer::Call);
        let around = Around {
            scope: Scope {
                call,
                trace,
                method: Some(method),
            },
            span,
            pulse,
            doing,
        };
        let mut handler = Handler {
            future: handling.future,
            around,
            timing: self.laps.as_mut().map(|it| it.leave()),
            charge,
        };
        // Its beginning, before the next message is handled: calls are begun in their order.
        let first = self.caught(|_| Pin::new(&mut handler).poll(cx));
        if first.is_none_or(|poll| poll.is_ready()) {
            return Handled::Wholly;
        }
        self.handlers.push(handler);
        Handled::Begun
    }

    /// Why a call is not served in this state.
    pub(super) fn refusal(&self) -> RpcError {
        match self.state {
            State::Created | State::Paused => self.core.not_started(),
            State::Started | State::Terminating | State::Terminated => self.core.unreachable(),
        }
    }
}

/// Of so many pieces of code one is timed whatever is known of it.
const DOUBT: u8 = 64;
