//! The call that is being handled: what nested calls inherit from it.
//!
//! The endpoint's loop sets the scope around each piece of a handler that it runs. A call that the
//! handler makes finds it there, so that no deadline has to be passed as an argument.

use std::cell::{Cell, RefCell};
use std::mem;
use std::sync::Arc;

use tracing::Level;

use crate::call::Time;
use crate::method::MethodInfo;
use crate::mutant::{self, Mutant};
use crate::trace::TraceContext;
use crate::turn;

/// A call as its handler sees it.
pub trait CallScope: Send + Sync {
    /// How long the caller waits: its clock runs from now on at the latest.
    fn begin(&self) -> Time;
}

/// What the calls that a handler makes inherit.
pub(crate) struct Scope {
    pub(crate) call: Outer,
    pub(crate) trace: Option<TraceContext>,
    pub(crate) method: Option<&'static MethodInfo>,
}

impl Scope {
    /// Where no call is handled.
    const NONE: Self = Self {
        call: Outer::Had(Time::ENDLESS),
        trace: None,
        method: None,
    };
}

/// The call that is being handled, of which those have no more time that are made meanwhile.
pub(crate) enum Outer {
    /// Of a handler that does not await: how much time it had when that began.
    Had(Time),
    /// Of one that does, whose caller may begin to wait, or give it more time, meanwhile.
    Call(Arc<dyn CallScope>),
}

/// Whose code runs on this thread just now.
struct Current {
    scope: RefCell<Scope>,
    /// The endpoint whose main thread this is.
    endpoint: RefCell<Option<Arc<str>>>,
    /// The endpoint stops, and what it drops is not the handlers' fault.
    stopping: Cell<bool>,
}

thread_local! {
    /// Whether this is any endpoint's main thread just now. What else is current is only looked at if
    /// so: most calls are made elsewhere, and this costs less to look at.
    static ON_MAIN_THREAD: Cell<bool> = const { Cell::new(false) };
    static CURRENT: Current = const { Current {
        scope: RefCell::new(Scope::NONE),
        endpoint: RefCell::new(None),
        stopping: Cell::new(false),
    } };
}

/// Returns how much time the call has that is being handled here.
pub(crate) fn inherited_time() -> Option<Time> {
    if !is_any_main_thread() || mutant::is(Mutant::DeadlineNotInherited) {
        return None;
    }
    CURRENT.with(|current| {
        Some(match &current.scope.borrow().call {
            Outer::Had(time) => *time,
            Outer::Call(call) => call.begin(),
        })
    })
}

/// Returns the place in a trace of a call that is made here: that of the call that is being handled
/// goes on, and where there is none a trace begins if somebody records it.
pub(crate) fn outgoing_trace() -> Option<TraceContext> {
    match current_trace() {
        Some(trace) => Some(trace.child()),
        None => {
            let recorded = tracing::enabled!(target: "rpc_core::call", Level::INFO);
            recorded.then(TraceContext::root)
        }
    }
}

/// Tells whether this is any endpoint's main thread.
pub(crate) fn is_any_main_thread() -> bool {
    ON_MAIN_THREAD.get()
}

/// Returns the endpoint whose code runs here, and the method that it handles.
pub(crate) fn current_handler() -> (Option<Arc<str>>, Option<&'static MethodInfo>) {
    if !is_any_main_thread() {
        return (None, None);
    }
    CURRENT.with(|current| {
        let endpoint = current.endpoint.borrow().clone();
        (endpoint, current.scope.borrow().method)
    })
}

/// Returns the trace of the call that is being handled here.
pub(crate) fn current_trace() -> Option<TraceContext> {
    if !is_any_main_thread() {
        return None;
    }
    CURRENT.with(|current| current.scope.borrow().trace)
}

/// The handler of a call runs here until the value is dropped, also by a panic; it does not await.
///
/// As [`enter`], for what is only here: to write it piece by piece costs less than to move it.
pub(crate) fn enter_quick(
    time: Time,
    trace: Option<TraceContext>,
    method: &'static MethodInfo,
) -> WithinQuick {
    CURRENT.with(|current| {
        let mut scope = current.scope.borrow_mut();
        let around = match scope.method {
            None => None,
            Some(_) => Some(Box::new(mem::replace(&mut *scope, Scope::NONE))),
        };
        scope.call = Outer::Had(time);
        scope.method = Some(method);
        if trace.is_some() {
            scope.trace = trace;
        }
        WithinQuick(around)
    })
}

/// With what was there before, if there was anything: a handler that polls others' code.
pub(crate) struct WithinQuick(Option<Box<Scope>>);

impl Drop for WithinQuick {
    fn drop(&mut self) {
        CURRENT.with(|current| {
            let mut scope = current.scope.borrow_mut();
            match self.0.take() {
                Some(around) => *scope = *around,
                None => {
                    scope.call = Outer::Had(Time::ENDLESS);
                    scope.method = None;
                    scope.trace = None;
                }
            }
        });
    }
}

/// Makes `scope` that of this thread until the value is dropped, also by a panic.
pub(crate) fn enter(scope: &mut Scope) -> Within<'_> {
    let mut within = Within(scope);
    within.swap();
    within
}

/// The handling of a call goes on here; what was there before is in the place of its scope.
pub(crate) struct Within<'a>(&'a mut Scope);

impl Within<'_> {
    fn swap(&mut self) {
        CURRENT.with(|current| mem::swap(&mut *current.scope.borrow_mut(), self.0));
    }
}

impl Drop for Within<'_> {
    fn drop(&mut self) {
        self.swap();
    }
}

/// An endpoint's name, lent to the thread that runs its code.
pub(crate) struct MainThreadName(Option<Arc<str>>);

impl MainThreadName {
    pub(crate) const fn new(endpoint: Arc<str>) -> Self {
        Self(Some(endpoint))
    }

    /// Runs `f` as the main thread of the endpoint.
    pub(crate) fn run<R>(&mut self, f: impl FnOnce() -> R) -> R {
        let _lent = Lent::new(self);
        turn::take(f)
    }

    fn swap(&mut self) {
        CURRENT.with(|current| {
            let mut endpoint = current.endpoint.borrow_mut();
            mem::swap(&mut *endpoint, &mut self.0);
            ON_MAIN_THREAD.set(endpoint.is_some());
        });
    }
}

/// What was there before is in the place of the name meanwhile.
struct Lent<'a>(&'a mut MainThreadName);

impl<'a> Lent<'a> {
    fn new(name: &'a mut MainThreadName) -> Self {
        name.swap();
        Self(name)
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        self.0.swap();
    }
}

/// Tells whether this is the main thread of the endpoint that owns this very name.
pub(crate) fn is_main_thread(endpoint: &Arc<str>) -> bool {
    CURRENT.with(|current| {
        let running = current.endpoint.borrow();
        running.as_ref().is_some_and(|it| Arc::ptr_eq(it, endpoint))
    })
}

/// Returns the name of the endpoint whose code runs here.
pub(crate) fn endpoint_name() -> String {
    CURRENT.with(|current| {
        let running = current.endpoint.borrow();
        running.as_deref().unwrap_or("(none)").to_owned()
    })
}

/// Drops `value`, the unfinished work of an endpoint that has stopped.
pub(crate) fn drop_stopped<T>(value: T) {
    struct Leave(bool);
    impl Drop for Leave {
        fn drop(&mut self) {
            CURRENT.with(|current| current.stopping.set(self.0));
        }
    }
    let _leave = Leave(CURRENT.with(|current| current.stopping.replace(true)));
    drop(value);
}

/// Tells whether what is dropped here is dropped because the endpoint stopped.
pub(crate) fn is_stopping() -> bool {
    CURRENT.with(|current| current.stopping.get())
}
