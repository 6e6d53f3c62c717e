//! How much a caller may send before the callee has handled what came earlier. Pure.
//!
//! Both sides count the bytes of the messages that were sent in all. The callee tells from time to
//! time how many of them its endpoints have begun to handle, or have handled if they are one-way, or
//! refused; the caller may be ahead of that by the window. The counts are totals, so that nothing is lost when one report takes the place
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
            // As large as the caller can be told that it is.
            window: (window as u64).min(u32::MAX.into()),
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
        // Tried again if another reports meanwhile, which may be less, and leave as much as is due.
        let (success, failure) = (Ordering::Relaxed, Ordering::Relaxed);
        let reported = self.reported.fetch_update(success, failure, |reported| {
            let is_due = handled.saturating_sub(reported) > self.window / REPORTS_PER_WINDOW;
            is_due.then_some(handled)
        });
        reported.is_ok().then_some(handled)
    }
}

/// Rarely enough to cost nothing, often enough that a caller does not stall at the window's end.
const REPORTS_PER_WINDOW: u64 = 4;
const UNCOUNTED_BYTES_MAX: usize = 16 << 10;
const UNCOUNTED_PER_WINDOW: u64 = 64;

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread;

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
    fn two_that_report_at_once_leave_nothing_that_is_due() {
        for _ in 0..2_000 {
            let (debt, begin) = (Debt::new(8, 8), Barrier::new(2));
            let reports = thread::scope(|scope| {
                let handle = |bytes| {
                    begin.wait();
                    debt.handle(bytes)
                };
                let other = scope.spawn(move || handle(3));
                [handle(8), other.join().expect("it counts")]
            });
            let reported = reports.into_iter().flatten().max();
            assert!(reported >= Some(9), "{reported:?} of 11");
        }
    }

    #[test]
    fn a_window_larger_than_a_caller_can_be_told_of_is_earned_back() {
        let gibibyte = 1 << 30;
        let (credit, debt) = (Credit::new(u32::MAX), Debt::new(usize::MAX, gibibyte));
        for _ in 0..20 {
            assert!(credit.is_left(), "it is stuck");
            credit.spend(gibibyte);
            if let Some(total) = debt.handle(gibibyte) {
                credit.earn(total);
            }
        }
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
