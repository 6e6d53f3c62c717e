//! The place where an answer is put by whoever has it, and found by whoever waits.
//!
//! A slot serves one call after the other: whoever made a call gives its slot to the next, once the
//! callee has let go of it.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use tokio::time::Instant;

use crate::call::Time;
use crate::callee::Callee;
use crate::connection::Ask;
use crate::deadlines::{About, Look, Waiter, Waits, Who};
use crate::error::RpcResult;
use crate::scope::CallScope;
use crate::sync::Mutex;
use crate::turn;

/// One answer on its way, seen from both sides.
pub(crate) struct ReplySlot<T, E> {
    /// Whether the caller has gone, for a look without the lock.
    abandoned: AtomicBool,
    state: Mutex<State<T, E>>,
}

struct State<T, E> {
    answer: Answer<T, E>,
    /// Wakes the caller, which waits for the answer.
    caller: Option<Waker>,
    /// Wakes the handler, which wants to know when nobody waits any more.
    callee: Option<Waker>,
    time: Time,
    /// The caller was found waiting, and its time is not known to be over.
    waiting: bool,
    /// The call, as its caller knows it.
    about: Option<About>,
    /// Who waits, or has waited for a call before: it changes little. Elsewhere, since most of many
    /// calls that are made at once are answered before they are waited for.
    who: Option<Box<Who>>,
}

enum Answer<T, E> {
    Pending,
    Ready(RpcResult<T, E>),
    Taken,
    /// The deadline has passed, and the caller is about to hear of it.
    Expired,
    /// The caller has gone.
    Abandoned,
}

/// What a caller finds that looks for its answer.
pub(crate) enum Found<T, E> {
    Answer(RpcResult<T, E>),
    Expired,
    /// Nothing, and there will be nothing.
    Nothing,
    /// Nothing yet.
    Waits(Time),
}

impl<T, E> State<T, E> {
    /// Takes the answer, if it is there: the caller waits no more.
    fn take_answer(&mut self) -> Option<RpcResult<T, E>> {
        if matches!(self.answer, Answer::Ready(_))
            && let Answer::Ready(answer) = mem::replace(&mut self.answer, Answer::Taken)
        {
            self.waiting = false;
            return Some(answer);
        }
        None
    }
}

impl<T, E> ReplySlot<T, E> {
    pub(crate) fn new() -> Self {
        Self {
            abandoned: AtomicBool::new(false),
            state: Mutex::new(State {
                answer: Answer::Pending,
                caller: None,
                callee: None,
                time: Time::ENDLESS,
                waiting: false,
                about: None,
                who: None,
            }),
        }
    }

    /// Begins anew, for another call. Nobody else may have the slot.
    pub(crate) fn renew(&self, callee: &Arc<Callee>, ask: &Ask, time: &Time) {
        let mut state = self.state.lock();
        self.abandoned.store(false, Ordering::Relaxed);
        let before = mem::replace(&mut state.answer, Answer::Pending);
        match &mut state.about {
            Some(about) => about.renew(callee, ask),
            None => state.about = Some(About::new(callee, ask)),
        }
        state.time = *time;
        state.waiting = false;
        let wakers = (state.caller.take(), state.callee.take());
        // Outside the lock: with a waker may go a task, and other calls with it.
        drop(state);
        drop((before, wakers));
    }

    /// Tells what is known of the call.
    pub(crate) fn about(&self) -> Option<About> {
        self.state.lock().about.clone()
    }

    /// Puts the answer, and wakes the caller when the turn ends. It is dropped if there is one or if
    /// nobody waits.
    pub(crate) fn fill(&self, answer: RpcResult<T, E>) {
        let mut state = self.state.lock();
        if matches!(state.answer, Answer::Pending | Answer::Expired) {
            state.answer = Answer::Ready(answer);
            let caller = state.caller.take();
            drop(state);
            caller.into_iter().for_each(turn::wake);
        }
    }

    /// Takes the answer, or has `cx` woken when it comes.
    pub(crate) fn poll(&self, cx: &Context<'_>) -> Poll<RpcResult<T, E>> {
        match self.find(cx, false) {
            Found::Answer(answer) => Poll::Ready(answer),
            Found::Expired | Found::Nothing | Found::Waits(_) => Poll::Pending,
        }
    }

    /// Takes the answer, or has `cx` woken when it comes or the call's time is over, if somebody looks
    /// after that: the call counts as one that waits.
    pub(crate) fn find(&self, cx: &Context<'_>, watched: bool) -> Found<T, E> {
        let mut state = self.state.lock();
        if let Some(answer) = state.take_answer() {
            return Found::Answer(answer);
        }
        match state.answer {
            Answer::Pending => {}
            Answer::Expired => return Found::Expired,
            Answer::Abandoned | Answer::Ready(_) | Answer::Taken => return Found::Nothing,
        }
        let known = state.caller.as_ref();
        if !known.is_some_and(|it| it.will_wake(cx.waker())) {
            state.caller = Some(cx.waker().clone());
        }
        if watched && !state.waiting {
            let state = &mut *state;
            state.waiting = true;
            state.time.begin();
            let who = Who::new(&state.time);
            match &mut state.who {
                Some(before) => **before = who,
                None => state.who = Some(Box::new(who)),
            }
        }
        Found::Waits(state.time)
    }

    /// Says that nobody waits any more. Returns the answer if it was there before.
    pub(crate) fn abandon(&self) -> Option<RpcResult<T, E>> {
        let mut state = self.state.lock();
        if let Some(answer) = state.take_answer() {
            return Some(answer);
        }
        state.waiting = false;
        if matches!(state.answer, Answer::Taken) {
            return None;
        }
        state.answer = Answer::Abandoned;
        self.abandoned.store(true, Ordering::Release);
        let wakers = (state.caller.take(), state.callee.take());
        // Outside the lock: with a waker may go a task, and other calls with it.
        drop(state);
        if let Some(callee) = wakers.1 {
            callee.wake();
        }
        None
    }

    /// Says that the caller does not wait, though the call runs on.
    pub(crate) fn detach(&self) {
        let mut state = self.state.lock();
        state.waiting = false;
        let caller = state.caller.take();
        drop(state);
        drop(caller);
    }

    /// Sets another time; the caller is to be polled before it counts. Returns whether it is longer.
    pub(crate) fn set_time(&self, mut time: Time) -> bool {
        let mut state = self.state.lock();
        let now = Instant::now();
        let (before, after) = (state.time.begin_at(now), time.begin_at(now));
        let is_longer = before.is_some_and(|it| after.is_none_or(|after| after > it));
        state.time = time;
        if matches!(state.answer, Answer::Expired) {
            state.answer = Answer::Pending;
        }
        is_longer
    }

    /// Returns how long the call may take.
    pub(crate) fn time(&self) -> Time {
        self.state.lock().time
    }
}

impl<T: Send, E: Send> CallScope for ReplySlot<T, E> {
    fn deadline(&self) -> Option<Instant> {
        self.state.lock().time.begin()
    }

    fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Acquire)
    }

    fn poll_abandoned(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        if self.is_abandoned() {
            return Poll::Ready(());
        }
        state.callee = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl<T: Send, E: Send> Waiter for ReplySlot<T, E> {
    fn look(&self, now: Instant) -> Look {
        let mut state = self.state.lock();
        match state.time.deadline().filter(|_| state.waiting) {
            Some(deadline) if deadline <= now => {
                // It is not looked at again unless it gets another deadline.
                state.waiting = false;
                if matches!(state.answer, Answer::Pending) {
                    state.answer = Answer::Expired;
                }
                Look::Expired(deadline, state.caller.take())
            }
            Some(deadline) => Look::Waits(deadline),
            None => Look::Endless,
        }
    }

    fn waker(&self) -> Option<Waker> {
        let state = self.state.lock();
        state.caller.clone().filter(|_| state.waiting)
    }

    fn waits(&self) -> Option<Waits> {
        let state = self.state.lock();
        let (about, who) = (state.about.as_ref()?, state.who.as_deref()?);
        state.waiting.then(|| Waits {
            about: about.clone(),
            who: who.clone(),
            deadline: state.time.deadline(),
        })
    }
}
