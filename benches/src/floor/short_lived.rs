use super::channel::start;
use crate::harness::{Client, Subject};

/// A task behind an `mpsc` that lives for one call: each starts one, and waits until it has ended.
#[derive(Debug)]
pub struct ShortLivedTask;

/// Starts tasks.
#[derive(Clone, Debug)]
pub struct Spawner;

impl Subject for ShortLivedTask {
    type Client = Spawner;

    async fn connect(_: String) -> Spawner {
        Spawner
    }
}

impl Client for Spawner {
    fn ask(&self, number: u64) -> impl Future<Output = u64> + Send + Unpin {
        Box::pin(async move {
            let (sender, task) = start();
            drop(sender);
            task.await.expect("it does not fail");
            number
        })
    }
}
