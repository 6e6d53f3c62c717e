//! A transport that a user writes passes the conformance suite like those that come with it.
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod names;
mod pipes;
mod versions;

use std::sync::atomic::{AtomicU32, Ordering};

use rpc_core::{RpcService, RpcServiceBuilder};

use crate::pipes::Pipes;

rpc_core::conformance!(pipes);

async fn pipes(builder: RpcServiceBuilder) -> RpcService {
    builder.transport(pipe()).build().await.unwrap()
}

/// Makes a transport under a name that no other has.
fn pipe() -> Pipes {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    Pipes {
        scheme: "pipe",
        name: format!("pipe-{}", NEXT.fetch_add(1, Ordering::Relaxed)),
        advertised: None,
    }
}
