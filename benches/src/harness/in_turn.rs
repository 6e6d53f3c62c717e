use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

use super::{Client, Subject};

/// A subject that so many clients are connected to, which are asked in turn.
pub struct InTurn<S, const N: usize>(PhantomData<S>);

/// Asks clients in turn. Clones share whose turn it is.
pub struct Turns<C> {
    clients: Arc<[C]>,
    next: Arc<AtomicUsize>,
}

impl<S: Subject, const N: usize> Subject for InTurn<S, N> {
    type Client = Turns<S::Client>;

    async fn serve() -> String {
        S::serve().await
    }

    async fn connect(address: String) -> Self::Client {
        let mut clients = Vec::with_capacity(N);
        for _ in 0..N {
            clients.push(S::connect(address.clone()).await);
        }
        Turns::new(clients)
    }
}

impl<C> Turns<C> {
    /// Makes what asks these in turn.
    #[must_use]
    pub fn new(clients: Vec<C>) -> Self {
        Self {
            clients: clients.into(),
            next: Arc::default(),
        }
    }

    fn next(&self) -> &C {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        &self.clients[turn % self.clients.len()]
    }
}

impl<C: Client> Client for Turns<C> {
    fn ask(&self, number: u64) -> impl Future<Output = u64> + Send + Unpin {
        self.next().ask(number)
    }

    fn echo(&self, bytes: Bytes) -> impl Future<Output = usize> + Send + Unpin {
        self.next().echo(bytes)
    }
}

impl<C> Clone for Turns<C> {
    fn clone(&self) -> Self {
        Self {
            clients: Arc::clone(&self.clients),
            next: Arc::clone(&self.next),
        }
    }
}

impl<C> fmt::Debug for Turns<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Turns").field(&self.clients.len()).finish()
    }
}

impl<S, const N: usize> fmt::Debug for InTurn<S, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("InTurn").field(&N).finish()
    }
}
