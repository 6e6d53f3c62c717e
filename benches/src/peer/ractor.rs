use std::fmt;

use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, call};

use crate::harness::{Client, Subject};

/// An actor of ractor, whose mailbox is unbounded.
#[derive(Debug)]
pub struct Ractor;

/// Asks it.
#[derive(Clone)]
pub struct RactorClient(ActorRef<Message>);

struct Adder;

enum Message {
    Ask(u64, RpcReplyPort<u64>),
    Tell(u64),
}

impl Actor for Adder {
    type Msg = Message;
    type State = u64;
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Message>, (): ()) -> Result<u64, ActorProcessingErr> {
        Ok(0)
    }

    async fn handle(
        &self,
        _: ActorRef<Message>,
        message: Message,
        sum: &mut u64,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Ask(number, reply) => {
                *sum = sum.wrapping_add(number);
                let _ = reply.send(*sum);
            }
            Message::Tell(number) => *sum = sum.wrapping_add(number),
        }
        Ok(())
    }
}

impl Subject for Ractor {
    type Client = RactorClient;

    async fn connect(_: String) -> RactorClient {
        let spawned = Actor::spawn(None, Adder, ()).await;
        let (actor, _) = spawned.expect("the actor has no name that is taken");
        RactorClient(actor)
    }
}

impl Client for RactorClient {
    fn ask(&self, number: u64) -> impl Future<Output = u64> + Send + Unpin {
        Box::pin(async move { call!(self.0, Message::Ask, number).expect("the actor answers") })
    }

    async fn tell(&self, number: u64) {
        self.0.cast(Message::Tell(number)).expect("the actor runs");
        // Nothing here waits, and other tasks are to have their turn.
        tokio::task::consume_budget().await;
    }
}

impl fmt::Debug for RactorClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RactorClient").finish_non_exhaustive()
    }
}
