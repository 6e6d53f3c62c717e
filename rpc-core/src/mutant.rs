//! Faults that are put into the protocol on purpose, to see that the tests find them.
//!
//! A test chooses one for its thread; outside of tests there are none, and a question after one is
//! answered by the compiler.

macro_rules! mutants {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What is wrong with the protocol.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Mutant {
            $($(#[$doc])* $name,)*
        }

        #[cfg(all(test, feature = "testing"))]
        impl Mutant {
            /// All that there are.
            pub(crate) const ALL: &[Self] = &[$(Self::$name),*];
        }
    };
}

mutants! {
    /// A call that nobody waits for is begun.
    AbandonedBegun,
    /// A lost connection is taken for one over which nothing was sent.
    BlameNobody,
    /// The small requests of a gateway overtake its large ones.
    BulkOvertaken,
    /// A cancel is ignored by the callee.
    CancelIgnored,
    /// A caller does not tell that it has given up.
    CancelNotSent,
    /// The caller sends though the callee's window is closed.
    CreditIgnored,
    /// What was handled is not given back to the window.
    CreditNotReturned,
    /// A nested call gets all the time that it wants.
    DeadlineNotInherited,
    /// The time that is left does not travel.
    DeadlineNotSent,
    /// The callee does not end calls whose time is over.
    DeadlineNotSwept,
    /// A longer time that the caller allows is ignored.
    ExtendIgnored,
    /// A repeated frame is as good as the first.
    FrameRepeated,
    /// The end of an endpoint is told to nobody.
    GoneNotSent,
    /// A peer that says goodbye is taken for a lost one.
    GoodbyeIgnored,
    /// Any incarnation of an endpoint will do.
    IncarnationIgnored,
    /// Calls under way on a lost connection are forgotten.
    LostForgotten,
    /// A mailbox has no limit.
    MailboxUnlimited,
    /// A connection is served though its caller has made a newer one.
    OldConnectionServed,
    /// A parked call is forgotten when the connection is back.
    ParkedForgotten,
    /// A parked call goes before those that were parked earlier.
    ParkedReversed,
    /// Nobody asks whether a silent peer is there.
    PingNotSent,
    /// A lost peer is dialled again and again without a rest.
    RedialAtOnce,
    /// The number of a gateway that is not needed any more is kept.
    ReleaseIgnored,
    /// Every call is made again when its connection is lost.
    RetryAll,
    /// A call's number is used again at once.
    ReusedCallId,
    /// An older token takes the place of a newer one.
    StaleTokenTaken,
    /// The token is not checked.
    TokenIgnored,
    /// The token of a one-way call is not checked.
    TokenIgnoredOneWay,
}

#[cfg(not(test))]
pub(crate) const fn is(_: Mutant) -> bool {
    false
}

#[cfg(test)]
pub(crate) use self::chosen::is;
#[cfg(all(test, feature = "testing"))]
pub(crate) use self::chosen::with;

#[cfg(test)]
mod chosen {
    use std::cell::Cell;

    use super::Mutant;

    thread_local! {
        static CHOSEN: Cell<Option<Mutant>> = const { Cell::new(None) };
    }

    pub(crate) fn is(mutant: Mutant) -> bool {
        CHOSEN.get() == Some(mutant)
    }

    /// Runs `f` with a fault in the protocol of this thread.
    #[cfg(feature = "testing")]
    pub(crate) fn with<R>(mutant: Option<Mutant>, f: impl FnOnce() -> R) -> R {
        struct Restore(Option<Mutant>);
        impl Drop for Restore {
            fn drop(&mut self) {
                CHOSEN.set(self.0);
            }
        }
        let _restore = Restore(CHOSEN.replace(mutant));
        f()
    }
}
