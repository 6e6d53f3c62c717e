//! A lock for what is quickly done, and the atomics of the parts that loom checks; loom's while it does.

#[cfg(not(all(test, rpc_loom)))]
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU8, Ordering, fence};

#[cfg(not(all(test, rpc_loom)))]
pub(crate) use self::quick::{Mutex, MutexGuard};

#[cfg(all(test, rpc_loom))]
pub(crate) use self::model::Mutex;
#[cfg(all(test, rpc_loom))]
pub(crate) use loom::sync::MutexGuard;
#[cfg(all(test, rpc_loom))]
pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU8, Ordering, fence};

#[cfg(not(all(test, rpc_loom)))]
mod quick {
    use std::time::Duration;
    use std::{hint, thread};

    use parking_lot::Condvar;
    use spin::mutex::{SpinMutex, SpinMutexGuard};

    /// A lock that is held for some instructions, and by nobody who waits for anything.
    ///
    /// It is let go of by a plain store, so that it costs half as much as a lock in whose queue one can
    /// sleep, where nobody else wants it. Those who do try again, and rest between two attempts only if
    /// whoever has it was interrupted meanwhile.
    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T>(SpinMutex<T>);

    pub(crate) type MutexGuard<'a, T> = SpinMutexGuard<'a, T>;

    impl<T> Mutex<T> {
        pub(crate) const fn new(value: T) -> Self {
            Self(SpinMutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.try_lock().unwrap_or_else(|| self.wait())
        }

        pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
            self.0.try_lock()
        }

        pub(crate) fn get_mut(&mut self) -> &mut T {
            self.0.get_mut()
        }

        #[cold]
        fn wait(&self) -> MutexGuard<'_, T> {
            let mut tries: u32 = 0;
            loop {
                tries += 1;
                match tries {
                    0..SPINS => hint::spin_loop(),
                    SPINS..YIELDS => thread::yield_now(),
                    _ => rest(),
                }
                // To look costs others less than to try.
                if !self.0.is_locked()
                    && let Some(locked) = self.try_lock()
                {
                    return locked;
                }
            }
        }
    }

    /// Not as a parked thread, which would take a wake-up that is meant for the executor of this one.
    fn rest() {
        static BED: (parking_lot::Mutex<()>, Condvar) =
            (parking_lot::Mutex::new(()), Condvar::new());
        let (bed, nobody) = &BED;
        nobody.wait_for(&mut bed.lock(), REST);
    }

    /// Some microseconds.
    const SPINS: u32 = 100;
    const YIELDS: u32 = SPINS + 20;
    const REST: Duration = Duration::from_micros(50);
}

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

        pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
            self.0.try_lock().ok()
        }

        pub(crate) fn get_mut(&mut self) -> &mut T {
            self.0.get_mut().expect("a panic ends the model")
        }
    }
}
