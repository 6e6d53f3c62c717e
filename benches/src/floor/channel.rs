use futures_util::FutureExt;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::harness::{Client, Subject};

/// A task behind an unbounded `mpsc`, which answers by `oneshot`: the floor of a local call.
#[derive(Debug)]
pub struct Unbounded;

/// The same with a bounded `mpsc`.
#[derive(Debug)]
pub struct Bounded;

/// What the task is sent.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "only the clients here make it")]
pub enum Message {
    /// Add this, and send the sum back.
    Ask(u64, oneshot::Sender<u64>),
    /// Add this.
    Tell(u64),
}

/// What the task does.
#[derive(Default)]
struct Adder(u64);

impl Adder {
    fn handle(&mut self, message: Message) {
        match message {
            Message::Ask(number, reply) => {
                self.0 = self.0.wrapping_add(number);
                let _ = reply.send(self.0);
            }
            Message::Tell(number) => self.0 = self.0.wrapping_add(number),
        }
    }
}

fn question(number: u64) -> (Message, impl Future<Output = u64> + Send + Unpin) {
    let (reply, answer) = oneshot::channel();
    let answer = answer.map(|it| it.expect("the task answers"));
    (Message::Ask(number, reply), answer)
}

impl Subject for Unbounded {
    type Client = mpsc::UnboundedSender<Message>;

    #[expect(
        clippy::disallowed_methods,
        reason = "it is measured what a limit costs"
    )]
    async fn connect(_: String) -> Self::Client {
        let (sender, mut messages) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut adder = Adder::default();
            while let Some(message) = messages.recv().await {
                adder.handle(message);
            }
        });
        sender
    }
}

impl Client for mpsc::UnboundedSender<Message> {
    fn ask(&self, number: u64) -> impl Future<Output = u64> + Send + Unpin {
        let (message, answer) = question(number);
        self.send(message).expect("the task runs");
        answer
    }

    async fn tell(&self, number: u64) {
        self.send(Message::Tell(number)).expect("the task runs");
    }
}

impl Subject for Bounded {
    type Client = mpsc::Sender<Message>;

    async fn connect(_: String) -> Self::Client {
        start().0
    }
}

/// Starts a task that adds what comes, until nobody can send any more.
pub(super) fn start() -> (mpsc::Sender<Message>, JoinHandle<()>) {
    let (sender, mut messages) = mpsc::channel(LIMIT);
    let task = tokio::spawn(async move {
        let mut adder = Adder::default();
        while let Some(message) = messages.recv().await {
            adder.handle(message);
        }
    });
    (sender, task)
}

impl Client for mpsc::Sender<Message> {
    fn ask(&self, number: u64) -> impl Future<Output = u64> + Send + Unpin {
        let (message, answer) = question(number);
        self.try_send(message).expect("the task keeps up");
        answer
    }

    async fn tell(&self, number: u64) {
        let sent = self.send(Message::Tell(number)).await;
        sent.expect("the task runs");
    }
}

const LIMIT: usize = 1 << 12;
