use std::convert::Infallible;
use std::fmt;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::codegen::{BoxFuture, Context, Poll, Service, http};
use tonic::server::{NamedService, UnaryService};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

use super::LIMIT;
use crate::harness::{Client, Subject};

/// A service of tonic over TCP. What `tonic-build` would write stands here by hand.
#[derive(Debug)]
pub struct Tonic;

/// Asks it.
#[derive(Clone)]
pub struct TonicClient(tonic::client::Grpc<Channel>);

#[derive(Clone, PartialEq, prost::Message)]
struct Number {
    #[prost(uint64, tag = "1")]
    number: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Payload {
    #[prost(bytes = "bytes", tag = "1")]
    bytes: Bytes,
}

#[derive(Clone, Default)]
struct Adder(Arc<AtomicU64>);

impl UnaryService<Number> for Adder {
    type Response = Number;
    type Future = Ready<Result<Response<Number>, Status>>;

    fn call(&mut self, request: Request<Number>) -> Self::Future {
        let number = request.into_inner().number;
        let before = self.0.fetch_add(number, Ordering::Relaxed);
        let number = before.wrapping_add(number);
        ready(Ok(Response::new(Number { number })))
    }
}

impl UnaryService<Payload> for Adder {
    type Response = Payload;
    type Future = Ready<Result<Response<Payload>, Status>>;

    fn call(&mut self, request: Request<Payload>) -> Self::Future {
        ready(Ok(Response::new(request.into_inner())))
    }
}

impl NamedService for Adder {
    const NAME: &'static str = "benches.Adder";
}

impl Service<http::Request<Body>> for Adder {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let adder = self.clone();
        match request.uri().path() {
            ADD => Box::pin(async move {
                let mut grpc = tonic::server::Grpc::new(ProstCodec::<Number, Number>::default());
                Ok(grpc.unary(adder, request).await)
            }),
            ECHO => Box::pin(async move {
                let mut grpc = tonic::server::Grpc::new(ProstCodec::<Payload, Payload>::default());
                Ok(grpc.unary(adder, request).await)
            }),
            path => panic!("the client calls {path}"),
        }
    }
}

impl Subject for Tonic {
    type Client = TonicClient;

    async fn serve() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("there is a free port");
        let address = listener.local_addr().expect("it is bound");
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let server = Server::builder()
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(2 * WINDOW_BYTES)
            .max_concurrent_streams(LIMIT as u32)
            .add_service(Adder::default());
        tokio::spawn(server.serve_with_incoming(incoming));
        format!("http://{address}")
    }

    async fn connect(address: String) -> TonicClient {
        let endpoint = Endpoint::from_shared(address)
            .expect("it is what the server said")
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(2 * WINDOW_BYTES)
            .buffer_size(LIMIT)
            .tcp_nodelay(true);
        let channel = endpoint.connect().await;
        TonicClient(tonic::client::Grpc::new(channel.expect("it listens")))
    }
}

impl TonicClient {
    async fn call<M: prost::Message + Default + 'static>(&self, path: &'static str, body: M) -> M {
        let mut grpc = self.0.clone();
        grpc.ready().await.expect("the connection holds");
        let path = PathAndQuery::from_static(path);
        let answer = grpc.unary(Request::new(body), path, ProstCodec::default());
        answer.await.expect("the service answers").into_inner()
    }
}

impl Client for TonicClient {
    fn ask(&self, number: u64) -> impl Future<Output = u64> + Send + Unpin {
        Box::pin(async move { self.call(ADD, Number { number }).await.number })
    }

    fn echo(&self, bytes: Bytes) -> impl Future<Output = usize> + Send + Unpin {
        Box::pin(async move { self.call(ECHO, Payload { bytes }).await.bytes.len() })
    }
}

impl fmt::Debug for TonicClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TonicClient").finish_non_exhaustive()
    }
}

const ADD: &str = "/benches.Adder/Add";
const ECHO: &str = "/benches.Adder/Echo";
const WINDOW_BYTES: u32 = 16 << 20;
