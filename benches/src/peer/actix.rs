use std::fmt;
use std::thread;

use actix::{Actor, Addr, Context, Handler, Message, System};
use futures_util::FutureExt;
use tokio::sync::oneshot;

use super::LIMIT;
use crate::harness::{Client, Subject};

/// An actor of actix, on a thread of its own: actix has no others.
#[derive(Debug)]
pub struct Actix;

/// Asks it.
#[derive(Clone)]
pub struct ActixClient(Addr<Adder>);

#[derive(Default)]
struct Adder(u64);

struct Ask(u64);

struct Tell(u64);

impl Message for Ask {
    type Result = u64;
}

impl Message for Tell {
    type Result = ();
}

impl Actor for Adder {
    type Context = Context<Self>;

    fn started(&mut self, cx: &mut Context<Self>) {
        cx.set_mailbox_capacity(LIMIT);
    }

    /// Ends the thread, once nobody has its address.
    fn stopped(&mut self, _: &mut Context<Self>) {
        System::current().stop();
    }
}

impl Handler<Ask> for Adder {
    type Result = u64;

    fn handle(&mut self, Ask(number): Ask, _: &mut Context<Self>) -> u64 {
        self.0 = self.0.wrapping_add(number);
        self.0
    }
}

impl Handler<Tell> for Adder {
    type Result = ();

    fn handle(&mut self, Tell(number): Tell, _: &mut Context<Self>) {
        self.0 = self.0.wrapping_add(number);
    }
}

impl Subject for Actix {
    type Client = ActixClient;

    async fn connect(_: String) -> ActixClient {
        let (sender, started) = oneshot::channel();
        thread::spawn(|| {
            let system = System::new();
            let address = system.block_on(async { Adder::default().start() });
            let _ = sender.send(address);
            system.run().expect("nothing there fails");
        });
        ActixClient(started.await.expect("the thread starts the actor"))
    }
}

impl Client for ActixClient {
    fn ask(&self, number: u64) -> impl Future<Output = u64> + Send + Unpin {
        Box::pin(self.0.send(Ask(number))).map(|sum| sum.expect("the actor answers"))
    }

    /// Sends it without waiting for room: what actix lets one wait for is an answer.
    async fn tell(&self, number: u64) {
        self.0.do_send(Tell(number));
        tokio::task::consume_budget().await;
    }
}

impl fmt::Debug for ActixClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActixClient").finish_non_exhaustive()
    }
}
