//! What the main loop does on a thread that is lent.

use std::mem;
use std::task::{Context as TaskContext, Poll};

use super::MainLoop;
use crate::endpoint::RpcEndpoint;

impl<E: RpcEndpoint> MainLoop<'_, E> {
    /// Tells whether it is polled on a thread that is lent.
    pub(super) fn is_on_lent_thread(&self) -> bool {
        self.is_shared && self.core.running.get().is_some_and(|it| it.is_lent())
    }

    /// Handles calls that wait, as long as they take next to no time, and leaves the rest to the task;
    /// ready when the endpoint has stopped.
    pub(super) fn poll_lent(&mut self, cx: &mut TaskContext<'_>) -> Poll<()> {
        let core = self.core;
        let mut is_all = self.stopping.is_none() && core.mailbox.take_mail(cx, &mut self.mail);
        if is_all {
            for _ in 0..LENT_ROUNDS_MAX {
                if self.handle(cx).is_ready() {
                    return Poll::Ready(());
                }
                if self.gives_way || self.mail.is_empty() {
                    break;
                }
            }
            self.pace.pay();
        }
        is_all &= !mem::take(&mut self.gives_way);
        is_all &= self.mail.is_empty() && self.stopping.is_none();
        // Timers and continuations are the task's business.
        is_all &= !core.pulse.is_changed();
        if !is_all {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

/// Who lends its thread has its own answer, as a rule, after a round.
const LENT_ROUNDS_MAX: usize = 4;
