//! A connection that is made by a registration, lost, and made again. Pure.
//!
//! ```text
//!  New ─ begin ─▶ Pending ─ established ─▶ Established      any ─ close ─▶ Closed
//!                 ▲  ▲ │ rejected              │
//!                 │  │ ▼                       │
//!                 │ Failed                     │
//!                 └────────── begin ───────────┘
//! ```

use futures_util::future::{AbortHandle, Abortable, abortable};

use crate::id::RegistrationId;

/// Where a [`RegisteredConnection`] stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ConnectionState {
    New,
    Pending,
    Established,
    /// The registration was rejected.
    Failed,
    Closed,
}

/// Tells the registration that counts from those before it.
///
/// Each registration has an id, and what comes of one that is not the newest is ignored: a
/// registration that was given up calls nobody back. Answers to Flink's `RegisteredRpcConnection`.
#[derive(Debug)]
pub(crate) struct RegisteredConnection {
    state: ConnectionState,
    /// The newest.
    registration: Option<RegistrationId>,
    /// Ends what does it.
    under_way: Option<AbortHandle>,
}

impl RegisteredConnection {
    /// Makes a connection that is not begun.
    pub(crate) const fn new() -> Self {
        Self {
            state: ConnectionState::New,
            registration: None,
            under_way: None,
        }
    }

    /// Tells whether a registration is under way.
    pub(crate) const fn is_pending(&self) -> bool {
        matches!(self.state, ConnectionState::Pending)
    }

    /// Returns the registration that is under way or was accepted.
    pub(crate) fn registration(&self) -> Option<RegistrationId> {
        match self.state {
            ConnectionState::Pending | ConnectionState::Established => self.registration,
            ConnectionState::New | ConnectionState::Failed | ConnectionState::Closed => None,
        }
    }

    /// Gives up what there is, and begins a registration, the first or another; returns its id.
    ///
    /// As `RegisteredRpcConnection#tryReconnect`: `None` if the connection is closed.
    pub(crate) fn begin(&mut self) -> Option<RegistrationId> {
        self.give_up();
        if self.state == ConnectionState::Closed {
            return None;
        }
        self.state = ConnectionState::Pending;
        self.registration = Some(RegistrationId::random());
        self.registration
    }

    /// Returns what does the registration that was begun, until it is given up.
    pub(crate) fn registering<F: Future>(&mut self, register: F) -> Abortable<F> {
        let (registering, under_way) = abortable(register);
        self.under_way = Some(under_way);
        registering
    }

    /// Gives up the registration that is under way, if one is.
    pub(crate) fn give_up(&mut self) {
        if let Some(under_way) = self.under_way.take() {
            under_way.abort();
        }
    }

    /// Takes the success of a registration; returns whether it counts.
    pub(crate) fn established(&mut self, registration: RegistrationId) -> bool {
        self.settle(registration, ConnectionState::Established)
    }

    /// Takes the rejection of a registration; returns whether it counts.
    pub(crate) fn rejected(&mut self, registration: RegistrationId) -> bool {
        self.settle(registration, ConnectionState::Failed)
    }

    /// Ends the connection.
    pub(crate) const fn close(&mut self) {
        self.state = ConnectionState::Closed;
    }

    fn settle(&mut self, registration: RegistrationId, state: ConnectionState) -> bool {
        let counts = self.is_pending() && self.registration == Some(registration);
        if counts {
            self.state = state;
        }
        counts
    }
}
