use std::fmt;

use futures_util::FutureExt;
use irpc::WithChannels;
use irpc::channel::{none, oneshot};
use irpc::rpc_requests;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::LIMIT;
use crate::harness::{Client, Subject};

/// A task behind a client of irpc, in memory: over QUIC, irpc speaks by a QUIC of its own.
#[derive(Debug)]
pub struct Irpc;

/// Asks it.
#[derive(Clone)]
pub struct IrpcClient(irpc::Client<Question>);

#[rpc_requests(message = Message, no_rpc, no_spans)]
#[derive(Debug, Deserialize, Serialize)]
enum Question {
    #[rpc(tx = oneshot::Sender<u64>)]
    #[wrap(Ask)]
    Ask(u64),
    #[rpc(tx = none::NoSender)]
    #[wrap(Tell)]
    Tell(u64),
}

impl Subject for Irpc {
    type Client = IrpcClient;

    async fn connect(_: String) -> IrpcClient {
        let (sender, mut messages) = mpsc::channel(LIMIT);
        tokio::spawn(async move {
            let mut sum = 0u64;
            while let Some(message) = messages.recv().await {
                match message {
                    Message::Ask(WithChannels { inner, tx, .. }) => {
                        sum = sum.wrapping_add(inner.0);
                        let _ = tx.send(sum).await;
                    }
                    Message::Tell(WithChannels { inner, .. }) => sum = sum.wrapping_add(inner.0),
                }
            }
        });
        IrpcClient(irpc::Client::local(sender))
    }
}

impl Client for IrpcClient {
    fn ask(&self, number: u64) -> impl Future<Output = u64> + Send + Unpin {
        Box::pin(self.0.rpc(Ask(number))).map(|sum| sum.expect("the task answers"))
    }

    async fn tell(&self, number: u64) {
        let sent = self.0.notify(Tell(number)).await;
        sent.expect("the task runs");
    }
}

impl fmt::Debug for IrpcClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IrpcClient").finish_non_exhaustive()
    }
}
