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
/// Each registration has a number, and what comes of one that is not the newest is ignored: a
/// registration that was given up calls nobody back. Answers to Flink's `RegisteredRpcConnection`.
#[derive(Debug)]
pub(crate) struct RegisteredConnection {
    state: ConnectionState,
    registration: u64,
}

impl RegisteredConnection {
    /// Makes a connection that is not begun.
    pub(crate) const fn new() -> Self {
        Self {
            state: ConnectionState::New,
            registration: 0,
        }
    }

    /// Tells whether a registration is under way.
    pub(crate) const fn is_pending(&self) -> bool {
        matches!(self.state, ConnectionState::Pending)
    }

    /// Begins the first registration and returns its number; `None` if it was begun before.
    pub(crate) const fn start(&mut self) -> Option<u64> {
        match self.state {
            ConnectionState::New => Some(self.begin()),
            _ => None,
        }
    }

    /// Gives up what there is and begins anew; returns the number of the new registration.
    ///
    /// As `RegisteredRpcConnection#tryReconnect`: `None` if the connection was never begun or is
    /// closed.
    pub(crate) const fn reconnect(&mut self) -> Option<u64> {
        match self.state {
            ConnectionState::New | ConnectionState::Closed => None,
            _ => Some(self.begin()),
        }
    }

    /// Takes the success of a registration; returns whether it counts.
    pub(crate) const fn established(&mut self, registration: u64) -> bool {
        self.settle(registration, ConnectionState::Established)
    }

    /// Takes the rejection of a registration; returns whether it counts.
    pub(crate) const fn rejected(&mut self, registration: u64) -> bool {
        self.settle(registration, ConnectionState::Failed)
    }

    /// Ends the connection.
    pub(crate) const fn close(&mut self) {
        self.state = ConnectionState::Closed;
    }

    const fn begin(&mut self) -> u64 {
        self.state = ConnectionState::Pending;
        self.registration += 1;
        self.registration
    }

    const fn settle(&mut self, registration: u64, state: ConnectionState) -> bool {
        let counts =
            matches!(self.state, ConnectionState::Pending) && registration == self.registration;
        if counts {
            self.state = state;
        }
        counts
    }
}
