use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::carrier::Carrier;
use super::client::{Quick, Rpc, RpcClient};
use crate::harness::{Client, Driver, Load, Sample, Subject};

/// A counter that is asked while another caller, over the same connection, echoes so many bytes
/// without pause.
pub struct Crowded<C, const BYTES: usize>(PhantomData<C>);

impl<C: Carrier, const BYTES: usize> Crowded<C, BYTES> {
    /// Starts what answers.
    #[must_use]
    pub fn serve() -> BoxFuture<'static, String> {
        Box::pin(Rpc::<C, Quick>::serve())
    }

    /// Connects both callers.
    #[must_use]
    pub fn connect(address: String) -> BoxFuture<'static, Box<dyn Driver>> {
        Box::pin(async move {
            let service = C::caller().await;
            let asking = RpcClient::connect(&service, &address).await;
            let echoing = RpcClient::connect(&service, &address).await;
            let bytes = Bytes::from(vec![7; BYTES]);
            Box::new(Crowd {
                asking,
                echoing,
                bytes,
            }) as _
        })
    }
}

struct Crowd {
    asking: RpcClient<Quick>,
    echoing: RpcClient<Quick>,
    bytes: Bytes,
}

#[async_trait]
impl Driver for Crowd {
    /// What is taken down is that of the caller that asks.
    async fn run(&self, load: Load, time: Duration) -> Sample {
        let is_over = Arc::new(AtomicBool::new(false));
        let (ended, echoing, bytes) = (is_over.clone(), self.echoing.clone(), self.bytes.clone());
        let echoing = tokio::spawn(async move {
            while !ended.load(Ordering::Relaxed) {
                echoing.echo(bytes.clone()).await;
            }
        });
        let sample = load.run(self.asking.clone(), time).await;
        is_over.store(true, Ordering::Relaxed);
        echoing.await.expect("no echo fails");
        sample
    }
}

impl<C, const BYTES: usize> fmt::Debug for Crowded<C, BYTES> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Crowded").field(&BYTES).finish()
    }
}
