//! Links: the connections of a service that take each other's place, one after the other.

use std::sync::{Arc, Weak};

use super::Accepted;
use crate::connection::{Hello, IncomingConnection, Link, Refusal};
use crate::mutant::{self, Mutant};
use crate::transport::PeerIdentity;

/// Which link it is: ids are no secrets, so that nobody joins or replaces what another has opened.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    service: u128,
    address: u64,
    who: Who,
}

/// Whose a link is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Who {
    /// Where peers prove nothing.
    Anybody,
    /// Those in the certificate: they outlast its renewal. Who has other roles is another, whatever its
    /// names.
    Named {
        names: Vec<String>,
        roles: Vec<String>,
    },
    /// That of a certificate without a name of its own.
    Fingerprint([u8; 32]),
}

impl Who {
    pub(super) fn of(identity: &PeerIdentity) -> Self {
        let names = identity.names().iter();
        // Every host is that to itself.
        let own = names.filter(|it| !it.eq_ignore_ascii_case("localhost"));
        let names: Vec<_> = own.cloned().collect();
        if names.is_empty() {
            return Self::Fingerprint(*identity.fingerprint());
        }
        Self::Named {
            names,
            roles: identity.roles().to_vec(),
        }
    }
}

impl Key {
    fn new(hello: &Hello, identity: Option<&PeerIdentity>) -> Self {
        let who = identity.map_or(Who::Anybody, Who::of);
        Self {
            service: hello.service,
            address: hello.link.address,
            who,
        }
    }
}

/// The newest connection of a link.
pub(super) struct Newest {
    number: u64,
    connection: Weak<IncomingConnection>,
}

impl Accepted {
    /// Tells whether a service that said so has dialled this one by this link.
    pub(in crate::service) fn has_link(&self, service: u128, link: Link) -> bool {
        let state = self.state.lock();
        let mut links = state.links.iter();
        links.any(|(key, newest)| {
            let found = (key.service, key.address, newest.number);
            found == (service, link.address, link.number)
        })
    }

    /// Gives a link to a connection that is about to be made: it is cut off from older ones first.
    pub(super) fn link(
        self: &Arc<Self>,
        hello: &Hello,
        identity: Option<&PeerIdentity>,
    ) -> Result<Linked, Refusal> {
        let key = Key::new(hello, identity);
        let number = hello.link.number;
        let mut state = self.state.lock();
        let newest = Newest {
            number,
            connection: Weak::new(),
        };
        let older = match state.links.get(&key) {
            Some(newest) if newest.number >= number => return Err(Refusal::Superseded),
            _ => state.links.insert(key.clone(), newest),
        };
        drop(state);
        if let Some(older) = older.and_then(|it| it.connection.upgrade())
            && !mutant::is(Mutant::OldConnectionServed)
        {
            older.discard();
        }
        Ok(Linked {
            accepted: Arc::clone(self),
            key,
            number,
        })
    }

    /// Returns the connection that a bulk lane is to join.
    pub(super) fn joined(
        &self,
        hello: &Hello,
        identity: Option<&PeerIdentity>,
    ) -> Result<Arc<IncomingConnection>, Refusal> {
        let state = self.state.lock();
        let newest = state.links.get(&Key::new(hello, identity));
        let newest = newest.filter(|it| it.number == hello.link.number);
        let connection = newest.and_then(|it| it.connection.upgrade());
        connection.ok_or(Refusal::NoConnection)
    }
}

/// The newest connection of a link.
pub(super) struct Linked {
    accepted: Arc<Accepted>,
    key: Key,
    number: u64,
}

impl Linked {
    /// Takes the link over, unless a newer connection has done so meanwhile.
    pub(super) fn take(&self, connection: &Arc<IncomingConnection>) {
        let mut state = self.accepted.state.lock();
        match state.links.get_mut(&self.key) {
            Some(newest) if newest.number == self.number => {
                newest.connection = Arc::downgrade(connection);
            }
            _ => {
                drop(state);
                connection.discard();
            }
        }
    }
}

impl Drop for Linked {
    fn drop(&mut self) {
        let mut state = self.accepted.state.lock();
        let newest = state.links.get(&self.key);
        if newest.is_some_and(|it| it.number == self.number) {
            state.links.remove(&self.key);
        }
    }
}
