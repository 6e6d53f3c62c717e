//! How an endpoint begins and ends.

use std::future::poll_fn;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::thread;

use super::rest::{Resting, Stand};
use super::{MainLoop, Over};
use crate::endpoint::{PanicPolicy, RpcEndpoint};
use crate::endpoint_core::{Control, EndpointCore};
use crate::error::{EndpointError, Failure};
use crate::lifecycle::{Command, Hook, State};
use crate::metering::MainTally;
use crate::pulse::Doing;
use crate::scope::MainThreadName;
use crate::termination::{Ended, Ending};

/// Runs an endpoint until it has stopped, and tells those who wait for that, or until it has nothing to
/// do and [rests](Resting).
///
/// One future, made here: one within another would have its memory several times.
pub(crate) fn run<E: RpcEndpoint>(
    core: Arc<EndpointCore<E>>,
    endpoint: Box<Resting<E>>,
    is_shared: bool,
) -> impl Future<Output = ()> + Send {
    let mut ending = Ending::new(core, endpoint);
    async move {
        loop {
            let outcome = {
                let (core, endpoint) = ending.parts();
                let mut main_loop = MainLoop::new(endpoint, core, is_shared);
                let mut name = MainThreadName::new(Arc::clone(&core.name));
                let mut tally = MainTally::new(core.meter.as_ref());
                poll_fn(|cx| {
                    let turn = || name.run(|| tally.lend(|| main_loop.poll(cx)));
                    let poll = catch_unwind(AssertUnwindSafe(turn));
                    poll.unwrap_or_else(|_| main_loop.escaped(cx))
                })
                .await;
                main_loop.finish()
            };
            match outcome {
                Outcome::Ended(result) => return ending.end(result),
                // Which is told when it is dropped.
                Outcome::Aborted => return,
                Outcome::GoesOn(stand) => return ending.go_on(|endpoint| endpoint.stand = stand),
                Outcome::Rests(stand) => match ending.rest(|endpoint| endpoint.stand = stand) {
                    Ok(()) => return,
                    Err(awaited) => ending = awaited,
                },
            }
        }
    }
}

/// Why a task of an endpoint is over.
pub(super) enum Outcome {
    Ended(Ended),
    Aborted,
    /// The endpoint is to rest as it stands.
    Rests(Stand),
    /// It is to go on as it stands, in another task.
    GoesOn(Stand),
}

impl<E: RpcEndpoint> MainLoop<'_, E> {
    /// Does what steers the endpoint.
    pub(super) fn control(&mut self, control: Control) {
        match control {
            Control::Life(command) => self.command(command),
            Control::CancelTimer(id) => {
                let timer = self.main.run(|_, cx| cx.cancel_timer(id));
                self.guard(Doing::Timer, |_| drop(timer));
            }
            Control::Rest => self.is_to_rest = true,
            Control::Abort => self.over = Some(Over::Aborted),
        }
    }

    fn command(&mut self, command: Command) {
        let (state, hook) = self.state.step(command);
        self.state = state;
        self.core.set_serving(state.serves());
        // Timers that were due before run now, if they may.
        self.core.pulse.change();
        match hook {
            Hook::None => {}
            Hook::OnStart => self.on_start(),
            Hook::OnStop => self.on_stop(),
        }
    }

    fn on_start(&mut self) {
        let during = self.core.pulse.during(Doing::OnStart);
        let started = catch_unwind(AssertUnwindSafe(|| {
            let started = self.main.run(E::on_start);
            started.map_err(|error| Failure::new(&*error))
        }));
        drop(during);
        let failure = match started {
            Ok(Ok(())) => return,
            Ok(Err(source)) => EndpointError::Start {
                endpoint: self.core.name.to_string(),
                source,
            },
            // Whatever the policy: what has not begun well cannot go on, and is not stopped.
            Err(_) => self.core.panicked(),
        };
        self.fail(failure);
        self.command(Command::Stopped);
    }

    fn on_stop(&mut self) {
        let main = self.main;
        let resources = main.run(|_, cx| cx.close());
        // All of the endpoint's own code is in the future, so that its panics are caught.
        self.stopping = Some(Box::pin(async move {
            drop(resources);
            E::on_stop(main).await
        }));
    }

    /// Polls `on_stop`; ready when the endpoint has stopped.
    pub(super) fn poll_stopping(&mut self, cx: &mut TaskContext<'_>) -> Poll<()> {
        if let Some(stopping) = &mut self.stopping {
            let during = self.core.pulse.during(Doing::OnStop);
            let poll = catch_unwind(AssertUnwindSafe(|| {
                let poll = stopping.as_mut().poll(cx);
                poll.map_err(|error| Failure::new(&*error))
            }));
            drop(during);
            match poll {
                Ok(Poll::Pending) => return Poll::Pending,
                Ok(Poll::Ready(Ok(()))) => {}
                Ok(Poll::Ready(Err(source))) => {
                    let endpoint = self.core.name.to_string();
                    self.fail(EndpointError::Stop { endpoint, source });
                }
                Err(_) => self.fail(self.core.panicked()),
            }
            let stopped = self.stopping.take();
            self.command(Command::Stopped);
            if self.core.drop_stopped(stopped).is_err() {
                self.fail(self.core.panicked());
            }
        }
        match self.state {
            State::Terminated => Poll::Ready(()),
            _ => Poll::Pending,
        }
    }

    /// The endpoint's code panicked.
    pub(super) fn panicked(&mut self) {
        tracing::error!(endpoint = %self.core.name, "its code panicked");
        if E::ON_PANIC == PanicPolicy::Fail {
            self.fail(self.core.panicked());
            self.command(Command::Terminate);
        }
    }

    /// Notes why the endpoint ends; what was first counts.
    fn fail(&mut self, error: EndpointError) {
        self.failure.get_or_insert_with(|| Box::new(error));
    }

    /// A panic came out of the turn: of what its end wakes, since that of a handler is caught before.
    pub(super) fn escaped(&mut self, cx: &TaskContext<'_>) -> Poll<()> {
        self.panicked();
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Tells whether nothing is under way, nor is to be at some time.
    pub(super) fn is_idle(&self) -> bool {
        self.is_quiet() && self.timer.is_none()
    }

    /// Tells whether nothing is under way.
    fn is_quiet(&self) -> bool {
        let under_way = self.handlers.len() + self.piped.len();
        under_way == 0 && self.stopping.is_none()
    }

    /// There is nothing to do until something comes; ready if the endpoint is to rest until then, or to go
    /// on in another way.
    pub(super) fn rest(&mut self) -> Poll<()> {
        if self.failure.is_some() {
            return Poll::Pending;
        }
        let is_to_share = !self.is_shared && self.core.brief.is_any();
        if (self.is_to_rest || is_to_share) && self.is_idle() {
            self.over = Some(Over::Rests);
        } else if is_to_share && self.is_quiet() {
            self.over = Some(Over::GoesOn);
        }
        match self.over {
            Some(_) => Poll::Ready(()),
            None => Poll::Pending,
        }
    }

    /// Tells whether the endpoint lives on without this main loop.
    const fn is_left(&self) -> bool {
        matches!(self.over, Some(Over::Rests | Over::GoesOn))
    }

    /// Ends the task. Answers whoever still waits, unless the endpoint rests.
    pub(super) fn finish(mut self) -> Outcome {
        let stand = Stand {
            state: self.state,
            trust: self.trust,
        };
        match self.over {
            Some(Over::Rests) => Outcome::Rests(stand),
            Some(Over::GoesOn) => Outcome::GoesOn(stand),
            Some(Over::Aborted) => Outcome::Aborted,
            None => {
                let left = self.leave();
                let left = left.map_err(|_| Box::new(self.core.panicked()));
                Outcome::Ended(self.failure.take().map_or(left, Err))
            }
        }
    }

    /// Answers whoever still waits, and drops what is under way.
    fn leave(&mut self) -> thread::Result<()> {
        let denied = self.core.close(mem::take(&mut self.mail));
        let (handlers, piped) = (mem::take(&mut self.handlers), mem::take(&mut self.piped));
        let unfinished = (handlers, piped, self.stopping.take());
        let dropped = self.core.drop_stopped(unfinished);
        denied.and(dropped)
    }
}

/// Also if the task is dropped.
impl<E: RpcEndpoint> Drop for MainLoop<'_, E> {
    fn drop(&mut self) {
        if !self.is_left() {
            let _left = self.leave();
        }
    }
}
