//! Callers that call whatever comes to their mind.

use std::sync::Arc;

use tokio::task::JoinSet;
use tokio::time::{Duration, Instant};

use super::clerk::{ChiefGateway, ClerkGateway};
use super::ledger::{Kind, Ledger, What};
use super::world::World;
use crate::{Call, FencingToken, Never, RpcError, RpcService};

/// Calls one server until the time is over, and waits for all answers.
pub(super) async fn run(world: World, service: RpcService, server: usize, until: Instant) {
    let mut client = Client {
        world,
        service,
        server,
        gateway: None,
        calls: JoinSet::new(),
    };
    while Instant::now() < until {
        client.call().await;
        let pause = fastrand::u64(0..120);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        while client.calls.try_join_next().is_some() {}
    }
    while client.calls.join_next().await.is_some() {}
}

struct Client {
    world: World,
    service: RpcService,
    server: usize,
    gateway: Option<Gateway>,
    calls: JoinSet<()>,
}

/// The gateways to one incarnation of the clerk, under one term.
#[derive(Clone)]
struct Gateway {
    number: u64,
    chief_number: u64,
    birth: u64,
    clerk: Arc<dyn ClerkGateway>,
    chief: Arc<dyn ChiefGateway>,
    token: FencingToken,
}

impl Client {
    async fn gateway(&mut self) -> Option<Gateway> {
        if self.gateway.is_none() {
            self.gateway = self.connect().await;
        }
        self.gateway.clone()
    }

    async fn connect(&self) -> Option<Gateway> {
        let address = World::address(self.server);
        let clerk = self.service.connect::<dyn ClerkGateway>(&address).await;
        let clerk = clerk.ok()?;
        let birth = clerk.birth().await.ok()?;
        // Sometimes it believes in a leader of the past.
        let term = self.world.term().saturating_sub(fastrand::u64(0..2)).max(1);
        let token = FencingToken::new(term);
        let chief = self.service.connect_fenced(&address, token).await.ok()?;
        Some(Gateway {
            number: fastrand::u64(..),
            chief_number: fastrand::u64(..),
            birth,
            clerk,
            chief,
            token,
        })
    }

    async fn call(&mut self) {
        let Some(gateway) = self.gateway().await else {
            return;
        };
        let timeout = match fastrand::u8(..10) {
            0 => None,
            _ => Some(Duration::from_millis(fastrand::u64(20..1500))),
        };
        let what = What {
            gateway: gateway.number,
            birth: Some(gateway.birth),
            timeout,
            ..What::default()
        };
        let fenced = What {
            gateway: gateway.chief_number,
            token: Some(gateway.token),
            birth: None,
            ..what
        };
        let one_way = |what| What {
            kind: Kind::OneWay,
            timeout: None,
            ..what
        };
        let Gateway { clerk, chief, .. } = &gateway;
        let ledger = self.world.ledger.clone();
        match fastrand::u8(..12) {
            0..=2 => self.ask(what, |call| clerk.note(call)),
            3..=5 => {
                let millis = fastrand::u64(1..6000);
                self.ask(what, |call| clerk.work(call, millis));
            }
            6 => {
                let kind = Kind::Idempotent;
                self.ask(What { kind, ..what }, |call| clerk.again(call));
            }
            7 => clerk.tell(ledger.issue(one_way(what))),
            8 => {
                let other = fastrand::usize(..self.world.servers());
                let to = World::address(other);
                let millis = fastrand::u64(1..6000);
                self.ask(what, |call| clerk.delegate(call, to, millis));
            }
            9 => {
                let size = fastrand::usize(..6000);
                self.ask(what, |call| clerk.bulk(call, vec![call as u8; size]));
            }
            10 => self.ask(fenced, |call| chief.lead(call)),
            _ => chief.order(ledger.issue(one_way(fenced))),
        }
        // A gateway whose endpoint is gone is given up, and now and then one for a new leader's.
        let over = self.is_over().await || fastrand::u8(..40) == 0;
        if over {
            self.gateway = None;
        }
    }

    async fn is_over(&self) -> bool {
        let Some(gateway) = &self.gateway else {
            return false;
        };
        if fastrand::u8(..8) > 0 {
            return false;
        }
        let birth = gateway.clerk.birth().await;
        if let Ok(birth) = birth
            && birth != gateway.birth
        {
            let complaint = format!("incarnation {} became {birth}", gateway.birth);
            self.world.complain(complaint);
        }
        matches!(birth, Err(RpcError::Unreachable { .. }))
    }

    /// Makes a call, and awaits it beside the next ones, or not to its end.
    fn ask(&mut self, what: What, call: impl FnOnce(u64) -> Call<u64>) {
        let ledger = self.world.ledger.clone();
        let number = ledger.issue(what);
        let call = match what.timeout {
            Some(timeout) => call(number).timeout(timeout),
            None => call(number).without_timeout(),
        };
        let patience = match fastrand::u8(..8) {
            0 => Duration::from_millis(fastrand::u64(..800)),
            _ => Duration::MAX,
        };
        self.calls.spawn(watch(ledger, number, call, patience));
    }
}

async fn watch(ledger: Ledger, number: u64, call: Call<u64>, patience: Duration) {
    match tokio::time::timeout(patience, call).await {
        Ok(result) => ledger.end(number, Some(result)),
        Err(_) => ledger.end::<Never>(number, None),
    }
}
