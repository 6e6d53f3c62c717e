//! A gateway, an endpoint that serves it, and a call; all of it in one process.
//!
//! ```text
//! cargo run -p rpc-core --example echo
//! ```
//!
//! With a transport the same gateway is connected by an address such as `tcp://host:6123/echo`, and
//! nothing else changes.

use std::io::{self, Write};
use std::sync::Arc;

use rpc_core::{
    BoxError, Call, RpcEndpoint, RpcResult, RpcService, gateways, rpc_endpoint, rpc_gateway,
};

/// What others may ask of an [`Echo`].
#[rpc_gateway]
pub trait EchoGateway {
    /// Returns a text as it came.
    fn echo(&self, text: String) -> Call<String>;
    /// Returns how many texts came.
    fn count(&self) -> Call<u64>;
}

/// An endpoint: its state is plain data, for all of its code runs on its main thread.
struct Echo {
    count: u64,
}

impl RpcEndpoint for Echo {
    type Gateways = gateways![EchoGateway];
}

#[rpc_endpoint(EchoGateway)]
impl Echo {
    fn echo(&mut self, text: String) -> RpcResult<String> {
        self.count += 1;
        Ok(text)
    }

    fn count(&self) -> RpcResult<u64> {
        Ok(self.count)
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let rpc = RpcService::local();
    let server = rpc.start_server("echo", Echo { count: 0 })?;
    server.start();

    let echo: Arc<dyn EchoGateway> = rpc.connect("echo").await?;
    let (text, count) = (echo.echo("hello".into()), echo.count());
    writeln!(io::stdout(), "{}, {}", text.await?, count.await?)?;
    Ok(rpc.close().await?)
}
