//! The place where an answer is put by whoever has it, and found by whoever waits.

use std::mem;
use std::task::{Context, Poll, Waker};

use tokio::time::Instant;

use crate::error::RpcResult;
use crate::scope::CallScope;
use crate::sync::Mutex;

/// One answer on its way, seen from both sides.
pub(crate) struct ReplySlot<T, E> {
    state: Mutex<State<T, E>>,
}

struct State<T, E> {
    answer: Answer<T, E>,
    /// Wakes the caller, which waits for the answer.
    caller: Option<Waker>,
    /// Wakes the handler, which wants to know when nobody waits any more.
    callee: Option<Waker>,
    deadline: Option<Instant>,
}

enum Answer<T, E> {
    Pending,
    Ready(RpcResult<T, E>),
    Taken,
    /// The caller has gone.
    Abandoned,
}

impl<T, E> ReplySlot<T, E> {
    pub(crate) fn new(deadline: Option<Instant>) -> Self {
        Self {
            state: Mutex::new(State {
                answer: Answer::Pending,
                caller: None,
                callee: None,
                deadline,
            }),
        }
    }

    /// Puts the answer; it is dropped if there is one or if nobody waits.
    pub(crate) fn fill(&self, answer: RpcResult<T, E>) {
        let mut state = self.state.lock();
        if matches!(state.answer, Answer::Pending) {
            state.answer = Answer::Ready(answer);
            let caller = state.caller.take();
            drop(state);
            if let Some(caller) = caller {
                caller.wake();
            }
        }
    }

    /// Takes the answer, or has `cx` woken when it comes.
    pub(crate) fn poll(&self, cx: &Context<'_>) -> Poll<RpcResult<T, E>> {
        let mut state = self.state.lock();
        if matches!(state.answer, Answer::Ready(_))
            && let Answer::Ready(answer) = mem::replace(&mut state.answer, Answer::Taken)
        {
            return Poll::Ready(answer);
        }
        if !state
            .caller
            .as_ref()
            .is_some_and(|it| it.will_wake(cx.waker()))
        {
            state.caller = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Says that nobody waits any more. Returns whether the answer was still to come.
    pub(crate) fn abandon(&self) -> bool {
        let mut state = self.state.lock();
        if !matches!(state.answer, Answer::Pending) {
            return false;
        }
        state.answer = Answer::Abandoned;
        let callee = state.callee.take();
        drop(state);
        if let Some(callee) = callee {
            callee.wake();
        }
        true
    }

    pub(crate) fn set_deadline(&self, deadline: Option<Instant>) {
        self.state.lock().deadline = deadline;
    }
}

impl<T: Send, E: Send> CallScope for ReplySlot<T, E> {
    fn deadline(&self) -> Option<Instant> {
        self.state.lock().deadline
    }

    fn is_abandoned(&self) -> bool {
        matches!(self.state.lock().answer, Answer::Abandoned)
    }

    fn poll_abandoned(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        if matches!(state.answer, Answer::Abandoned) {
            return Poll::Ready(());
        }
        state.callee = Some(cx.waker().clone());
        Poll::Pending
    }
}
