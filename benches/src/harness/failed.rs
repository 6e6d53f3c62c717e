use std::fmt;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::time::timeout;

/// Why a subject could not be measured: it panicked, or did not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed(String);

impl Failed {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failed {}

/// Waits for a task, since a thread that waits for a runtime is none of its workers.
pub(super) fn wait<T: Send + 'static>(
    runtime: &Runtime,
    future: impl Future<Output = T> + Send + 'static,
    time: Duration,
) -> Result<T, Failed> {
    let task = runtime.spawn(future);
    match runtime.block_on(async { timeout(time, task).await }) {
        Ok(ended) => ended.map_err(|error| Failed::new(error.to_string())),
        Err(_) => Err(Failed::new(format!("it takes more than {time:?}"))),
    }
}
