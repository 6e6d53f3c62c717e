//! Two futures in one task, of which the second is rarely woken.

use std::future::{Future, poll_fn};
use std::task::{Context, Poll, Waker};

use futures_util::FutureExt;

use super::bell::Bell;

/// Does `work` until that or `rest` is done, and polls `rest` only when it was woken itself.
///
/// A connection's task is woken to read, and hardly ever for anything else; to look at all the rest each
/// time costs more than to read a frame. What `rest` waits for is to wake the waker that it is polled
/// with, and no other: the halves of a stream are independent.
///
/// Both are pinned by the caller: to take them by value would have their memory several times in the
/// task.
pub(crate) fn beside<T>(
    mut work: impl Future<Output = T> + Unpin,
    mut rest: impl Future<Output = T> + Unpin,
) -> impl Future<Output = T> {
    let bell = Bell::new(REST);
    let for_rest = bell.waker(REST);
    let mut task = Waker::noop().clone();
    poll_fn(move |cx| {
        if let done @ Poll::Ready(_) = work.poll_unpin(cx) {
            return done;
        }
        if !task.will_wake(cx.waker()) {
            task.clone_from(cx.waker());
            bell.hang(&task);
        }
        if bell.take(REST) {
            return rest.poll_unpin(&mut Context::from_waker(&for_rest));
        }
        Poll::Pending
    })
}

/// The rest has something to do.
const REST: u8 = 1;

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::future::{pending, poll_fn, ready};
    use std::sync::Arc;
    use std::task::{Context, Poll, Waker};

    use futures_util::FutureExt;

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
        let mut both = beside(work, rest);
        let tasks = [(); 2].map(|()| Arc::new(Woken::default()));
        let wakers = tasks.clone().map(Waker::from);
        let wakes = || tasks.each_ref().map(|it| it.count());
        let mut poll = |task: usize| both.poll_unpin(&mut Context::from_waker(&wakers[task]));
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
        let mut work = beside(ready(1), pending());
        assert_eq!(work.poll_unpin(&mut cx), Poll::Ready(1));
        let mut rest = beside(pending(), ready(2));
        assert_eq!(rest.poll_unpin(&mut cx), Poll::Ready(2));
    }
}
