//! Calls that are over lend what they had to those that are made next.
//!
//! A call needs a place for its answer that outlives whichever side goes first, and that is known to
//! whoever looks after deadlines. Such a place is made once, and used by one call of its type after the
//! other, as long as they are made by the same thread and for the same service.

use std::any::{Any, TypeId};
use std::cell::RefCell;
use std::sync::{Arc, Weak};

use super::Time;
use crate::callee::Callee;
use crate::connection::{Ask, RemoteCall};
use crate::deadlines::{Deadlines, Noted, Shard};
use crate::reply_slot::ReplySlot;

/// A call whose answer is to come.
pub(crate) struct Waiting<T, E> {
    pub(super) slot: Arc<ReplySlot<T, E>>,
    /// Looks after the slot.
    pub(super) shard: Arc<Shard>,
    /// What the sweeper was told of this and of earlier calls.
    pub(super) noted: Noted,
    pub(crate) remote: Option<RemoteCall>,
    pub(super) detached: bool,
    /// The answer was taken.
    pub(super) over: bool,
    /// Keeps what the call had; a plain function, so that a call's end needs no bounds.
    keep: fn(Box<Self>),
}

impl<T: Send + 'static, E: Send + 'static> Waiting<T, E> {
    /// Begins a call.
    pub(crate) fn begin(
        deadlines: &Deadlines,
        callee: &Arc<Callee>,
        ask: &Ask,
        time: &Time,
    ) -> Box<Self> {
        let shard = deadlines.shard();
        let mut waiting = take::<T, E>(shard).unwrap_or_else(|| {
            let slot = Arc::new(ReplySlot::new());
            let listed: Weak<ReplySlot<T, E>> = Arc::downgrade(&slot);
            shard.list(listed);
            Self::new(slot, shard)
        });
        waiting.slot.renew(callee, ask, time);
        (waiting.detached, waiting.over) = (false, false);
        waiting
    }

    fn new(slot: Arc<ReplySlot<T, E>>, shard: &Arc<Shard>) -> Box<Self> {
        Box::new(Self {
            slot,
            shard: Arc::clone(shard),
            noted: Noted::default(),
            remote: None,
            detached: false,
            over: false,
            keep,
        })
    }

    /// Makes a call without a deadline whose slot is at hand.
    #[cfg(all(test, rpc_loom))]
    pub(crate) fn for_slot(slot: Arc<ReplySlot<T, E>>) -> Box<Self> {
        Self::new(slot, Deadlines::default().shard())
    }
}

impl<T, E> Waiting<T, E> {
    /// Returns where the answer is to be put.
    pub(crate) const fn slot(&self) -> &Arc<ReplySlot<T, E>> {
        &self.slot
    }

    /// The call is dropped. If its answer was taken, another call may have what this one had, unless
    /// the callee still looks at it.
    pub(super) fn end(mut self: Box<Self>) {
        if !self.over {
            return self.leave();
        }
        if self.remote.is_some() {
            self.remote = None;
        }
        if Arc::strong_count(&self.slot) == 1 && !cfg!(all(test, rpc_loom)) {
            (self.keep)(self);
        }
    }
}

thread_local! {
    static KEPT: RefCell<Kept> = RefCell::default();
}

/// For each type of answer, a `KeptOf<T, E>`; that type first which was last looked for, since a thread
/// that makes many calls makes many of one type.
#[derive(Default)]
struct Kept(Vec<(TypeId, Box<dyn Any>)>);

/// The latest last, each behind the address of its shard: most are not looked at themselves.
type KeptOf<T, E> = Vec<(usize, Box<Waiting<T, E>>)>;

impl Kept {
    fn of<T: 'static, E: 'static>(&mut self) -> &mut KeptOf<T, E> {
        let id = TypeId::of::<(T, E)>();
        if self.0.first().is_none_or(|it| it.0 != id) {
            self.bring_first(id, || Box::new(KeptOf::<T, E>::new()));
        }
        let kept = self.0[0].1.downcast_mut();
        kept.expect("it is of that type")
    }

    fn bring_first(&mut self, id: TypeId, make: fn() -> Box<dyn Any>) {
        let place = self.0.iter().position(|it| it.0 == id);
        let place = place.unwrap_or_else(|| {
            self.0.push((id, make()));
            self.0.len() - 1
        });
        self.0.swap(0, place);
    }
}

fn take<T: 'static, E: 'static>(shard: &Arc<Shard>) -> Option<Box<Waiting<T, E>>> {
    KEPT.with_borrow_mut(|kept| {
        let kept = kept.of::<T, E>();
        // Those of other services are left to them.
        let mut latest = kept.iter().rev().take(LOOKED_AT);
        let behind = latest.position(|(of, _)| *of == address(shard))?;
        Some(kept.swap_remove(kept.len() - 1 - behind).1)
    })
}

fn keep<T: 'static, E: 'static>(waiting: Box<Waiting<T, E>>) {
    let mut new = Some((address(&waiting.shard), waiting));
    let mut left = Vec::new();
    // Nothing is kept by a thread that ends.
    let _ = KEPT.try_with(|kept| {
        if let Ok(mut kept) = kept.try_borrow_mut() {
            let kept = kept.of::<T, E>();
            if kept.len() >= KEPT_MAX {
                // Those that were kept the longest may be of services that are gone.
                left.extend(kept.drain(..KEPT_MAX / 2));
            }
            kept.extend(new.take());
        }
    });
    // Outside the map: what is dropped may make calls.
    drop((new, left));
}

fn address(shard: &Arc<Shard>) -> usize {
    Arc::as_ptr(shard).addr()
}

/// As many calls of a type as a thread commonly has under way at once.
const KEPT_MAX: usize = 512;
/// So many are looked at for one of the service: a process has few services.
const LOOKED_AT: usize = 8;

#[cfg(all(test, not(rpc_loom)))]
mod tests {
    use std::sync::Arc;

    use super::Waiting;
    use crate::call::Time;
    use crate::callee::Callee;
    use crate::connection::Ask;
    use crate::deadlines::Deadlines;
    use crate::error::Never;
    use crate::method::{CallTimeout, MethodInfo};
    use crate::reply_slot::ReplySlot;

    #[test]
    fn the_calls_of_several_services_each_find_what_their_own_left() {
        let services = [Deadlines::default(), Deadlines::default()];
        let slots = services.each_ref().map(call);
        assert_ne!(slots[0], slots[1]);
        for _ in 0..3 {
            assert_eq!(services.each_ref().map(call), slots);
        }
    }

    /// Makes a call of the service that has these deadlines, and returns its slot.
    fn call(deadlines: &Deadlines) -> *const ReplySlot<u8, Never> {
        let address = "counter".parse().expect("it is a name");
        let callee = Arc::new(Callee::new(address, 0, None));
        let ask = Ask {
            method: 0,
            info: &METHOD,
            token: None,
            trace: None,
        };
        let mut waiting = Waiting::begin(deadlines, &callee, &ask, &Time::ENDLESS);
        let slot = Arc::as_ptr(waiting.slot());
        waiting.over = true;
        waiting.end();
        slot
    }

    static METHOD: MethodInfo = MethodInfo::internal("add", CallTimeout::Never);
}
