//! Two futures in one task, of which the second is rarely woken.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use super::bell::Bell;

/// Does `work` until that or `rest` is done, and polls `rest` only when it was woken itself.
///
/// A connection's task is woken to read, and hardly ever for anything else; to look at all the rest each
/// time costs more than to read a frame. What `rest` waits for is to wake the waker that it is polled
/// with, and no other: the halves of a stream are independent.
pub(crate) async fn beside<T>(work: impl Future<Output = T>, rest: impl Future<Output = T>) -> T {
    let (mut work, mut rest) = (pin!(work), pin!(rest));
    let bell = Bell::new(REST);
    let for_rest = bell.waker(REST);
    let mut task = Waker::noop().clone();
    poll_fn(|cx| {
        if let done @ Poll::Ready(_) = work.as_mut().poll(cx) {
            return done;
        }
        if !task.will_wake(cx.waker()) {
            task.clone_from(cx.waker());
            bell.hang(&task);
        }
        if bell.take(REST) {
            return rest.as_mut().poll(&mut Context::from_waker(&for_rest));
        }
        Poll::Pending
    })
    .await
}

/// The rest has something to do.
const REST: u8 = 1;

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::future::poll_fn;
    use std::pin::pin;
    use std::sync::Arc;
    use std::task::{Context, Poll, Waker};

    use super::beside;
    use crate::connection::bell::Woken;

    #[test]
    fn the_rest_is_polled_when_it_was_woken_and_not_otherwise() {
        let (worked, rested) = (Cell::new(0), Cell::new(0));
        let kept = RefCell::new(Waker::noop().clone());
        let work = poll_fn(|_| {
            worked.set(worked.get() + 1);
            Poll::<()>::Pending
        });
        let rest = poll_fn(|cx| {
            rested.set(rested.get() + 1);
            kept.borrow_mut().clone_from(cx.waker());
            match rested.get() {
                3 => Poll::Ready(()),
                _ => Poll::Pending,
            }
        });
        let mut both = pin!(beside(work, rest));
        let tasks = [(); 2].map(|()| Arc::new(Woken::default()));
        let wakers = tasks.clone().map(Waker::from);
        let wakes = || tasks.each_ref().map(|it| it.count());
        let mut poll = |task: usize| both.as_mut().poll(&mut Context::from_waker(&wakers[task]));
        for _ in 0..3 {
            assert!(poll(0).is_pending());
        }
        assert_eq!((worked.get(), rested.get()), (3, 1));
        kept.borrow().wake_by_ref();
        kept.borrow().wake_by_ref();
        assert_eq!(wakes(), [1, 0], "once until it is polled");
        assert!(poll(0).is_pending());
        assert_eq!((worked.get(), rested.get()), (4, 2));
        // Another task polls it from now on.
        assert!(poll(1).is_pending());
        assert_eq!(rested.get(), 2);
        kept.borrow().wake_by_ref();
        assert_eq!(wakes(), [1, 1]);
        assert!(poll(1).is_ready());
    }

    #[test]
    fn what_is_done_first_ends_it() {
        let mut cx = Context::from_waker(Waker::noop());
        let mut work = pin!(beside(async { 1 }, std::future::pending()));
        assert_eq!(work.as_mut().poll(&mut cx), Poll::Ready(1));
        let mut rest = pin!(beside(std::future::pending(), async { 2 }));
        assert_eq!(rest.as_mut().poll(&mut cx), Poll::Ready(2));
    }
}
