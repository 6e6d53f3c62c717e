use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::BoxFuture;

use super::{Client, Load, Place, Sample, ServerProcess, Subject};

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
}

struct Clients<C>(C);

#[async_trait]
impl<C: Client> Driver for Clients<C> {
    async fn run(&self, load: Load, time: Duration) -> Sample {
        load.run(self.0.clone(), time).await
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
    #[must_use]
    pub fn start(self, place: Place) -> Running {
        let runtime = place.runtime();
        let (server, address) = match place {
            Place::One => {
                let address = runtime.block_on(runtime.spawn(self.serve()));
                (None, address.expect("the subject can be served"))
            }
            Place::Two | Place::TwoPinned => {
                let (server, address) = ServerProcess::start(self.name, place);
                (Some(server), address)
            }
        };
        let driver = runtime.block_on(runtime.spawn((self.connect)(address)));
        Running {
            name: self.name,
            driver: driver.expect("the subject can be connected to").into(),
            runtime: Some(runtime),
            _server: server,
        }
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
    driver: std::sync::Arc<dyn Driver>,
    runtime: Option<tokio::runtime::Runtime>,
    _server: Option<ServerProcess>,
}

impl Running {
    /// Loads it for about so long, from a task: the thread that waits for the runtime is none of its
    /// workers.
    #[must_use]
    pub fn run(&self, load: Load, time: Duration) -> Sample {
        let driver = std::sync::Arc::clone(&self.driver);
        let runtime = self.runtime.as_ref().expect("it is not dropped");
        let task = runtime.spawn(async move { driver.run(load, time).await });
        runtime.block_on(task).expect("no call fails")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Not waited for: what answers does not end by itself.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Running").field(&self.name).finish()
    }
}
