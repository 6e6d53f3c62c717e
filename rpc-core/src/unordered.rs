//! Futures that are polled in any order.

use std::future::Future;
use std::task::{Context, Poll};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

/// A set of futures that takes no memory until there is one: most endpoints have none.
pub(crate) struct Unordered<F>(Option<Box<FuturesUnordered<F>>>);

impl<F> Default for Unordered<F> {
    fn default() -> Self {
        Self(None)
    }
}

impl<F: Future> Unordered<F> {
    pub(crate) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |it| it.len())
    }

    pub(crate) fn push(&mut self, future: F) {
        self.0.get_or_insert_default().push(future);
    }

    /// Returns the result of one that is ready; `None` if there is none at all.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<F::Output>> {
        match &mut self.0 {
            Some(futures) if !futures.is_empty() => futures.poll_next_unpin(cx),
            Some(_) | None => Poll::Ready(None),
        }
    }
}

impl<F: Future> Extend<F> for Unordered<F> {
    fn extend<I: IntoIterator<Item = F>>(&mut self, futures: I) {
        futures.into_iter().for_each(|future| self.push(future));
    }
}
