//! The lock and the atomics of the parts that loom checks: parking_lot's and the standard library's, or
//! loom's while it does.

#[cfg(not(all(test, rpc_loom)))]
pub(crate) use std::sync::atomic::{AtomicU8, Ordering};

#[cfg(not(all(test, rpc_loom)))]
pub(crate) use parking_lot::{Mutex, MutexGuard};

#[cfg(all(test, rpc_loom))]
pub(crate) use self::model::Mutex;
#[cfg(all(test, rpc_loom))]
pub(crate) use loom::sync::MutexGuard;
#[cfg(all(test, rpc_loom))]
pub(crate) use loom::sync::atomic::{AtomicU8, Ordering};

#[cfg(all(test, rpc_loom))]
mod model {
    use loom::sync::MutexGuard;

    /// Loom's lock with the methods of parking_lot's.
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().expect("a panic ends the model")
        }
    }
}
