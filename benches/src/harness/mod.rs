//! How it is measured: subjects are started once, then loaded in turns.
//!
//! ```text
//!   Subject ── serve ──▶ address ── connect ──▶ Client ── Load ──▶ Sample
//! ```
//!
//! A subject is loaded for a fraction of a second, then the next, and so on in many rounds: what
//! the host does meanwhile befalls all of them alike.

mod entry;
mod failed;
mod in_turn;
mod load;
mod place;
mod sample;

pub use self::entry::{Driver, Entry, Running};
pub use self::failed::Failed;
pub use self::in_turn::{InTurn, Turns};
pub use self::load::Load;
pub use self::place::{Place, ServerProcess};
pub use self::sample::{Sample, cpu_time, resident};

use bytes::Bytes;

/// Something that answers, and is asked.
pub trait Subject: 'static {
    /// Asks it. Each caller has a clone.
    type Client: Client;

    /// Starts what answers, and returns where: what [`connect`](Self::connect) takes, perhaps in
    /// another process. It answers until the runtime is shut down. What is within a process answers
    /// nowhere: it is started with its client.
    fn serve() -> impl Future<Output = String> + Send {
        std::future::ready(String::new())
    }

    /// Connects to what answers.
    fn connect(address: String) -> impl Future<Output = Self::Client> + Send;
}

/// Asks a [`Subject`].
///
/// A subject that cannot do something panics when asked to: no scenario asks it to.
pub trait Client: Clone + Send + Sync + 'static {
    /// Sends a number, and gets the sum of all so far.
    ///
    /// The future is to be `Unpin`, so that many can be awaited without a box for each; a subject
    /// whose futures are not has the box, as its users would.
    fn ask(&self, number: u64) -> impl Future<Output = u64> + Send + Unpin;

    /// Sends a number that is added to the sum, and waits for nothing but room.
    fn tell(&self, number: u64) -> impl Future<Output = ()> + Send {
        async move { cannot(number) }
    }

    /// Sends bytes, and gets as many back. Returns how many.
    fn echo(&self, bytes: Bytes) -> impl Future<Output = usize> + Send + Unpin {
        Box::pin(async move { cannot(bytes) })
    }
}

fn cannot<T, R>(_: T) -> R {
    panic!("a scenario asks a subject for what it does not have")
}
