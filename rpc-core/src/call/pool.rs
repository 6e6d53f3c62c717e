//! Calls that are over lend what they had to those that are made next.
//!
//! A call needs a place for its answer that outlives whichever side goes first, and that is known to
//! whoever looks after deadlines. Such a place is made once, and used by one call of its type after the
//! other, as long as they are made by the same thread and for the same service.

use std::any::{Any, TypeId};
use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Arc, Weak};

use super::Time;
use crate::callee::Callee;
use crate::connection::RemoteCall;
use crate::deadlines::{About, Deadlines, Shard};
use crate::method::MethodInfo;
use crate::reply_slot::ReplySlot;
use crate::trace::TraceContext;

/// A call whose answer is to come.
pub(crate) struct Waiting<T, E> {
    pub(super) slot: Arc<ReplySlot<T, E>>,
    /// Looks after the slot.
    pub(super) shard: Arc<Shard>,
    pub(super) about: About,
    pub(super) time: Time,
    pub(crate) remote: Option<RemoteCall>,
    pub(super) detached: bool,
    /// Keeps what the call had; a plain function, so that a call's end needs no bounds.
    keep: fn(Box<Self>),
}

/// What a call that begins asks, of whom.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) callee: &'a Arc<Callee>,
    pub(crate) method: &'static MethodInfo,
    /// The method's place in its gateway.
    pub(crate) place: usize,
    pub(crate) trace: Option<TraceContext>,
}

impl Asked<'_> {
    fn about(self) -> About {
        About {
            callee: Arc::clone(self.callee),
            method: self.method,
            place: self.place,
            trace: self.trace.map(Box::new),
        }
    }

    /// Takes the place of an earlier call, which was of the same gateway more often than not.
    fn put(self, about: &mut About) {
        if !Arc::ptr_eq(&about.callee, self.callee) {
            about.callee = Arc::clone(self.callee);
        }
        about.method = self.method;
        about.place = self.place;
        if self.trace.is_some() || about.trace.is_some() {
            about.trace = self.trace.map(Box::new);
        }
    }
}

impl<T: Send + 'static, E: Send + 'static> Waiting<T, E> {
    /// Begins a call.
    pub(crate) fn begin(deadlines: &Deadlines, asked: Asked<'_>, time: Time) -> Box<Self> {
        let shard = deadlines.shard();
        if let Some(mut waiting) = take::<T, E>(shard) {
            waiting.slot.renew(time.deadline);
            asked.put(&mut waiting.about);
            waiting.time = time;
            waiting.detached = false;
            return waiting;
        }
        let slot = Arc::new(ReplySlot::new(time.deadline));
        let listed: Weak<ReplySlot<T, E>> = Arc::downgrade(&slot);
        shard.list(listed);
        Self::new(slot, shard, asked, time)
    }

    fn new(
        slot: Arc<ReplySlot<T, E>>,
        shard: &Arc<Shard>,
        asked: Asked<'_>,
        time: Time,
    ) -> Box<Self> {
        Box::new(Self {
            slot,
            shard: Arc::clone(shard),
            about: asked.about(),
            time,
            remote: None,
            detached: false,
            keep,
        })
    }

    /// Makes a call without a deadline whose slot is at hand.
    #[cfg(all(test, rpc_loom))]
    pub(crate) fn for_slot(slot: Arc<ReplySlot<T, E>>) -> Box<Self> {
        let time = Time {
            after: None,
            deadline: None,
        };
        let address = Arc::new("model".parse().expect("it is an address"));
        let asked = Asked {
            callee: &Arc::new(Callee::new(address, 0, None)),
            method: &MODEL,
            place: 0,
            trace: None,
        };
        Self::new(slot, Deadlines::default().shard(), asked, time)
    }
}

#[cfg(all(test, rpc_loom))]
static MODEL: MethodInfo = MethodInfo::internal("model", crate::method::CallTimeout::Never);

impl<T, E> Waiting<T, E> {
    /// Returns where the answer is to be put.
    pub(crate) const fn slot(&self) -> &Arc<ReplySlot<T, E>> {
        &self.slot
    }

    /// The answer was taken: another call may have what this one had, unless the callee still looks
    /// at it.
    pub(super) fn end(mut self: Box<Self>) {
        self.remote = None;
        if Arc::strong_count(&self.slot) == 1 && !cfg!(all(test, rpc_loom)) {
            (self.keep)(self);
        }
    }
}

thread_local! {
    /// For each type of answer, a `Vec<Box<Waiting<T, E>>>`.
    static KEPT: RefCell<HashMap<TypeId, Box<dyn Any>, BuildHasherDefault<TypeHasher>>> =
        RefCell::default();
}

fn take<T: 'static, E: 'static>(shard: &Arc<Shard>) -> Option<Box<Waiting<T, E>>> {
    let kept = KEPT.with_borrow_mut(|kept| {
        let kept = kept.get_mut(&TypeId::of::<(T, E)>())?;
        let kept: &mut Vec<Box<Waiting<T, E>>> = kept.downcast_mut().expect("it is of that type");
        kept.pop()
    });
    // Outside the map: what is dropped may make calls.
    kept.filter(|it| Arc::ptr_eq(&it.shard, shard))
}

fn keep<T: 'static, E: 'static>(waiting: Box<Waiting<T, E>>) {
    // Nothing is kept by a thread that ends.
    let left = KEPT.try_with(|kept| {
        let Ok(mut kept) = kept.try_borrow_mut() else {
            return Some(waiting);
        };
        let kept = kept
            .entry(TypeId::of::<(T, E)>())
            .or_insert_with(|| Box::new(Vec::<Box<Waiting<T, E>>>::new()));
        let kept: &mut Vec<Box<Waiting<T, E>>> = kept.downcast_mut().expect("it is of that type");
        if kept.len() < KEPT_MAX {
            kept.push(waiting);
            return None;
        }
        Some(waiting)
    });
    // Outside the map: what is dropped may make calls.
    drop(left);
}

/// The id of a type is as good as a hash.
#[derive(Default)]
struct TypeHasher(u64);

impl Hasher for TypeHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.0 ^= u64::from_le_bytes(word);
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 ^= word;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// As many calls of a type as a thread commonly has under way at once.
const KEPT_MAX: usize = 512;
