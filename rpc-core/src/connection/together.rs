//! Two things that are run in one task, and wake each other without it.

use std::future::poll_fn;
use std::task::{Context, Poll};

use futures_util::FutureExt;

use super::bell::Bell;
use crate::transport::Driver;

/// Does `work`, and runs the driver of the connection meanwhile.
///
/// What one of them wakes the other for is done in the same poll: a task that wakes itself is put
/// behind all others. The work is pinned by the caller, so that its memory is in the task but once.
pub(crate) fn together<T>(
    driver: Option<Driver>,
    mut work: impl Future<Output = T> + Unpin,
) -> impl Future<Output = T> {
    let mut lent = driver.map(|driver| {
        let bell = Bell::new(DRIVER | WORK);
        let wakers = (bell.waker(DRIVER), bell.waker(WORK));
        (driver, bell, wakers)
    });
    let mut is_driven = true;
    poll_fn(move |cx| {
        let Some((driver, bell, (for_driver, for_work))) = &mut lent else {
            return work.poll_unpin(cx);
        };
        bell.begin(cx.waker());
        for _ in 0..ROUNDS {
            if bell.take(DRIVER) && is_driven {
                let polled = driver.as_mut().poll(&mut Context::from_waker(for_driver));
                is_driven = polled.is_pending();
            }
            if bell.take(WORK)
                && let Poll::Ready(done) = work.poll_unpin(&mut Context::from_waker(for_work))
            {
                return Poll::Ready(done);
            }
            if bell.rest() {
                return Poll::Pending;
            }
        }
        // The other tasks have their turn.
        bell.rest_anyway();
        cx.waker().wake_by_ref();
        Poll::Pending
    })
}

/// The driver has something to do.
const DRIVER: u8 = 1;
/// The work has.
const WORK: u8 = 2;
/// So often both are polled before other tasks have their turn.
const ROUNDS: usize = 8;

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Poll, Waker};

    use super::{ROUNDS, together};
    use crate::connection::bell::Woken;

    #[test]
    fn what_one_wakes_the_other_for_is_done_in_the_same_poll() {
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let (asked, answered) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
        let drivers = Arc::new(parking_lot::Mutex::new(None::<Waker>));
        let driver = {
            let (answered, drivers) = (Arc::clone(&answered), Arc::clone(&drivers));
            Box::pin(poll_fn(move |cx| {
                *drivers.lock() = Some(cx.waker().clone());
                answered.fetch_add(1, Ordering::Relaxed);
                Poll::<()>::Pending
            }))
        };
        let mut run = pin!(together(
            Some(driver),
            poll_fn(|cx| {
                if asked.fetch_add(1, Ordering::Relaxed) < 2 {
                    // As a frame does that is written: the driver has to move it.
                    let driver = drivers.lock().clone().unwrap();
                    driver.wake();
                    cx.waker().wake_by_ref();
                }
                Poll::<()>::Pending
            })
        ));
        assert!(
            run.as_mut()
                .poll(&mut Context::from_waker(&waker))
                .is_pending()
        );
        let polls = || {
            (
                answered.load(Ordering::Relaxed),
                asked.load(Ordering::Relaxed),
            )
        };
        assert_eq!(polls(), (3, 3));
        let wakes = || woken.count();
        assert_eq!(wakes(), 0, "the task does not wake itself");

        let driver = drivers.lock().clone().unwrap();
        driver.wake_by_ref();
        driver.wake();
        assert_eq!(wakes(), 1, "whoever comes first wakes the task");
        assert!(
            run.as_mut()
                .poll(&mut Context::from_waker(&waker))
                .is_pending()
        );
        assert_eq!(polls(), (4, 3), "only what was woken is polled");
    }

    #[test]
    fn two_that_wake_each_other_for_ever_leave_others_their_turn() {
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let mut polls = 0;
        let mut run = pin!(together(
            Some(Box::pin(async {})),
            poll_fn(|cx| {
                polls += 1;
                cx.waker().wake_by_ref();
                match polls > ROUNDS {
                    true => Poll::Ready(polls),
                    false => Poll::Pending,
                }
            })
        ));
        let mut cx = Context::from_waker(&waker);
        assert!(run.as_mut().poll(&mut cx).is_pending());
        assert_eq!(woken.count(), 1, "it goes on later");
        assert_eq!(run.as_mut().poll(&mut cx), Poll::Ready(ROUNDS + 1));
    }
}
