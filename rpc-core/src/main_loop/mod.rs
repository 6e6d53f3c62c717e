//! The task behind an endpoint: it takes one message after the other, and polls what handlers left.

mod lent;
mod life;
mod metered;
mod request;
mod rest;
mod running;
mod trust;

pub(crate) use self::life::run;
pub(crate) use self::rest::Resting;
#[cfg(all(test, rpc_loom))]
pub(crate) use self::running::Polled;
pub(crate) use self::running::{Borrower, MainTask, Running};
pub(crate) use self::trust::Briefs;

use std::collections::VecDeque;
use std::future::Future;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use tokio::time::{Instant, Sleep};

use self::request::Handled;
use self::rest::Stand;
use self::trust::Trust;
use crate::call::Begun;
use crate::context::Piped;
use crate::endpoint::{GatewayList, RpcEndpoint};
use crate::endpoint_core::{EndpointCore, Fence, Mail};
use crate::error::{BoxError, EndpointError, RpcError};
use crate::handler::Handler;
use crate::lifecycle::State;
use crate::main_thread::{Batch, MainThread};
use crate::metering::Laps;
use crate::moment::Moment;
use crate::pulse::Doing;
use crate::turn::Pace;
use crate::unordered::Unordered;

struct MainLoop<'a, E: RpcEndpoint> {
    main: MainThread<'a, E>,
    core: &'a Arc<EndpointCore<E>>,
    state: State,
    /// Messages that were taken out of the mailbox and not handled yet.
    mail: VecDeque<Mail<E>>,
    handlers: Unordered<Handler<'a>>,
    piped: Unordered<Piped<E>>,
    timer: Option<Pin<Box<Sleep>>>,
    pace: Pace,
    trust: Trust,
    /// How many pieces of code were begun, of which now and then one is timed.
    begun: u8,
    /// It runs on a thread that is lent.
    lent: bool,
    /// What times handlers that do not await, if that is recorded.
    laps: Option<Box<Laps<'a>>>,
    /// Other tasks are to have their turn before the next message is handled.
    gives_way: bool,
    /// It is to rest when it has nothing to do: always one that has not served since its task began,
    /// and another when it is told to.
    is_to_rest: bool,
    /// Others may poll it too, on threads that they lend.
    is_shared: bool,
    /// Why it ends though the endpoint has not stopped.
    over: Option<Over>,
    /// `on_stop` while it runs.
    stopping: Option<Stopping<'a>>,
    /// Elsewhere, since there is hardly ever one.
    failure: Option<Box<EndpointError>>,
}

/// Why the main loop of an endpoint ends that has not stopped.
#[derive(Clone, Copy)]
enum Over {
    /// The endpoint rests.
    Rests,
    /// It goes on in a task that shares its main loop.
    GoesOn,
    /// It ends without more ado.
    Aborted,
}

/// Messages that are handled one after the other.
struct Round<'a, E: RpcEndpoint> {
    batch: Batch<'a, E>,
    /// How many were taken.
    taken: u32,
    begun: Begun,
}

type Stopping<'a> = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send + 'a>>;

impl<'a, E: RpcEndpoint> MainLoop<'a, E> {
    fn new(endpoint: &'a Resting<E>, core: &'a Arc<EndpointCore<E>>, is_shared: bool) -> Self {
        let Stand { state, trust } = endpoint.stand;
        Self {
            main: MainThread::new(&endpoint.cell),
            core,
            state,
            mail: VecDeque::new(),
            handlers: Unordered::default(),
            piped: Unordered::default(),
            timer: None,
            pace: Pace::default(),
            trust,
            begun: 0,
            lent: false,
            laps: core.meter.as_deref().map(Laps::boxed),
            gives_way: false,
            is_to_rest: true,
            is_shared,
            over: None,
            stopping: None,
            failure: None,
        }
    }

    /// Does what there is to do; ready when the endpoint has stopped, or rests.
    fn poll(&mut self, cx: &mut TaskContext<'_>) -> Poll<()> {
        self.lent = self.is_on_lent_thread();
        let poll = match self.lent {
            true => self.poll_lent(cx),
            false => self.poll_rounds(cx),
        };
        let (state, handlers) = (self.state, self.handlers.len());
        self.core.pulse.publish(state, handlers, self.is_idle());
        poll
    }

    fn poll_rounds(&mut self, cx: &mut TaskContext<'_>) -> Poll<()> {
        for _ in 0..ROUNDS_MAX {
            let mailbox = &self.core.mailbox;
            let mut control = Vec::new();
            let is_all = mailbox.take(cx, &mut self.mail, &mut control);
            for control in control {
                self.control(control);
            }
            if self.over.is_some() || self.handle(cx).is_ready() {
                return Poll::Ready(());
            }
            let changed = self.core.pulse.take_changed();
            let mut progress = self.poll_handlers(cx, changed);
            progress |= self.poll_timers(cx, changed);
            if self.poll_stopping(cx).is_ready() {
                return Poll::Ready(());
            }
            self.pace.pay();
            // Handlers that went on may have set timers, and set up continuations.
            progress |= self.core.pulse.is_changed();
            if mem::take(&mut self.gives_way) {
                break;
            }
            if !progress && is_all && self.mail.is_empty() {
                return self.rest();
            }
        }
        // Let other tasks of the runtime have their turn.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Handles the messages of a round; ready when the endpoint has stopped.
    fn handle(&mut self, cx: &mut TaskContext<'_>) -> Poll<()> {
        let mut round = Round {
            batch: Batch::new(self.main),
            taken: 0,
            begun: Begun::default(),
        };
        while round.taken < MESSAGES_MAX && !self.gives_way && !self.mail.is_empty() {
            // All that come before one that panics, since what is caught has to be in memory, and all
            // that it is made of is moved there.
            let caught = catch_unwind(AssertUnwindSafe(|| self.handle_each(cx, &mut round)));
            let poll = caught.unwrap_or_else(|_| {
                self.interrupt_lap();
                round.batch.interrupt();
                self.panicked();
                self.handled(cx, &mut round, Doing::Nothing)
            });
            if poll.is_ready() {
                self.tell(round.taken);
                return Poll::Ready(());
            }
        }
        self.is_to_rest &= round.taken == 0;
        self.tell(round.taken);
        Poll::Pending
    }

    fn handle_each(&mut self, cx: &mut TaskContext<'_>, round: &mut Round<'a, E>) -> Poll<()> {
        while round.taken < MESSAGES_MAX
            && !self.gives_way
            && let Some(mail) = self.mail.pop_front()
        {
            round.taken += 1;
            let doing = self.mail(cx, mail, round);
            if self.handled(cx, round, doing).is_ready() {
                return Poll::Ready(());
            }
        }
        Poll::Pending
    }

    /// A message was handled by such code; ready when the endpoint has stopped.
    #[inline(always)]
    fn handled(
        &mut self,
        cx: &mut TaskContext<'_>,
        round: &mut Round<'a, E>,
        doing: Doing,
    ) -> Poll<()> {
        if !self.mail.is_empty() {
            let Self { pace, laps, .. } = self;
            let look = || laps.as_mut().map_or_else(Moment::now, |it| it.now());
            if let Some(waited) = pace.handled(look) {
                self.ran(doing, waited);
                self.interrupt_lap();
            }
        }
        // What waits when `on_stop` is done does not run.
        if self.stopping.is_some() {
            self.interrupt_lap();
            round.batch.interrupt();
            return self.poll_stopping(cx);
        }
        Poll::Pending
    }

    /// Handles a message. Returns what code did.
    fn mail(&mut self, cx: &mut TaskContext<'_>, mail: Mail<E>, round: &mut Round<'a, E>) -> Doing {
        if !self.state.serves() || self.failure.is_some() {
            mail.deny(self.refusal());
            return Doing::Nothing;
        }
        match mail {
            Mail::Call(head, request) => {
                let (place, method) = E::Gateways::method_of(&request);
                let doing = Doing::method(place);
                if self.puts_off(doing) {
                    return self.put_back(Mail::Call(head, request), round);
                }
                let begun = self.doubt(doing);
                let handled = self.request(cx, (place, method), head, request, round);
                if handled == Handled::Not {
                    return Doing::Nothing;
                }
                self.settle(doing, begun);
                if handled == Handled::Begun {
                    self.trust.went_on(doing);
                    self.tell_brief(doing);
                }
                doing
            }
            Mail::Run(fence, run) => {
                self.interrupt_lap();
                let token = self.core.token();
                if let Fence::On(got) = fence
                    && got != token
                {
                    run(Err(RpcError::Fenced {
                        expected: token,
                        got,
                    }));
                    return Doing::Nothing;
                }
                if self.puts_off(Doing::Posted) {
                    return self.put_back(Mail::Run(fence, run), round);
                }
                let begun = self.doubt(Doing::Posted);
                {
                    let _during = self.core.pulse.during(Doing::Posted);
                    round.batch.run(|endpoint, cx| run(Ok((endpoint, cx))));
                }
                self.settle(Doing::Posted, begun);
                Doing::Posted
            }
        }
    }

    /// Polls interleaving handlers and continuations: as many end as begin, so that they do not pile up
    /// while messages wait. Returns whether any of them got on.
    fn poll_handlers(&mut self, cx: &mut TaskContext<'_>, changed: bool) -> bool {
        let mut progress = changed && self.adopt_piped();
        if self.handlers.len() + self.piped.len() > 0 {
            // Nobody knows how long they take.
            self.pace.pay();
        }
        for _ in 0..MESSAGES_MAX {
            if self.handlers.len() == 0 {
                break;
            }
            let polled = self.caught(|main_loop| main_loop.handlers.poll_next(cx));
            if matches!(polled, Some(Poll::Pending)) {
                break;
            }
            progress = true;
            let _paid = self.pace.handled(Moment::now);
        }
        for _ in 0..MESSAGES_MAX {
            if self.piped.len() == 0 {
                break;
            }
            let polled = self.caught(|main_loop| {
                let _during = main_loop.core.pulse.during(Doing::Continuation);
                main_loop.piped.poll_next(cx)
            });
            match polled {
                Some(Poll::Pending) => break,
                Some(Poll::Ready(Some(then))) => {
                    self.guard(Doing::Continuation, |main| main.run(then));
                }
                Some(Poll::Ready(None)) | None => {}
            }
            progress = true;
            let _paid = self.pace.handled(Moment::now);
        }
        progress
    }

    /// Takes over the continuations that the endpoint's code has set up.
    fn adopt_piped(&mut self) -> bool {
        let Self { main, piped, .. } = self;
        let before = piped.len();
        main.run(|_, cx| cx.take_piped(piped));
        piped.len() > before
    }

    /// Polls something of the endpoint's; `None` if it panics.
    fn caught<R>(&mut self, f: impl FnOnce(&mut Self) -> R) -> Option<R> {
        let result = catch_unwind(AssertUnwindSafe(|| f(self)));
        result.map_err(|_| self.panicked()).ok()
    }

    /// Runs the timers that are due, and sets the clock for the next.
    fn poll_timers(&mut self, cx: &mut TaskContext<'_>, changed: bool) -> bool {
        // While there is a timer the clock is asked each time: it may have struck before it wakes.
        if !changed && self.timer.is_none() {
            return false;
        }
        let Some(mut next) = self.main.run(|_, cx| cx.next_timer()) else {
            self.timer = None;
            return false;
        };
        let now = Instant::now();
        let mut ran = 0;
        while next <= now && self.state == State::Started {
            if ran == TIMERS_MAX {
                // The others after the messages that have come meanwhile.
                self.core.pulse.change();
                return true;
            }
            self.pace.pay();
            self.guard(Doing::Timer, |main| {
                main.run(|endpoint, cx| cx.run_timer(endpoint, now))
            });
            ran += 1;
            match self.main.run(|_, cx| cx.next_timer()) {
                Some(later) => next = later,
                None => return true,
            }
        }
        let progress = ran > 0;
        if next <= now {
            // Paused: the timers run when the endpoint is started again.
            return progress;
        }
        match &mut self.timer {
            Some(timer) if timer.deadline() == next => {}
            Some(timer) => timer.as_mut().reset(next),
            None => self.timer = Some(Box::pin(tokio::time::sleep_until(next))),
        }
        let elapsed = self
            .timer
            .as_mut()
            .is_some_and(|it| it.as_mut().poll(cx).is_ready());
        progress || elapsed
    }

    /// Runs the endpoint's code; `None` if it panics.
    fn guard<R>(&mut self, doing: Doing, f: impl FnOnce(MainThread<'a, E>) -> R) -> Option<R> {
        self.caught(|main_loop| {
            let _during = main_loop.core.pulse.during(doing);
            f(main_loop.main)
        })
    }
}

/// How many messages are handled before the handlers that wait are polled.
const MESSAGES_MAX: u32 = 64;
/// How many timers are run before messages are handled again.
const TIMERS_MAX: usize = 64;
/// How many such rounds are made before other tasks have their turn.
const ROUNDS_MAX: usize = 16;
