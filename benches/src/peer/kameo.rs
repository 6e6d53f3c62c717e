use std::convert::Infallible;
use std::fmt;
use std::future::IntoFuture;

use futures_util::FutureExt;
use kameo::actor::{Actor, ActorRef, Spawn};
use kameo::mailbox;
use kameo::message::{Context, Message};

use super::LIMIT;
use crate::harness::{Client, Subject};

/// An actor of kameo behind a bounded mailbox, as kameo has by default, but larger.
#[derive(Debug)]
pub struct Kameo;

/// Asks it.
#[derive(Clone)]
pub struct KameoClient(ActorRef<Adder>);

#[derive(Default)]
struct Adder(u64);

struct Ask(u64);

struct Tell(u64);

impl Actor for Adder {
    type Args = Self;
    type Error = Infallible;

    async fn on_start(adder: Self, _: ActorRef<Self>) -> Result<Self, Infallible> {
        Ok(adder)
    }
}

impl Message<Ask> for Adder {
    type Reply = u64;

    async fn handle(&mut self, Ask(number): Ask, _: &mut Context<Self, u64>) -> u64 {
        self.0 = self.0.wrapping_add(number);
        self.0
    }
}

impl Message<Tell> for Adder {
    type Reply = ();

    async fn handle(&mut self, Tell(number): Tell, _: &mut Context<Self, ()>) {
        self.0 = self.0.wrapping_add(number);
    }
}

impl Subject for Kameo {
    type Client = KameoClient;

    async fn connect(_: String) -> KameoClient {
        let mailbox = mailbox::bounded(LIMIT);
        KameoClient(Adder::spawn_with_mailbox(Adder::default(), mailbox))
    }
}

impl Client for KameoClient {
    fn ask(&self, number: u64) -> impl Future<Output = u64> + Send + Unpin {
        let asking = self.0.ask(Ask(number)).into_future();
        asking.map(|sum| sum.expect("the actor answers"))
    }

    async fn tell(&self, number: u64) {
        let sent = self.0.tell(Tell(number)).send().await;
        sent.expect("the actor runs");
    }
}

impl fmt::Debug for KameoClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KameoClient").finish_non_exhaustive()
    }
}
