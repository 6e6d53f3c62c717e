//! What is to be done if a piece of work does not come to its end.

/// Runs its code when it is dropped before the work is [done](Self::done): that has panicked, or was
/// dropped at an await.
#[must_use = "it is for as long as the work takes"]
pub(crate) struct Unfinished<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> Unfinished<F> {
    pub(crate) const fn new(otherwise: F) -> Self {
        Self(Some(otherwise))
    }

    pub(crate) fn done(mut self) {
        self.0 = None;
    }
}

impl<F: FnOnce()> Drop for Unfinished<F> {
    fn drop(&mut self) {
        if let Some(otherwise) = self.0.take() {
            otherwise();
        }
    }
}
