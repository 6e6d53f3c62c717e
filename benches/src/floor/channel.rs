use futures_util::future::join_all;
use tokio::sync::{mpsc, oneshot};

use crate::Ask;

type Question = (u64, oneshot::Sender<u64>);

/// A task behind an unbounded `mpsc`, which answers by `oneshot`: the floor of a local call.
#[derive(Debug)]
pub struct Unbounded(mpsc::UnboundedSender<Question>);

impl Unbounded {
    /// Starts the task.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "it is measured what a limit costs"
    )]
    pub fn start() -> Self {
        let (sender, mut questions) = mpsc::unbounded_channel::<Question>();
        tokio::spawn(async move {
            let mut sum = 0u64;
            while let Some((number, reply)) = questions.recv().await {
                sum = sum.wrapping_add(number);
                let _ = reply.send(sum);
            }
        });
        Self(sender)
    }

    fn send(&self) -> oneshot::Receiver<u64> {
        let (reply, answer) = oneshot::channel();
        self.0.send((1, reply)).expect("the task runs");
        answer
    }
}

impl Ask for Unbounded {
    async fn ask(&mut self) {
        self.send().await.expect("the task answers");
    }

    async fn ask_at_once(&mut self, calls: usize) {
        let answers = std::iter::repeat_with(|| self.send()).take(calls);
        for answer in join_all(answers).await {
            answer.expect("the task answers");
        }
    }
}

/// The same with a bounded `mpsc`.
#[derive(Debug)]
pub struct Bounded(mpsc::Sender<Question>);

impl Bounded {
    /// Starts the task.
    #[must_use]
    pub fn start() -> Self {
        let (sender, mut questions) = mpsc::channel::<Question>(LIMIT);
        tokio::spawn(async move {
            let mut sum = 0u64;
            while let Some((number, reply)) = questions.recv().await {
                sum = sum.wrapping_add(number);
                let _ = reply.send(sum);
            }
        });
        Self(sender)
    }

    fn send(&self) -> oneshot::Receiver<u64> {
        let (reply, answer) = oneshot::channel();
        self.0.try_send((1, reply)).expect("the task keeps up");
        answer
    }
}

impl Ask for Bounded {
    async fn ask(&mut self) {
        self.send().await.expect("the task answers");
    }

    async fn ask_at_once(&mut self, calls: usize) {
        let answers = std::iter::repeat_with(|| self.send()).take(calls);
        for answer in join_all(answers).await {
            answer.expect("the task answers");
        }
    }
}

const LIMIT: usize = 1 << 10;
