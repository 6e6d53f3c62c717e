//! How much a caller may send before the callee has handled what came earlier. Pure.
//!
//! Both sides count the bytes of the messages that were sent in all. The callee tells from time to
//! time how many of them its endpoints have begun to handle or refused; the caller may be ahead of
//! that by the window. The counts are totals, so that nothing is lost when one report takes the place
//! of another.

use std::sync::atomic::{AtomicU64, Ordering};

/// The caller's side.
#[derive(Debug)]
pub(super) struct Credit {
    sent: AtomicU64,
    handled: AtomicU64,
    window: u64,
}

impl Credit {
    pub(super) fn new(window: u32) -> Self {
        Self {
            sent: AtomicU64::new(0),
            handled: AtomicU64::new(0),
            window: window.into(),
        }
    }

    /// Tells whether a further message may be sent. It is not cut: the last may go beyond the window.
    pub(super) fn is_left(&self) -> bool {
        let handled = self.handled.load(Ordering::Relaxed);
        let sent = self.sent.load(Ordering::Relaxed);
        sent.saturating_sub(handled) < self.window
    }

    pub(super) fn window(&self) -> u64 {
        self.window
    }

    /// Counts a message that is sent; only who has the main lane does.
    pub(super) fn spend(&self, bytes: usize) {
        // Nobody else counts meanwhile, so that nothing is lost between the two.
        let sent = self.sent.load(Ordering::Relaxed) + bytes as u64;
        self.sent.store(sent, Ordering::Relaxed);
    }

    /// Takes the callee's report. A total never shrinks.
    pub(super) fn earn(&self, handled: u64) {
        self.handled.fetch_max(handled, Ordering::Relaxed);
    }
}

/// The callee's side.
#[derive(Debug)]
pub(super) struct Debt {
    received: AtomicU64,
    handled: AtomicU64,
    reported: AtomicU64,
    window: u64,
    /// How far the last message may go beyond the window.
    frame_max: u64,
}

impl Debt {
    pub(super) fn new(window: usize, frame_max: usize) -> Self {
        Self {
            received: AtomicU64::new(0),
            handled: AtomicU64::new(0),
            reported: AtomicU64::new(0),
            window: window as u64,
            frame_max: frame_max as u64,
        }
    }

    /// Counts a message that came; whoever has the session does. Returns whether the caller was allowed
    /// to send it.
    pub(super) fn receive(&self, bytes: usize) -> bool {
        // Nobody else counts meanwhile, so that nothing is lost between the two.
        let received = self.received.load(Ordering::Relaxed) + bytes as u64;
        self.received.store(received, Ordering::Relaxed);
        // Only what was reported counts for the caller, but it may have heard of it already.
        let handled = self.handled.load(Ordering::Relaxed);
        received.saturating_sub(handled) <= self.window.saturating_add(self.frame_max)
    }

    /// Tells whether so many bytes that are handled are to be counted without waiting for others:
    /// many endpoints may have as many.
    pub(super) fn is_much(&self, bytes: usize) -> bool {
        bytes >= UNCOUNTED_BYTES_MAX || bytes as u64 > self.window / UNCOUNTED_PER_WINDOW
    }

    /// Counts messages that were handled. Returns the total when it is time to report it.
    pub(super) fn handle(&self, bytes: usize) -> Option<u64> {
        let handled = self.handled.fetch_add(bytes as u64, Ordering::Relaxed) + bytes as u64;
        let reported = self.reported.load(Ordering::Relaxed);
        let due = handled.saturating_sub(reported) > self.window / REPORTS_PER_WINDOW;
        let turn = due
            && self
                .reported
                .compare_exchange(reported, handled, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        turn.then_some(handled)
    }
}

/// Rarely enough to cost nothing, often enough that a caller does not stall at the window's end.
const REPORTS_PER_WINDOW: u64 = 4;
const UNCOUNTED_BYTES_MAX: usize = 16 << 10;
const UNCOUNTED_PER_WINDOW: u64 = 64;

#[cfg(test)]
mod tests {
    use super::{Credit, Debt};

    #[test]
    fn a_caller_is_ahead_by_the_window_and_no_more() {
        let (credit, debt) = (Credit::new(100), Debt::new(100, 30));
        let mut sent = 0;
        while credit.is_left() {
            credit.spend(30);
            assert!(debt.receive(30));
            sent += 1;
        }
        assert_eq!(sent, 4, "the last goes beyond the window");
        assert_eq!(debt.handle(10), None);
        let total = debt.handle(20).expect("more than a quarter is handled");
        assert_eq!(total, 30);
        credit.earn(total);
        assert!(credit.is_left());
        credit.earn(20);
        assert!(credit.is_left(), "an old report takes nothing back");
    }

    #[test]
    fn a_caller_that_goes_beyond_is_found_out() {
        let debt = Debt::new(100, 30);
        assert!(debt.receive(130));
        assert!(!debt.receive(1));
        debt.handle(60);
        assert!(debt.receive(1));
    }

    #[test]
    fn what_was_sent_is_earned_back_whatever_the_sizes() {
        let (credit, debt) = (Credit::new(1000), Debt::new(1000, 700));
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..10_000 {
            let bytes = random.usize(24..700);
            assert!(credit.is_left(), "it is stuck");
            credit.spend(bytes);
            assert!(debt.receive(bytes));
            if let Some(total) = debt.handle(bytes) {
                credit.earn(total);
            }
        }
    }
}
