//! The services of a run, and what befalls them.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::Duration;

use super::clerk::Clerk;
use super::ledger::Ledger;
use crate::testing::sim::SimNetwork;
use crate::{FencingToken, RpcConfig, RpcServer, RpcService};

/// The nodes of a run. A clone is the same world.
#[derive(Clone)]
pub(super) struct World {
    pub(super) net: SimNetwork,
    pub(super) ledger: Ledger,
    servers: Arc<Mutex<Vec<Option<Server>>>>,
    term: Arc<Mutex<u64>>,
}

#[derive(Clone)]
pub(super) struct Server {
    pub(super) service: RpcService,
    pub(super) clerk: RpcServer<Clerk>,
}

/// Limits and times that are small, so that they are met within seconds.
pub(super) fn config() -> RpcConfig {
    RpcConfig {
        bulk_bytes_min: 512,
        call_timeout: Duration::from_secs(1),
        calls_max: 64,
        connect_timeout: Duration::from_millis(800),
        frame_bytes_max: 16 << 10,
        frame_timeout: Duration::from_secs(5),
        gateways_max: 64,
        handshake_timeout: Duration::from_millis(800),
        keepalive_interval: Duration::from_millis(400),
        keepalive_timeout: Duration::from_millis(1200),
        mailbox_bytes_max: 64 << 10,
        mailbox_messages_max: 256,
        redial_delay_min: Duration::from_millis(20),
        redial_delay_max: Duration::from_millis(500),
        window_bytes: 16 << 10,
        write_timeout: Duration::from_secs(5),
        ..RpcConfig::default()
    }
}

impl World {
    pub(super) async fn new(net: SimNetwork, servers: usize) -> Self {
        let world = Self {
            net,
            ledger: Ledger::default(),
            servers: Arc::new(Mutex::new(vec![None; servers])),
            term: Arc::new(Mutex::new(1)),
        };
        for index in 0..servers {
            world.start(index).await;
        }
        world
    }

    pub(super) fn address(index: usize) -> String {
        format!("sim://s{index}/clerk")
    }

    pub(super) fn servers(&self) -> usize {
        self.servers.lock().len()
    }

    pub(super) fn server(&self, index: usize) -> Option<Server> {
        self.servers.lock()[index].clone()
    }

    /// Writes down what is not as it should be.
    pub(super) fn complain(&self, complaint: impl Into<String>) {
        self.ledger.complain(complaint.into());
    }

    /// Starts a server that does not run.
    pub(super) async fn start(&self, index: usize) {
        let name = format!("s{index}");
        let mut node = self.net.node(&name);
        if node.is_crashed() {
            node = self.net.restart(&name);
        }
        let service = loop {
            let builder = RpcService::builder().config(config());
            match builder.transport(node.transport()).build().await {
                Ok(service) => break service,
                // Its predecessor is about to say goodbye.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
            // Another fault that befell it may have started it meanwhile.
            if self.server(index).is_some() || node.is_crashed() {
                return;
            }
        };
        let clerk = service
            .start_server("clerk", Clerk::new(&self.ledger))
            .unwrap();
        clerk.start();
        let server = Server { service, clerk };
        self.servers.lock()[index] = Some(server);
        self.lead(index, 0).await;
    }

    /// Lets the leader change: the servers learn of it one after the other.
    pub(super) fn elect(&self) -> FencingToken {
        let mut term = self.term.lock();
        *term += 1;
        FencingToken::new(*term)
    }

    pub(super) fn term(&self) -> u64 {
        *self.term.lock()
    }

    /// Tells a server of the term that was so many terms ago.
    pub(super) async fn lead(&self, index: usize, ago: u64) {
        let Some(server) = self.server(index) else {
            return;
        };
        let token = FencingToken::new(self.term().saturating_sub(ago).max(1));
        let told = server
            .clerk
            .main_thread()
            .call_async_without_fencing(move |_, cx| {
                let before = cx.fencing_token();
                let _ = cx.set_fencing_token(Some(token));
                before.is_none_or(|before| cx.fencing_token() >= Some(before))
            });
        if told.await == Ok(false) {
            self.complain("a token went back");
        }
    }

    /// Kills a server. Nobody is told.
    pub(super) fn kill(&self, index: usize) {
        let server = self.servers.lock()[index].take();
        if let Some(server) = server {
            self.net.crash(&format!("s{index}"));
            server.service.abort();
        }
    }

    /// Closes a server, which says goodbye.
    pub(super) async fn close(&self, index: usize) {
        let server = self.servers.lock()[index].take();
        if let Some(server) = server {
            let _ = server.service.close().await;
        }
    }

    /// Starts the endpoint of a server anew, under the same name.
    pub(super) async fn replace_endpoint(&self, index: usize) {
        let Some(server) = self.server(index) else {
            return;
        };
        let _ = server.clerk.close().await;
        let clerk = Clerk::new(&self.ledger);
        let Ok(clerk) = server.service.start_server("clerk", clerk) else {
            return;
        };
        clerk.start();
        if let Some(server) = &mut self.servers.lock()[index] {
            server.clerk = clerk;
        }
        self.lead(index, 0).await;
    }
}
