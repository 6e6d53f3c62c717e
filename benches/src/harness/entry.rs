use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use tokio::runtime::Runtime;

use super::failed::wait;
use super::{Client, Failed, Load, Place, Sample, ServerProcess, Subject};

/// A subject among others: what it is called, and how it is started.
#[derive(Clone, Copy)]
pub struct Entry {
    /// Its name, by which another process finds it too.
    pub name: &'static str,
    serve: fn() -> BoxFuture<'static, String>,
    connect: fn(String) -> BoxFuture<'static, Box<dyn Driver>>,
}

/// Something that can be loaded.
#[async_trait]
pub trait Driver: Send + Sync + 'static {
    /// Loads it for about so long.
    async fn run(&self, load: Load, time: Duration) -> Sample;

    /// Loads it with so many calls, and returns how long they took.
    async fn times(&self, load: Load, calls: u64) -> Duration {
        panic!("{calls} calls of {load:?} are not counted here")
    }
}

struct Clients<C>(C);

#[async_trait]
impl<C: Client> Driver for Clients<C> {
    async fn run(&self, load: Load, time: Duration) -> Sample {
        load.run(self.0.clone(), time).await
    }

    async fn times(&self, load: Load, calls: u64) -> Duration {
        load.times(self.0.clone(), calls).await
    }
}

impl Entry {
    /// Lists a subject whose clients are loaded.
    #[must_use]
    pub const fn new<S: Subject>(name: &'static str) -> Self {
        Self {
            name,
            serve: || Box::pin(S::serve()),
            connect: |address| {
                Box::pin(async move { Box::new(Clients(S::connect(address).await)) as _ })
            },
        }
    }

    /// Lists what knows by itself how to bear a load.
    #[must_use]
    pub const fn driven(
        name: &'static str,
        serve: fn() -> BoxFuture<'static, String>,
        connect: fn(String) -> BoxFuture<'static, Box<dyn Driver>>,
    ) -> Self {
        Self {
            name,
            serve,
            connect,
        }
    }

    /// Starts what answers, and returns where.
    #[must_use]
    pub fn serve(&self) -> BoxFuture<'static, String> {
        (self.serve)()
    }

    /// Starts both sides.
    ///
    /// # Errors
    ///
    /// One of them panicked, or is not ready after a minute.
    pub fn start(self, place: Place) -> Result<Running, Failed> {
        let runtime = Workers(Some(place.runtime()));
        let (server, address) = match place {
            Place::One => (None, wait(&runtime, self.serve(), PATIENCE)?),
            Place::Two | Place::TwoPinned => {
                let (server, address) = ServerProcess::start(self.name, place)?;
                (Some(server), address)
            }
        };
        let driver = wait(&runtime, (self.connect)(address), PATIENCE)?;
        Ok(Running {
            name: self.name,
            driver: driver.into(),
            runtime,
            _server: server,
        })
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Entry").field(&self.name).finish()
    }
}

/// A subject that is started.
pub struct Running {
    /// The subject's name.
    pub name: &'static str,
    driver: Arc<dyn Driver>,
    runtime: Workers,
    _server: Option<ServerProcess>,
}

impl Running {
    /// Loads it for about so long.
    ///
    /// # Errors
    ///
    /// It panicked, or does not answer.
    pub fn run(&self, load: Load, time: Duration) -> Result<Sample, Failed> {
        let driver = Arc::clone(&self.driver);
        let task = async move { driver.run(load, time).await };
        wait(&self.runtime, task, time + PATIENCE)
    }

    /// Loads it with so many calls, and returns how long they took.
    #[must_use]
    pub fn times(&self, load: Load, calls: u64) -> Duration {
        let driver = Arc::clone(&self.driver);
        let task = self
            .runtime
            .spawn(async move { driver.times(load, calls).await });
        self.runtime.block_on(task).expect("no call fails")
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Running").field(&self.name).finish()
    }
}

/// A runtime that is not waited for: what answers does not end by itself.
struct Workers(Option<Runtime>);

impl std::ops::Deref for Workers {
    type Target = Runtime;

    fn deref(&self) -> &Runtime {
        self.0.as_ref().expect("it is not dropped")
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// After so long, what has not answered will not.
const PATIENCE: Duration = Duration::from_secs(60);
