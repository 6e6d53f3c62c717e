//! What messages take of a connection's window: a call until its handler begins, a one-way message until
//! its handler has ended.

use std::mem;
use std::sync::Arc;

use super::IncomingConnection;

/// What a one-way message takes. A call knows by itself what it takes.
#[must_use = "dropping it gives it back"]
pub(crate) struct Charge {
    connection: Arc<IncomingConnection>,
    bytes: usize,
}

/// What several messages took. It is given back together, since to give one back costs more than to
/// begin to handle it.
#[derive(Default)]
#[must_use = "dropping it gives it back"]
pub(crate) struct Charges(Option<Charge>);

impl Charge {
    pub(super) fn new(connection: &Arc<IncomingConnection>, bytes: usize) -> Self {
        Self {
            connection: Arc::clone(connection),
            bytes,
        }
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns who sent the message.
    pub(crate) fn peer(&self) -> &str {
        &self.connection.wire.peer
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.connection.give_back(self.bytes);
    }
}

impl Charges {
    /// A one-way message was handled.
    pub(crate) fn join(&mut self, mut charge: Charge) {
        let bytes = mem::take(&mut charge.bytes);
        self.add(&charge.connection, bytes);
    }

    /// A message of a connection is about to be handled.
    pub(super) fn add(&mut self, connection: &Arc<IncomingConnection>, bytes: usize) {
        match &mut self.0 {
            Some(charge) if Arc::ptr_eq(&charge.connection, connection) => charge.bytes += bytes,
            others => *others = Some(Charge::new(connection, bytes)),
        }
        // Its sender may wait for it, if it is much.
        let _given_back = self.0.take_if(|it| connection.debt.is_much(it.bytes));
    }
}
