//! How an endpoint has ended, for all who wait for it.

use std::future::Future;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::endpoint::RpcEndpoint;
use crate::endpoint_core::EndpointCore;
use crate::error::EndpointError;
use crate::main_loop::Resting;

/// Tells how an endpoint has ended, once it has.
///
/// There is nothing before somebody waits or it has: most endpoints have nobody.
#[derive(Default)]
pub(crate) struct Termination(Mutex<Option<Arc<End>>>);

/// An endpoint's end, for those who wait for it.
#[derive(Default)]
struct End {
    result: OnceLock<Ended>,
    ended: Notify,
}

/// An endpoint's state as long as its task lives.
///
/// Whatever ends the task, the state is dropped then, whoever waits is told, and the name is free;
/// unless the endpoint rests.
pub(crate) struct Ending<E: RpcEndpoint> {
    core: Arc<EndpointCore<E>>,
    /// It is there until then.
    endpoint: Option<Box<Resting<E>>>,
    /// How the endpoint has ended; the task was dropped if nobody has said so.
    result: Option<Ended>,
}

/// How an endpoint has ended. The error is elsewhere: there is hardly ever one, and all endpoints would
/// have room for it.
pub(crate) type Ended = Result<(), Box<EndpointError>>;

impl<E: RpcEndpoint> Ending<E> {
    pub(crate) const fn new(core: Arc<EndpointCore<E>>, endpoint: Box<Resting<E>>) -> Self {
        Self {
            core,
            endpoint: Some(endpoint),
            result: None,
        }
    }

    pub(crate) fn parts(&self) -> (&Arc<EndpointCore<E>>, &Resting<E>) {
        let endpoint = self.endpoint.as_ref();
        (&self.core, endpoint.expect("the task lives"))
    }

    /// The endpoint rests until it has something to do, as it stands now. Given back if it has.
    pub(crate) fn rest(mut self, stands: impl FnOnce(&mut Resting<E>)) -> Result<(), Self> {
        let mut endpoint = self.endpoint.take().expect("the task lives");
        stands(&mut endpoint);
        let rests = self.core.mailbox.rest(endpoint);
        rests.map_err(|endpoint| {
            self.endpoint = Some(endpoint);
            self
        })
    }

    /// The endpoint goes on in another task, as it stands now.
    pub(crate) fn go_on(mut self, stands: impl FnOnce(&mut Resting<E>)) {
        let mut endpoint = self.endpoint.take().expect("the task lives");
        stands(&mut endpoint);
        // Its timers are the next main loop's.
        self.core.pulse.change();
        EndpointCore::begin(endpoint);
    }

    /// The endpoint has ended by itself.
    pub(crate) fn end(mut self, result: Ended) {
        self.result = Some(result);
    }
}

impl<E: RpcEndpoint> Drop for Ending<E> {
    fn drop(&mut self) {
        let Some(endpoint) = self.endpoint.take() else {
            return;
        };
        let core = &self.core;
        let result = self.result.take();
        let mut result = result.unwrap_or_else(|| Err(Box::new(core.aborted())));
        let denied = core.close([]);
        let dropped = core.drop_stopped(endpoint);
        if denied.and(dropped).is_err() && result.is_ok() {
            result = Err(Box::new(core.panicked()));
        }
        core.ended(result);
    }
}

impl Termination {
    /// Says how the endpoint has ended.
    pub(crate) fn set(&self, result: Ended) {
        let end = self.end();
        // It is said once.
        let _unset = end.result.set(result);
        end.ended.notify_waiters();
    }

    /// Tells whether it has ended.
    pub(crate) fn is_set(&self) -> bool {
        let end = self.0.lock();
        end.as_ref().is_some_and(|it| it.result.get().is_some())
    }

    /// Waits until the endpoint has ended.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: whoever asks later is told too.
    pub(crate) fn wait(&self) -> impl Future<Output = Result<(), EndpointError>> + use<> {
        let end = self.end();
        async move { end.told().await.map_err(|error| *error) }
    }

    fn end(&self) -> Arc<End> {
        Arc::clone(self.0.lock().get_or_insert_default())
    }
}

impl End {
    async fn told(&self) -> Ended {
        loop {
            // Before one looks: what happens from here on is told.
            let ended = self.ended.notified();
            if let Some(result) = self.result.get() {
                return result.clone();
            }
            ended.await;
        }
    }
}
