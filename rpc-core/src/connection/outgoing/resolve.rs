//! Numbers for endpoints' gateways, which are given back unless somebody keeps them.

use std::future::poll_fn;
use std::mem;
use std::sync::{Arc, Weak};

use super::{OutgoingConnection, Pending};
use crate::connection::reply::{ReplySink, read_answer};
use crate::connection::{Resolve, ResolveRefusal, Resolved};
use crate::error::{RpcError, RpcResult};
use crate::frame::{FrameBuffer, Header, Kind};
use crate::method::{CallTimeout, MethodInfo};
use crate::moment::Moment;
use crate::reply_slot::ReplySlot;
use crate::scope::CallScope;

/// A number for an endpoint's gateway, which the callee holds a place for.
#[must_use = "dropping it gives the number back"]
pub(crate) struct Claim {
    connection: Arc<OutgoingConnection>,
    resolved: Resolved,
    is_kept: bool,
}

impl Claim {
    pub(crate) fn connection(&self) -> &Arc<OutgoingConnection> {
        &self.connection
    }

    pub(crate) const fn resolved(&self) -> &Resolved {
        &self.resolved
    }

    /// Keeps the number, for a gateway that [gives it back](OutgoingConnection::release).
    pub(in crate::connection) fn keep(mut self) -> (Arc<OutgoingConnection>, Resolved) {
        self.is_kept = true;
        let resolved = Resolved {
            compatible: mem::take(&mut self.resolved.compatible),
            endpoint: mem::take(&mut self.resolved.endpoint),
            ..self.resolved
        };
        (Arc::clone(&self.connection), resolved)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !self.is_kept {
            self.connection.release(self.resolved.gateway);
        }
    }
}

/// Where the answer goes, which may come when nobody waits for it any more.
struct Resolving {
    slot: Arc<Slot>,
    connection: Weak<OutgoingConnection>,
}

type Slot = ReplySlot<Claim, ResolveRefusal>;

impl ReplySink for Resolving {
    fn complete(&self, method: &MethodInfo, error: bool, body: &[u8], lost: Option<RpcError>) {
        let resolved = read_answer(method, error, body, lost);
        if let Some(connection) = self.connection.upgrade() {
            self.slot.fill(resolved.map(|resolved| Claim {
                connection,
                resolved,
                is_kept: false,
            }));
        }
    }

    fn fail(&self, error: RpcError) {
        self.slot.fill(Err(error.widen()));
    }

    fn is_abandoned(&self) -> bool {
        self.slot.is_abandoned()
    }

    fn deadline(&self) -> Moment {
        self.slot.begin().deadline()
    }

    fn is_over(&self, _: Moment) -> bool {
        false
    }
}

impl OutgoingConnection {
    /// Asks for the number of an endpoint's gateway.
    ///
    /// # Cancel safety
    ///
    /// May be dropped: a number that comes later is given back.
    pub(crate) async fn resolve(
        self: &Arc<Self>,
        resolve: &Resolve,
    ) -> RpcResult<Claim, ResolveRefusal> {
        let slot = Arc::new(Slot::new());
        let sink = Resolving {
            slot: Arc::clone(&slot),
            connection: Arc::downgrade(self),
        };
        let pending = Pending::new(&RESOLVE, 0, Arc::new(sink), None);
        let put =
            |out: &mut FrameBuffer, header: &Header| out.put(header, resolve, self.frame_bytes_max);
        if let Err(not_sent) = self.send_call(Header::new(Kind::Resolve, 0), pending, false, put) {
            slot.fill(Err(not_sent.into_error(self).widen()));
        }
        // What nobody takes goes with the slot.
        poll_fn(|cx| slot.poll(cx)).await
    }
}

static RESOLVE: MethodInfo = MethodInfo::internal("resolve", CallTimeout::Never);
