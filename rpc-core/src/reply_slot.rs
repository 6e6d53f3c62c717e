//! The place where an answer is put by whoever has it, and found by whoever waits.
//!
//! A slot serves one call after the other: whoever made a call gives its slot to the next, once the
//! callee has let go of it. The next is often of the same method, and waited for by the same task, so
//! that the slot knows already nearly all that there is to know. What it does know is kept by the
//! caller, as [`Told`]: a caller that has nothing new to tell does not lock the slot until its answer
//! is there.

use std::mem;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::{Context, Poll, Waker};

use crate::call::{Clock, Time};
use crate::callee::Callee;
use crate::connection::Ask;
use crate::deadlines::{About, Look, Waiter, Waits, Who};
use crate::error::{RpcError, RpcResult};
use crate::method::MethodInfo;
use crate::moment::Moment;
use crate::scope::{self, CallScope};
use crate::sync::{AtomicU8, Mutex, Ordering};
use crate::trace::TraceCell;
#[cfg(test)]
use crate::trace::TraceContext;
use crate::turn;

/// One answer on its way, seen from both sides.
pub(crate) struct ReplySlot<T, E> {
    /// One of the stages below. It is changed while the state is locked, but for the beginning of a
    /// call, which nobody else knows of.
    stage: AtomicU8,
    /// Whether the caller has gone.
    abandoned: AtomicBool,
    /// Whether the caller lends its thread to the callee just now, and is about to wait.
    at_hand: AtomicBool,
    clock: Clock,
    /// Its call's place in a trace, written before the call is waited for.
    trace: TraceCell,
    state: Mutex<State<T, E>>,
}

/// The answer is to come.
const OPEN: u8 = 0;
/// The caller was found waiting for it, and its time is not known to be over.
const WAITED: u8 = 1;
/// There is something for the caller: the answer, or that its time is over.
const SETTLED: u8 = 2;
/// The caller has its answer, or has gone.
const CLOSED: u8 = 3;

struct State<T, E> {
    answer: Answer<T, E>,
    /// Wakes the caller, once it waits. It stays for further calls as long as the service lives.
    caller: Option<Waker>,
    /// Wakes the handler, which wants to know when nobody waits any more.
    callee: Option<Waker>,
    /// The call, as its caller knows it.
    about: Option<About>,
    /// Who waits, or has waited for a call before. Elsewhere, since most of many calls that are made at
    /// once are answered before they are waited for.
    who: Option<Box<Who>>,
}

enum Answer<T, E> {
    None,
    Ready(Answered<T, E>),
    /// The deadline has passed, and the caller is about to hear of it.
    Expired,
}

/// A result whose error is elsewhere: it would be most of what is moved about with a short answer.
pub(crate) type Answered<T, E> = Result<T, Box<RpcError<E>>>;

/// What a caller finds that looks for its answer.
pub(crate) enum Found<T, E> {
    Answer(Answered<T, E>),
    Expired,
    /// Nothing, and there will be nothing.
    Nothing,
    /// Nothing yet.
    Waits,
}

/// What a slot was told by those who made calls with it, which is not told again.
#[derive(Default)]
pub(crate) struct Told {
    /// Where the callee and the method of its call lie.
    about: Option<(usize, usize)>,
    /// Its call is traced.
    is_traced: bool,
    /// What the waker is made of that the slot has: no other is made of the same as long as it is there.
    waker: Option<(usize, usize)>,
    /// Those who waited were no endpoint's code.
    by_nobody: bool,
}

fn parts(waker: &Waker) -> (usize, usize) {
    (waker.data().addr(), ptr::from_ref(waker.vtable()).addr())
}

impl<T, E> ReplySlot<T, E> {
    pub(crate) fn new() -> Self {
        Self {
            stage: AtomicU8::new(OPEN),
            abandoned: AtomicBool::new(false),
            at_hand: AtomicBool::new(false),
            clock: Clock::new(Time::ENDLESS),
            trace: TraceCell::default(),
            state: Mutex::new(State {
                answer: Answer::None,
                caller: None,
                callee: None,
                about: None,
                who: None,
            }),
        }
    }

    /// Begins anew, for another call, after one whose answer was taken. Nobody else may have the slot.
    pub(crate) fn renew(&self, callee: &Arc<Callee>, ask: &Ask, time: Time, told: &mut Told) {
        let method: *const MethodInfo = ask.info;
        let about = Some((Arc::as_ptr(callee).addr(), method.addr()));
        if told.about != about {
            self.tell(callee, ask);
            told.about = about;
        }
        let is_traced = ask.trace.is_some();
        if is_traced || told.is_traced {
            self.trace.set(ask.trace);
            told.is_traced = is_traced;
        }
        self.clock.set(time);
        self.abandoned.store(false, Ordering::Relaxed);
        self.stage.store(OPEN, Ordering::Relaxed);
    }

    fn tell(&self, callee: &Arc<Callee>, ask: &Ask) {
        let mut state = self.state.lock();
        let before = state.about.replace(About::new(callee, ask));
        drop(state);
        // Outside the lock: with the callee may go anything.
        drop(before);
    }

    /// Tells what is known of the call.
    pub(crate) fn about(&self) -> Option<About> {
        self.state.lock().about.clone()
    }

    /// Returns the place in a trace of the call that is made with it.
    #[cfg(test)]
    pub(crate) fn trace(&self) -> Option<TraceContext> {
        self.trace.get()
    }

    /// Puts the answer, and wakes the caller when the turn ends. It is dropped if there is one or if
    /// nobody waits.
    pub(crate) fn fill(&self, answer: RpcResult<T, E>) {
        self.put(answer.map_err(Box::new));
    }

    /// As [`fill`](Self::fill).
    pub(crate) fn put(&self, answer: Answered<T, E>) {
        let mut state = self.state.lock();
        match self.stage.load(Ordering::Relaxed) {
            CLOSED => return,
            SETTLED if matches!(state.answer, Answer::Ready(_)) => return,
            _ => {}
        }
        state.answer = Answer::Ready(answer);
        // The caller waits already, or finds it settled.
        let caller = state.caller.as_ref().filter(|_| self.is_waited_for());
        let caller = caller.and_then(turn::wake_later);
        self.stage.store(SETTLED, Ordering::Release);
        let callee = state.callee.take();
        // Outside the lock: with a waker may go a task, and other calls with it.
        drop(state);
        if let Some(caller) = caller {
            caller.wake();
        }
        drop(callee);
    }

    /// Takes the answer, or has `cx` woken when it comes.
    pub(crate) fn poll(&self, cx: &Context<'_>) -> Poll<RpcResult<T, E>> {
        match self.find(cx, &mut Told::default()) {
            Found::Answer(answer) => Poll::Ready(answer.map_err(|it| *it)),
            Found::Expired | Found::Nothing | Found::Waits => Poll::Pending,
        }
    }

    /// Takes the answer, or has `cx` woken when it comes or the call's time is over, if somebody looks
    /// after that: the call counts as one that waits.
    pub(crate) fn find(&self, cx: &Context<'_>, told: &mut Told) -> Found<T, E> {
        let is_told = told.waker == Some(parts(cx.waker()));
        if is_told && self.stage.load(Ordering::Relaxed) == WAITED {
            return Found::Waits;
        }
        let mut state = self.state.lock();
        let found = self.look_for_answer(&mut state);
        if !matches!(found, Found::Waits) {
            return found;
        }
        let mut before = None;
        if !is_told {
            let waker = cx.waker().clone();
            // Of the one that is kept, which may be made of other parts.
            told.waker = Some(parts(&waker));
            before = state.caller.replace(waker);
        }
        if self.stage.load(Ordering::Relaxed) == OPEN {
            if !told.by_nobody || scope::is_any_main_thread() {
                let who = Who::here();
                told.by_nobody = who.endpoint.is_none();
                match &mut state.who {
                    Some(before) => **before = who,
                    None => state.who = Some(Box::new(who)),
                }
            }
            self.clock.begin();
            // Whoever looks for those who wait sees it, or has looked before it was locked, which the
            // caller sees.
            self.stage.store(WAITED, Ordering::Relaxed);
        }
        drop(state);
        drop(before);
        found
    }

    fn look_for_answer(&self, state: &mut State<T, E>) -> Found<T, E> {
        if self.stage.load(Ordering::Relaxed) == CLOSED {
            return Found::Nothing;
        }
        match state.answer {
            Answer::None => Found::Waits,
            Answer::Expired => Found::Expired,
            Answer::Ready(_) => match mem::replace(&mut state.answer, Answer::None) {
                Answer::Ready(answer) => {
                    self.close(state);
                    Found::Answer(answer)
                }
                Answer::None | Answer::Expired => Found::Nothing,
            },
        }
    }

    /// Nothing more is to be found.
    fn close(&self, state: &mut State<T, E>) {
        state.answer = Answer::None;
        self.stage.store(CLOSED, Ordering::Relaxed);
    }

    /// Says that nobody waits any more. Returns the answer if it was there before.
    pub(crate) fn abandon(&self, told: &mut Told) -> Option<Answered<T, E>> {
        let mut state = self.state.lock();
        match self.look_for_answer(&mut state) {
            Found::Answer(answer) => return Some(answer),
            Found::Nothing => return None,
            Found::Expired | Found::Waits => {}
        }
        self.close(&mut state);
        self.abandoned.store(true, Ordering::Release);
        told.waker = None;
        let (caller, callee) = (state.caller.take(), state.callee.take());
        drop(state);
        if let Some(callee) = callee {
            callee.wake();
        }
        drop(caller);
        None
    }

    /// Says that the caller does not wait, though the call runs on: its time begins, as if it did.
    pub(crate) fn detach(&self, told: &mut Told) {
        self.clock.begin();
        told.waker = None;
        let mut state = self.state.lock();
        if self.is_waited_for() {
            self.stage.store(OPEN, Ordering::Relaxed);
        }
        let caller = state.caller.take();
        drop(state);
        drop(caller);
    }

    /// The state is locked.
    fn is_waited_for(&self) -> bool {
        self.stage.load(Ordering::Relaxed) == WAITED
    }

    /// Sets another time; the caller is to be polled before it counts. Returns whether it is longer.
    pub(crate) fn set_time(&self, mut time: Time) -> bool {
        let mut state = self.state.lock();
        let now = Moment::now();
        let mut before = self.clock.time();
        before.begin_at(now);
        time.begin_at(now);
        self.clock.set(time);
        if matches!(state.answer, Answer::Expired) {
            state.answer = Answer::None;
            self.stage.store(OPEN, Ordering::Relaxed);
        }
        time.deadline() > before.deadline()
    }

    /// Says whether the caller is about to wait.
    pub(crate) fn set_at_hand(&self, at_hand: bool) {
        self.at_hand.store(at_hand, Ordering::Relaxed);
    }

    /// Starts the clock, unless it runs or the caller is about to start it, and returns how long the call
    /// may take.
    pub(crate) fn begin_at(&self, now: impl FnOnce() -> Moment) -> Time {
        match self.at_hand.load(Ordering::Relaxed) {
            true => self.clock.time(),
            false => self.clock.begin_at(now),
        }
    }

    /// Returns how long the call may take.
    pub(crate) fn time(&self) -> Time {
        self.clock.time()
    }

    /// Tells whether there is something for the caller.
    pub(crate) fn is_settled(&self) -> bool {
        self.stage.load(Ordering::Acquire) == SETTLED
    }

    /// Tells whether the caller has gone.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Acquire)
    }

    /// Is ready once the caller has given up.
    pub(crate) fn poll_abandoned(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        if self.is_abandoned() {
            return Poll::Ready(());
        }
        let before = state.callee.replace(cx.waker().clone());
        drop(state);
        drop(before);
        Poll::Pending
    }
}

impl<T: Send, E: Send> CallScope for ReplySlot<T, E> {
    fn begin(&self) -> Time {
        self.clock.begin()
    }
}

impl<T: Send, E: Send> Waiter for ReplySlot<T, E> {
    fn look(&self, now: Moment) -> Look {
        let mut state = self.state.lock();
        if !self.is_waited_for() {
            return Look::Endless;
        }
        match self.clock.time().deadline() {
            Moment::NEVER => Look::Endless,
            deadline if deadline <= now => {
                // It is not looked at again unless it gets another deadline.
                state.answer = Answer::Expired;
                self.stage.store(SETTLED, Ordering::Release);
                Look::Expired(deadline, state.caller.clone())
            }
            deadline => Look::Waits(deadline),
        }
    }

    fn waker(&self) -> Option<Waker> {
        let state = self.state.lock();
        let caller = state.caller.as_ref();
        caller.filter(|_| self.is_waited_for()).cloned()
    }

    fn waits(&self) -> Option<Waits> {
        let state = self.state.lock();
        if !self.is_waited_for() {
            return None;
        }
        let time = self.clock.time();
        Some(Waits {
            about: state.about.clone()?,
            trace: self.trace.get(),
            who: state.who.as_deref()?.clone(),
            since: time.began()?,
            deadline: time.deadline(),
        })
    }

    fn rest(&self) {
        let mut state = self.state.lock();
        let is_closed = self.stage.load(Ordering::Relaxed) == CLOSED;
        let caller = is_closed.then(|| state.caller.take());
        drop(state);
        drop(caller);
    }
}
