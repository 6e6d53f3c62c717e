//! A connection that is made by a registration, lost, and made again. Pure.
//!
//! ```text
//!       start          established
//!  New ───────▶ Pending ─────────▶ Established      any ─ close ─▶ Closed
//!                ▲   ▲ │ rejected       │
//!                │   │ ▼                │
//!                │  Failed              │
//!                └── reconnect ─────────┘
//! ```

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
}

impl RegisteredConnection {
    /// Makes a connection that is not begun.
    pub(crate) const fn new() -> Self {
        Self {
            state: ConnectionState::New,
            registration: None,
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

    /// Begins the first registration and returns its id; `None` if it was begun before.
    pub(crate) fn start(&mut self) -> Option<RegistrationId> {
        match self.state {
            ConnectionState::New => Some(self.begin()),
            _ => None,
        }
    }

    /// Gives up what there is and begins anew; returns the id of the new registration.
    ///
    /// As `RegisteredRpcConnection#tryReconnect`: `None` if the connection was never begun or is
    /// closed.
    pub(crate) fn reconnect(&mut self) -> Option<RegistrationId> {
        match self.state {
            ConnectionState::New | ConnectionState::Closed => None,
            _ => Some(self.begin()),
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

    fn begin(&mut self) -> RegistrationId {
        let registration = RegistrationId::random();
        self.state = ConnectionState::Pending;
        self.registration = Some(registration);
        registration
    }

    fn settle(&mut self, registration: RegistrationId, state: ConnectionState) -> bool {
        let counts = self.is_pending() && self.registration == Some(registration);
        if counts {
            self.state = state;
        }
        counts
    }
}
