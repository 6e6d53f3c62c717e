//! Faults of calls, by method: what a network does at its worst moment, at the moment a test needs.

use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::call::{Call, ReplyTo, Time};
use crate::connection::Ask;
use crate::gateway::{Message, Port};

/// What goes wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The request comes so much later; calls that are made meanwhile overtake it.
    DelayRequest(Duration),
    /// The answer comes so much later.
    DelayReply(Duration),
    /// The request is lost. The callee knows nothing of the call, and the caller nothing of that.
    DropRequest,
    /// The answer is lost: the callee has run the call.
    DropReply,
}

/// The faults of the calls that a service's gateways make, within the service and to others.
///
/// A clone is the same set. They are used up in the order in which they were injected. What is delayed
/// waits in the service's runtime.
///
///
/// ```
/// # use std::time::Duration;
/// # use rpc_core::testing::{Fault, Faults, Probe, ProbeGateway};
/// # use rpc_core::{Outcome, RpcService};
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let faults = Faults::default();
/// let service = RpcService::builder().faults(&faults).build().await?;
/// let server = service.start_server("probe", Probe::default())?;
/// server.start();
/// let probe = service.connect::<dyn ProbeGateway>("probe").await?;
///
/// faults.inject("ProbeGateway::add", Fault::DropReply);
/// let error = probe.add(7).await.unwrap_err();
/// assert_eq!(error.outcome(), Outcome::Unknown);
/// assert_eq!(probe.numbers().await?, [7], "it was executed");
/// assert!(faults.unused().is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Mutex<BTreeMap<String, VecDeque<Fault>>>>);

impl Faults {
    /// Lets the next call of a method that has no fault yet go wrong; `method` is
    /// `Gateway::method`.
    pub fn inject(&self, method: &str, fault: Fault) {
        let mut faults = self.0.lock();
        faults
            .entry(method.to_owned())
            .or_default()
            .push_back(fault);
    }

    /// Returns the methods whose faults were not used up, one time for each: of one that nobody calls,
    /// as its name may be misspelt, a test would otherwise not hear.
    #[must_use]
    pub fn unused(&self) -> Vec<String> {
        let faults = self.0.lock();
        let each = faults.iter().flat_map(|(method, queue)| {
            let times = queue.len();
            std::iter::repeat_n(method.clone(), times)
        });
        each.collect()
    }

    /// Forgets the faults that were not used up.
    pub fn clear(&self) {
        self.0.lock().clear();
    }

    /// Takes the fault of a call that is made now.
    pub(crate) fn next(&self, method: &str) -> Option<Fault> {
        let mut faults = self.0.lock();
        if faults.is_empty() {
            return None;
        }
        let queue = faults.get_mut(method)?;
        let fault = queue.pop_front();
        if queue.is_empty() {
            faults.remove(method);
        }
        fault
    }
}

/// Makes a call that goes wrong.
pub(crate) fn call<R, A, T, E>(
    port: &Port<R>,
    fault: Fault,
    ask: Ask,
    time: Time,
    arguments: A,
    request: impl FnOnce(A, ReplyTo<T, E>) -> R + Send + 'static,
) -> Call<T, E>
where
    R: Send + 'static,
    A: Message,
    T: Message,
    E: Message,
{
    let mut waiting = port.waiting(&ask, &time);
    // The answer, when it is not the one that the caller waits for.
    let mut aside = port.waiting(&ask, &time);
    let slot = Arc::clone(waiting.slot());
    match fault {
        Fault::DropRequest => {}
        Fault::DropReply => {
            port.begin(&ask, &time, arguments, request, &mut aside);
            mem::swap(&mut waiting.remote, &mut aside.remote);
        }
        Fault::DelayReply(delay) => {
            port.begin(&ask, &time, arguments, request, &mut aside);
            let call = Call::waiting(aside);
            port.spawn(async move {
                let answer = call.await;
                tokio::time::sleep(delay).await;
                slot.fill(answer);
            });
        }
        Fault::DelayRequest(delay) => {
            let later = port.clone();
            port.spawn(async move {
                tokio::time::sleep(delay).await;
                later.begin(&ask, &time, arguments, request, &mut aside);
                slot.fill(Call::waiting(aside).await);
            });
        }
    }
    Call::waiting(waiting)
}

/// Makes a one-way call that goes wrong.
pub(crate) fn tell<R: Send + 'static, A: Message>(
    port: &Port<R>,
    fault: Fault,
    ask: Ask,
    arguments: A,
    request: impl FnOnce(A) -> R + Send + 'static,
) {
    match fault {
        Fault::DropRequest => {}
        Fault::DelayRequest(delay) => {
            let later = port.clone();
            port.spawn(async move {
                tokio::time::sleep(delay).await;
                later.begin_one_way(&ask, arguments, request);
            });
        }
        // It has none.
        Fault::DropReply | Fault::DelayReply(_) => port.begin_one_way(&ask, arguments, request),
    }
}
