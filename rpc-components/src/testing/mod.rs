//! What endpoints are tested with.

mod stubs;

pub(crate) use self::stubs::{OfferCall, StubJobMaster, StubResourceManager, StubTaskExecutor};

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use rpc_core::RpcService;
use rpc_core::transport::{Connection, Listener, Transport, TransportError};
use tokio::sync::{Notify, Semaphore};

use crate::gateway::{Component, LEADER_ENDPOINT, LeaderInformation};
use crate::id::ResourceManagerId;
use crate::leader::{LeaderRetrieval, Leaders};

/// What was said to somebody, in order.
pub(crate) struct Heard<T>(Arc<Inner<T>>);

struct Inner<T> {
    words: Mutex<VecDeque<T>>,
    more: Notify,
}

impl<T> Heard<T> {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Inner {
            words: Mutex::default(),
            more: Notify::new(),
        }))
    }

    pub(crate) fn put(&self, word: T) {
        self.0.words.lock().push_back(word);
        self.0.more.notify_one();
    }

    /// Waits for the next word.
    pub(crate) async fn next(&self) -> T {
        let next = async {
            loop {
                if let Some(word) = self.0.words.lock().pop_front() {
                    return word;
                }
                self.0.more.notified().await;
            }
        };
        let next = tokio::time::timeout(PATIENCE, next).await;
        next.expect("something is said in time")
    }

    /// Returns how many words were said and not taken.
    pub(crate) fn len(&self) -> usize {
        self.0.words.lock().len()
    }

    /// Takes the words that were said so far.
    pub(crate) fn take(&self) -> Vec<T> {
        self.0.words.lock().drain(..).collect()
    }
}

impl<T> Clone for Heard<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> fmt::Debug for Heard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Heard")
    }
}

/// Waits until something holds, looking every millisecond.
pub(crate) async fn until<F: Future<Output = bool>>(mut holds: impl FnMut() -> F) {
    let look = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let held = tokio::time::timeout(PATIENCE, look).await;
    held.expect("it holds in time");
}

/// Starts what tells where the ResourceManager is: the endpoint of the service with that name.
pub(crate) async fn retrieval_of(
    rpc: &RpcService,
    resource_manager: &str,
    id: ResourceManagerId,
) -> LeaderRetrieval {
    let leaders = rpc
        .start_server(LEADER_ENDPOINT, Leaders::default())
        .unwrap();
    leaders.start();
    let leader = LeaderInformation {
        address: rpc.address_of(resource_manager),
        token: id.into(),
    };
    let confirmed = leaders.main_thread().call_async(move |leaders, _| {
        leaders.confirm(Component::ResourceManager, leader);
    });
    confirmed.await.unwrap();
    LeaderRetrieval::new(rpc.clone(), LEADER_ENDPOINT)
}

/// A transport whose every connect waits for the test, and then fails.
#[derive(Clone, Debug)]
pub(crate) struct Gate(Arc<Semaphore>);

impl Gate {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }

    /// Lets the connect that has waited longest fail.
    pub(crate) fn open(&self) {
        self.0.add_permits(1);
    }
}

#[async_trait]
impl Transport for Gate {
    fn scheme(&self) -> &'static str {
        "gate"
    }

    async fn listen(&self) -> Result<Option<Box<dyn Listener>>, TransportError> {
        Ok(None)
    }

    async fn connect(&self, authority: &str) -> Result<Arc<dyn Connection>, TransportError> {
        if let Ok(permit) = self.0.acquire().await {
            permit.forget();
        }
        Err(TransportError::Closed {
            peer: authority.to_owned(),
        })
    }
}

/// Longer than anything that is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
