//! How a gateway finds its endpoint again.

use std::sync::{Arc, Weak};

use parking_lot::RwLockWriteGuard;

use super::call::Failed;
use super::state::{Bound, State};
use super::{Gone, Incarnation, RemoteGateway, fail_all};
use crate::connection::outgoing::{Claim, Registered};
use crate::moment::Moment;
use crate::mutant::{self, Mutant};
use crate::service::{NoRuntime, Patience};
use crate::unfinished::Unfinished;

impl RemoteGateway {
    /// Has a task bind the gateway, unless one does.
    pub(super) fn start_binding(&self, mut state: RwLockWriteGuard<'_, State>) {
        let (Some(me), Some(service)) = (self.me.upgrade(), self.service.upgrade()) else {
            return;
        };
        if state.binding || state.bound.is_some() {
            return;
        }
        state.binding = true;
        let forsaken = Arc::clone(&me);
        let unfinished = Unfinished::new(move || forsaken.forsake());
        // What cannot be run is dropped: the service is closed, or has no runtime here.
        drop(state);
        let begun = service.try_spawn(async move {
            me.bind().await;
            unfinished.done();
        });
        if let Err(NoRuntime) = begun {
            tracing::warn!(to = %self.address, "no runtime to look for a lost connection in");
        }
    }

    /// Nobody binds the gateway any more.
    fn forsake(&self) {
        let orphans = {
            let mut state = self.state.write();
            state.binding = false;
            state.orphan()
        };
        fail_all(orphans, &self.never_sent(), &self.lost());
    }

    /// Redials until the gateway is bound again, or nobody waits for it.
    async fn bind(self: Arc<Self>) {
        let found = {
            let mut finding = std::pin::pin!(self.find());
            loop {
                tokio::select! {
                    biased;
                    found = &mut finding => break found,
                    () = self.given_up.notified() => {
                        let mut state = self.state.write();
                        if state.parked.is_empty() {
                            state.binding = false;
                            return;
                        }
                    }
                }
            }
        };
        match found {
            Found::Again(claim) => self.bind_to(claim),
            Found::Gone(gone) => {
                let mut state = self.state.write();
                state.binding = false;
                self.leave_for_good(state, gone);
                self.stopped();
            }
            Found::Nobody => {}
        }
    }

    async fn find(&self) -> Found {
        loop {
            let Some(service) = self.service.upgrade() else {
                return Found::Gone(Gone { restarted: false });
            };
            let is_gone = self.state.read().gone.is_some();
            let patience = match is_gone {
                true => Patience::None,
                false => Patience::Waits,
            };
            let attempt = service.redial(&self.address, &self.resolve, patience).await;
            match attempt {
                Ok(claim) => {
                    let found = Incarnation::of(&claim);
                    return match found == self.incarnation || mutant::is(Mutant::IncarnationIgnored)
                    {
                        true => Found::Again(claim),
                        false => Found::Gone(Gone { restarted: true }),
                    };
                }
                Err(Redial::NoEndpoint | Redial::Closed) => {
                    return Found::Gone(Gone { restarted: false });
                }
                Err(Redial::Failed) => {
                    let expired = self.state.write().expire(Moment::now());
                    fail_all(expired, &self.never_sent(), &self.lost());
                    let mut state = self.state.write();
                    if state.parked.is_empty() {
                        state.binding = false;
                        return Found::Nobody;
                    }
                    if let Some(gone) = state.gone {
                        return Found::Gone(gone);
                    }
                }
            }
        }
    }

    /// Sends what was parked, and what comes from now on, over a connection.
    pub(super) fn bind_to(&self, claim: Claim) {
        let (connection, resolved) = claim.keep();
        let number = resolved.gateway;
        let mut failed = Failed::default();
        let mut state = self.state.write();
        state.binding = false;
        let Registered { ended, gone } = connection.register(number, Weak::clone(&self.me));
        if let Some(end) = ended {
            drop(state);
            return self.unbind(&connection, end);
        }
        let bound = Bound {
            connection,
            number,
            compatible: resolved.compatible,
        };
        while let Some((place, parked)) = state.pop() {
            if mutant::is(Mutant::ParkedForgotten) {
                parked.forget();
                continue;
            }
            if let Some(parked) = parked.send(Some(&bound), &mut failed) {
                state.put(place, parked);
                break;
            }
        }
        if state.parked.is_empty() {
            state.bound = Some(bound);
            drop(state);
            self.status
                .send_modify(|status| status.lost &= self.is_unbound());
        } else {
            self.start_binding(state);
        }
        failed.tell();
        if gone {
            self.stopped();
        }
    }
}

/// What came of the search for an endpoint.
enum Found {
    Again(Claim),
    Gone(Gone),
    /// Nobody waits for it any more.
    Nobody,
}

/// Why an attempt to reach an endpoint again came to nothing.
pub(crate) enum Redial {
    /// Our own service is closed.
    Closed,
    /// The peer cannot be reached just now.
    Failed,
    /// The service there has no such endpoint, or none yet.
    NoEndpoint,
}
