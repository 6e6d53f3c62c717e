//! What all handles of an endpoint share: its mailbox, its name and its token.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Wake, Waker};
use std::thread;

use tracing::Instrument;

use crate::callee::Callee;
use crate::caller::Caller;
use crate::config::RpcConfig;
use crate::context::Context;
use crate::endpoint::{GatewayList, Routes, RpcEndpoint};
use crate::error::{EndpointError, RpcError};
use crate::fencing::{FencingToken, StaleToken, Term};
use crate::gateway::{Exposed, Gateway, Head, LocalRoute};
use crate::lifecycle::Command;
use crate::mailbox::{Left, Limit, Mailbox, Rejected};
use crate::main_loop::{self, Borrower, Briefs, MainTask, Resting, Running};
use crate::metering::{EndpointMeter, Queued};
use crate::mutant::{self, Mutant};
use crate::pulse::{Doing, Pulse};
use crate::scope::{self, MainThreadName};
use crate::service::Home;
use crate::termination::{Ended, Termination};
use crate::timers::TimerId;
use crate::turn::{self, Owed};

/// What an endpoint's handles share.
pub struct EndpointCore<E: RpcEndpoint> {
    pub(crate) name: Arc<str>,
    /// Itself, as code knows it that calls its main thread: there is none before.
    callee: OnceLock<Arc<Callee>>,
    pub(crate) pulse: Pulse,
    /// `None` if nobody records metrics.
    pub(crate) meter: Option<Arc<EndpointMeter>>,
    pub(crate) mailbox: Mailbox<Mail<E>, Control, Box<Resting<E>>>,
    /// `None` as long as its main loop was not shared.
    pub(crate) running: OnceLock<Box<Running>>,
    /// The methods whose handlers take next to no time, as the main loop knows.
    pub(crate) brief: Briefs,
    /// The endpoint's token, which only its main thread changes.
    token: Term,
    /// Whether calls are taken, as the main loop last knew.
    serving: AtomicBool,
    /// One-way messages that a full mailbox turned away.
    dropped: AtomicU32,
    pub(crate) caller: Arc<Caller>,
    /// Which start of an endpoint under its name it is.
    pub(crate) incarnation: u64,
    pub(crate) home: Arc<Home>,
    /// Whether it is among those that are watched; the list's lock guards it.
    pub(crate) watched: AtomicBool,
    /// How the endpoint has ended.
    pub(crate) termination: Termination,
}

/// What waits in a mailbox.
pub(crate) enum Mail<E: RpcEndpoint> {
    Call(Head, <E::Gateways as GatewayList<E>>::Request),
    Run(Fence, Run<E>),
}

/// Code for the main thread.
pub(crate) type Run<E> = Box<dyn FnOnce(Result<(&mut E, &mut Context<E>), RpcError>) + Send>;

/// Under which token code was posted to the main thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fence {
    Off,
    On(Option<FencingToken>),
}

/// What steers an endpoint, past the calls that wait.
pub(crate) enum Control {
    Life(Command),
    CancelTimer(TimerId),
    /// It is to have no task when it has nothing to do.
    Rest,
    /// It is over, as if its task were dropped.
    Abort,
}

impl<E: RpcEndpoint> EndpointCore<E> {
    pub(crate) fn new(
        name: Arc<str>,
        config: &RpcConfig,
        caller: Arc<Caller>,
        home: Arc<Home>,
    ) -> Self {
        let limit = Limit {
            messages: config.mailbox_messages_max,
            bytes: config.mailbox_bytes_max,
        };
        let meter = || EndpointMeter::new(&name, &E::Gateways::methods());
        let meter = config.metrics.then(meter).flatten();
        Self {
            name,
            callee: OnceLock::new(),
            meter,
            pulse: Pulse::new(),
            mailbox: Mailbox::new(limit),
            running: OnceLock::new(),
            brief: Briefs::default(),
            token: Term::default(),
            serving: AtomicBool::new(false),
            dropped: AtomicU32::new(0),
            caller,
            incarnation: fastrand::u64(..),
            home,
            watched: AtomicBool::new(false),
            termination: Termination::default(),
        }
    }

    /// Returns its address.
    pub(crate) fn address(&self) -> String {
        self.home.address_of(&self.name)
    }

    /// Returns itself, as code knows it that calls its main thread.
    pub(crate) fn callee(&self) -> &Arc<Callee> {
        self.callee.get_or_init(|| {
            let address = self.address().parse();
            let address = address.expect("it was one when the endpoint was made");
            Arc::new(Callee::new(address, self.caller.service, None))
        })
    }

    /// Makes the ways to all its gateways.
    pub(crate) fn expose(self: &Arc<Self>) -> Vec<Exposed> {
        let mut routes = Routes::default();
        E::Gateways::expose(self, &mut routes);
        routes.0
    }

    /// Returns when a message is queued that is queued now, if that is recorded.
    pub(crate) fn queued(&self) -> Option<Queued> {
        self.meter.as_ref().map(|_| Queued::now())
    }

    /// A message was put into the mailbox: how many there are is told at once, or when the turn ends.
    fn put(self: &Arc<Self>) {
        let Some(meter) = &self.meter else { return };
        match turn::current() {
            None => self.tell_waiting(),
            Some(turn) if meter.is_to_tell(turn) => turn::owe(Arc::clone(self) as _),
            Some(_) => {}
        }
    }

    /// Tells the recorder how many messages wait.
    pub(crate) fn tell_waiting(&self) {
        let put = || self.mailbox.put();
        self.meter.iter().for_each(|it| it.tell_waiting(put));
    }

    /// Queues a request, of which so many bytes came over a connection, or says at once why not.
    pub(crate) fn push(self: &Arc<Self>, bytes: usize, make: impl FnOnce() -> Mail<E>) {
        match self.mailbox.push(make, bytes) {
            Ok(resting) => {
                self.put();
                resting.into_iter().for_each(Self::begin);
            }
            Err(rejected) => self.refuse(rejected),
        }
    }

    /// Queues a request that somebody is about to wait for. If its handler takes next to no time, whoever
    /// waits is to lend its thread, or to have the task hurry: returns whether that is so, and says that it
    /// is this endpoint.
    pub(crate) fn push_awaited(
        self: &Arc<Self>,
        method: Doing,
        make: impl FnOnce() -> Mail<E>,
        borrower: &mut Borrower,
    ) -> bool {
        if !self.brief.has(method) {
            self.push(0, make);
            return false;
        }
        let left = match self.mailbox.push_awaited(make) {
            Ok(left) => left,
            Err(rejected) => {
                self.refuse(rejected);
                return false;
            }
        };
        self.put();
        match left {
            Left::Nothing => false,
            Left::Begin(resting) => {
                Self::begin(resting);
                false
            }
            Left::Later { is_first } => {
                if is_first {
                    let at_leisure = Arc::new(AtLeisure(Arc::clone(self)));
                    turn::wake_at_leisure(&Waker::from(at_leisure));
                }
                borrower.be(self);
                true
            }
        }
    }

    #[cold]
    fn refuse(&self, rejected: Rejected<impl FnOnce() -> Mail<E>>) {
        let (mail, error) = match rejected {
            Rejected::Closed(make) => (make(), self.unreachable()),
            Rejected::Full(make, limit) => (make(), self.overloaded(limit)),
        };
        if let Mail::Call(_, request) = mail {
            let (place, method) = E::Gateways::method_of(&request);
            if method.one_way {
                let (set, get) = (Ordering::Relaxed, Ordering::Relaxed);
                let _at_most = self.dropped.fetch_update(set, get, |it| it.checked_add(1));
                self.meter.iter().for_each(|it| it.dropped(place));
            }
            E::Gateways::deny(request, error);
        }
    }

    /// Queues code of this process's own.
    pub(crate) fn run(self: &Arc<Self>, fence: Fence, run: Run<E>) {
        match self.mailbox.push_own(Mail::Run(fence, run)) {
            Ok(resting) => {
                self.put();
                resting.into_iter().for_each(Self::begin);
            }
            Err(mail) => mail.deny(self.unreachable()),
        }
    }

    /// Tells the endpoint what it is to do.
    pub(crate) fn command(&self, command: Command) {
        self.control(Control::Life(command));
    }

    /// Steers the endpoint, past the calls that wait.
    pub(crate) fn control(&self, control: Control) {
        let resting = self.mailbox.push_control(control);
        resting.into_iter().for_each(Self::begin);
    }

    /// Lets an endpoint that is new rest until it has something to do, which it may have already.
    pub(crate) fn settle(&self, endpoint: Box<Resting<E>>) {
        if let Err(endpoint) = self.mailbox.rest(endpoint) {
            Self::begin(endpoint);
        }
    }

    /// Lets an endpoint go on that has rested.
    #[cold]
    pub(crate) fn begin(mut endpoint: Box<Resting<E>>) {
        let (core, span) = (endpoint.core(), endpoint.span());
        let is_shared = core.brief.is_any();
        let main_loop = main_loop::run(Arc::clone(&core), endpoint, is_shared);
        match span {
            None => core.spawn(main_loop, is_shared),
            Some(span) => core.spawn(main_loop.instrument(span), is_shared),
        }
    }

    /// Runs a main loop in a task of its own, or in one that shares it.
    fn spawn(
        self: &Arc<Self>,
        main_loop: impl Future<Output = ()> + Send + 'static,
        is_shared: bool,
    ) {
        match is_shared {
            true => self.home.begin(self, MainTask::new(self, main_loop)),
            false => self.home.begin(self, main_loop),
        }
    }

    pub(crate) fn unreachable(&self) -> RpcError {
        RpcError::Unreachable {
            address: self.address(),
            restarted: self
                .home
                .service()
                .has_another(&self.name, self.incarnation),
        }
    }

    fn overloaded(&self, limit: usize) -> RpcError {
        RpcError::Overloaded {
            queue: format!("the mailbox of endpoint {}", self.name),
            limit: limit as u64,
        }
    }

    pub(crate) fn token(&self) -> Option<FencingToken> {
        self.token.current()
    }

    /// Sets the token, which never goes back.
    pub(crate) fn set_token(&self, token: Option<FencingToken>) -> Result<(), StaleToken> {
        self.token.set(token)
    }

    pub(crate) fn set_serving(&self, serving: bool) {
        self.serving.store(serving, Ordering::Release);
    }

    /// Says why a call that came with the wrong token is refused. That the endpoint does not serve
    /// comes first, as for a call of its own service.
    pub(crate) fn fenced_out(&self, error: RpcError) -> RpcError {
        if self.serving.load(Ordering::Acquire) {
            return error;
        }
        if self.termination.is_set() {
            return self.unreachable();
        }
        self.not_started()
    }

    pub(crate) fn not_started(&self) -> RpcError {
        RpcError::NotStarted {
            endpoint: self.name.to_string(),
        }
    }

    /// How an endpoint ended whose task was dropped.
    pub(crate) fn aborted(&self) -> EndpointError {
        EndpointError::Aborted {
            endpoint: self.name.to_string(),
        }
    }

    /// How an endpoint ended whose code panicked.
    pub(crate) fn panicked(&self) -> EndpointError {
        EndpointError::Panicked {
            endpoint: self.name.to_string(),
        }
    }

    /// Takes no more mail, and answers what waits, after what was `taken` before. What it holds may panic
    /// when it is dropped, which costs the others nothing.
    pub(crate) fn close(&self, taken: impl IntoIterator<Item = Mail<E>>) -> thread::Result<()> {
        let error = self.unreachable();
        let deny = |mail: Mail<E>| {
            let deny = || mail.deny(error.clone());
            catch_unwind(AssertUnwindSafe(deny))
        };
        let left = self.mailbox.close();
        let denied = taken.into_iter().chain(left).map(deny);
        denied.fold(Ok(()), Result::and)
    }

    /// Drops what the endpoint leaves. Its own code may run then, and panic.
    pub(crate) fn drop_stopped<T>(&self, value: T) -> thread::Result<()> {
        let mut name = MainThreadName::new(Arc::clone(&self.name));
        let dropping = || name.run(|| scope::drop_stopped(value));
        catch_unwind(AssertUnwindSafe(dropping))
    }

    /// Says how the endpoint has ended.
    pub(crate) fn ended(&self, result: Ended) {
        if let Err(error) = &result {
            tracing::warn!(endpoint = %self.name, %error, "endpoint ended");
        }
        self.set_serving(false);
        if let Some(meter) = &self.meter {
            // The mailbox is gone, and what was in it.
            meter.taken_all(self.mailbox.put());
            self.tell_waiting();
        }
        // The name first: whoever sees the endpoint ended may start the next one.
        self.home.service().forget(&self.name);
        self.termination.set(result);
    }

    /// Tells whether a call with token `got` is the endpoint's business. An endpoint without a
    /// token refuses every fenced call.
    pub(crate) fn check_token(&self, got: Option<FencingToken>) -> Result<(), RpcError> {
        let expected = self.token();
        if expected.is_some() && expected == got || mutant::is(Mutant::TokenIgnored) {
            return Ok(());
        }
        Err(RpcError::Fenced { expected, got })
    }

    /// Returns why a call with token `got` will never be the endpoint's business, whose token does not go
    /// back; `None` if it may be.
    pub(crate) fn outdated(&self, got: Option<FencingToken>) -> Option<RpcError> {
        let error = self.check_token(got).err()?;
        self.token()
            .is_some_and(|it| got < Some(it))
            .then_some(error)
    }

    /// How many one-way messages were lost because the mailbox was full.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed).into()
    }
}

/// Has an endpoint's task handle what waits, unless it was handled meanwhile. When it is dropped: it is
/// then that it was woken, or that its executor has ended, which wakes nobody any more.
struct AtLeisure<E: RpcEndpoint>(Arc<EndpointCore<E>>);

impl<E: RpcEndpoint> Wake for AtLeisure<E> {
    fn wake(self: Arc<Self>) {}
}

impl<E: RpcEndpoint> Drop for AtLeisure<E> {
    fn drop(&mut self) {
        self.0.mailbox.hurry_at_last();
    }
}

impl<E: RpcEndpoint> Owed for EndpointCore<E> {
    fn pay(&self) {
        self.tell_waiting();
    }
}

impl<E: RpcEndpoint> std::fmt::Debug for EndpointCore<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EndpointCore")
            .field("address", &self.address())
            .finish_non_exhaustive()
    }
}

/// The way to an endpoint's own gateway, found by type.
pub(crate) type LocalPort<R> = Arc<dyn LocalRoute<R>>;

/// Finds the gateway `G` among those of an endpoint.
pub(crate) fn local_port<G: Gateway + ?Sized>(
    exposed: &[Exposed],
) -> Option<LocalPort<G::Request>> {
    let exposed = exposed.iter().find(|it| it.name == G::NAME);
    exposed.and_then(|it| it.local.downcast_ref()).cloned()
}
