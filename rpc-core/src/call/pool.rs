//! Calls that are over lend what they had to those that are made next.
//!
//! A call needs a place for its answer that outlives whichever side goes first, and that is known to
//! whoever looks after deadlines. Such a place is made once, and used by one call of its type after the
//! other, as long as they are made by the same thread and for the same service.

use std::any::{Any, TypeId};
use std::cell::RefCell;
use std::mem;
use std::sync::atomic::{Ordering, fence};
use std::sync::{Arc, Weak};

use hashbrown::HashMap;

use super::{Call, Time};
use crate::callee::Callee;
use crate::connection::{Ask, RemoteCall};
use crate::deadlines::{Deadlines, Noted, Shard};
use crate::main_loop::Borrower;
use crate::reply_slot::{ReplySlot, Told};

/// A call whose answer is to come.
pub(crate) struct Waiting<T, E> {
    pub(super) slot: Arc<ReplySlot<T, E>>,
    /// Looks after the slot.
    pub(super) shard: Arc<Shard>,
    /// What the slot was told, and the sweeper, of this and of earlier calls.
    pub(super) told: Told,
    pub(super) noted: Noted,
    pub(crate) remote: RemoteCall,
    /// Who waits first is to lend its thread.
    pub(crate) lends: bool,
    /// To whom.
    pub(crate) borrower: Borrower,
    /// How often that was done for calls with this slot.
    pub(super) lends_made: u8,
    pub(super) detached: bool,
    /// The answer was taken.
    pub(super) over: bool,
    /// Keeps what the call had; a plain function, so that a call's end needs no bounds.
    keep: fn(Box<Self>),
    /// Awaits a call that is detached; the same.
    run_on: fn(Box<Self>),
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
        waiting.slot.renew(callee, ask, *time, &mut waiting.told);
        (waiting.detached, waiting.over) = (false, false);
        waiting
    }

    fn new(slot: Arc<ReplySlot<T, E>>, shard: &Arc<Shard>) -> Box<Self> {
        Box::new(Self {
            slot,
            shard: Arc::clone(shard),
            told: Told::default(),
            noted: Noted::default(),
            remote: RemoteCall::default(),
            lends: false,
            borrower: Borrower::default(),
            lends_made: 0,
            detached: false,
            over: false,
            keep,
            run_on,
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

    /// Returns where the answer is to be put, and what is noted of a call to another service.
    pub(crate) const fn parts(&mut self) -> (&Arc<ReplySlot<T, E>>, &mut RemoteCall) {
        (&self.slot, &mut self.remote)
    }

    /// The call is dropped. If its answer was taken, another call may have what this one had, unless
    /// the callee still looks at it.
    pub(super) fn end(mut self: Box<Self>) {
        if !self.over {
            self.leave();
            if self.runs_on() {
                (self.run_on)(self);
            }
            return;
        }
        self.remote.end();
        if Arc::strong_count(&self.slot) == 1
            && !self.shard.is_closed()
            && !cfg!(all(test, rpc_loom))
        {
            // What the callee did with the slot comes before what the next call does.
            fence(Ordering::Acquire);
            (self.keep)(self);
        }
    }
}

thread_local! {
    static KEPT: RefCell<Kept> = RefCell::default();
}

/// A list for each type of answer and each shard.
#[derive(Default)]
struct Kept {
    /// What is used just now: a thread that makes many calls makes many of one type for one service.
    list: Option<List>,
    others: HashMap<Key, List>,
}

/// A `Calls<T, E>`, and of which type and shard.
struct List {
    key: Key,
    calls: Box<dyn Any>,
}

type Key = (TypeId, usize);
type Calls<T, E> = Vec<Box<Waiting<T, E>>>;

impl Kept {
    /// Returns a list, and those that are kept no more: to be dropped outside, since what is dropped
    /// may make calls.
    fn of<T: 'static, E: 'static>(
        &mut self,
        shard: &Arc<Shard>,
    ) -> (&mut Calls<T, E>, Option<HashMap<Key, List>>) {
        let key = (TypeId::of::<(T, E)>(), Arc::as_ptr(shard).addr());
        let mut left = None;
        if let Some(before) = self.list.take_if(|it| it.key != key) {
            if self.others.len() >= LISTS_MAX {
                left = Some(mem::take(&mut self.others));
            }
            self.others.insert(before.key, before);
        }
        let list = self.list.get_or_insert_with(|| {
            let list = self.others.remove(&key);
            list.unwrap_or_else(|| List {
                key,
                calls: Box::new(Calls::<T, E>::new()),
            })
        });
        let calls = list.calls.downcast_mut();
        (calls.expect("they are of that type"), left)
    }
}

fn take<T: 'static, E: 'static>(shard: &Arc<Shard>) -> Option<Box<Waiting<T, E>>> {
    // Nothing is kept for what a thread's end makes.
    let taken = KEPT.try_with(|kept| {
        let mut kept = kept.try_borrow_mut().ok()?;
        let (calls, left) = kept.of::<T, E>(shard);
        Some((calls.pop(), left))
    });
    let (taken, _left) = taken.ok()??;
    taken
}

fn keep<T: 'static, E: 'static>(waiting: Box<Waiting<T, E>>) {
    let (mut waiting, mut left) = (Some(waiting), None);
    // Nothing is kept by a thread that ends.
    let _ = KEPT.try_with(|kept| {
        if let Ok(mut kept) = kept.try_borrow_mut()
            && let Some(it) = &waiting
        {
            let (calls, unused) = kept.of::<T, E>(&it.shard);
            left = unused;
            if calls.len() < CALLS_MAX {
                calls.extend(waiting.take());
            }
        }
    });
    // Outside the map, as above.
    drop((waiting, left));
}

/// Has a task await a call, so that it ends with its time.
fn run_on<T: Send + 'static, E: Send + 'static>(mut waiting: Box<Waiting<T, E>>) {
    let shard = Arc::clone(&waiting.shard);
    if let Some(runtime) = shard.runtime() {
        // If the runtime ends before it, it is given up.
        waiting.detached = false;
        runtime.spawn(async move {
            let _nobody_asks = Call::waiting(waiting).await;
        });
    }
}

/// As many calls of a type as a thread commonly has under way at once.
const CALLS_MAX: usize = 512;
/// More lists than a process of many services needs. When there are so many all are dropped, and with
/// them those of services that have ended.
const LISTS_MAX: usize = 2_048;

#[cfg(all(test, not(rpc_loom)))]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::{Arc, LazyLock};

    use super::{LISTS_MAX, Waiting};
    use crate::call::Time;
    use crate::callee::Callee;
    use crate::connection::Ask;
    use crate::deadlines::Deadlines;
    use crate::error::Never;
    use crate::method::{CallTimeout, MethodInfo};
    use crate::reply_slot::ReplySlot;
    use crate::trace::TraceContext;

    #[test]
    fn the_calls_of_several_services_each_find_what_their_own_left() {
        let services = [Deadlines::default(), Deadlines::default()];
        let slots = services.each_ref().map(calls);
        assert!(slots[0].is_disjoint(&slots[1]));
        for _ in 0..3 {
            assert_eq!(services.each_ref().map(calls), slots);
        }
    }

    #[test]
    fn what_was_not_used_for_long_is_not_kept() {
        let first = Deadlines::default();
        let _slots = calls(&first);
        let held = || Arc::strong_count(first.shard());
        assert_eq!(held(), 1 + COUNT);
        for _ in 0..=LISTS_MAX {
            calls(&Deadlines::default());
        }
        assert_eq!(held(), 1);
    }

    #[test]
    fn a_call_is_of_no_trace_that_one_before_it_was_of() {
        let deadlines = Deadlines::default();
        let traces = [
            None,
            TraceContext::new(1, 2, 0),
            TraceContext::new(3, 4, 0),
            None,
        ];
        for trace in traces {
            let mut call = begin(&deadlines, &CALLEE, trace);
            assert_eq!(call.slot().trace(), trace);
            call.over = true;
            call.end();
        }
        assert_eq!(Arc::strong_count(deadlines.shard()), 2, "it was one slot");
    }

    /// Makes some calls at once of the service that has these deadlines, and returns their slots.
    fn calls(deadlines: &Deadlines) -> BTreeSet<*const ReplySlot<u8, Never>> {
        let begin = |_| begin(deadlines, &CALLEE, None);
        let calls: Vec<_> = (0..COUNT).map(begin).collect();
        let slots = calls.iter().map(|it| Arc::as_ptr(it.slot())).collect();
        for mut call in calls {
            call.over = true;
            call.end();
        }
        slots
    }

    fn begin(
        deadlines: &Deadlines,
        callee: &Arc<Callee>,
        trace: Option<TraceContext>,
    ) -> Box<Waiting<u8, Never>> {
        let ask = Ask {
            method: 0,
            info: &METHOD,
            token: None,
            trace,
        };
        Waiting::begin(deadlines, callee, &ask, &Time::ENDLESS)
    }

    static CALLEE: LazyLock<Arc<Callee>> = LazyLock::new(|| {
        let address = "counter".parse().expect("it is a name");
        Arc::new(Callee::new(address, 0, None))
    });
    static METHOD: MethodInfo = MethodInfo::internal("add", CallTimeout::Never);
    const COUNT: usize = 20;
}
