use tokio::net::{TcpListener, TcpStream};

/// Listens on a free port; each connection gets a task of `answer`. Returns the address.
pub(crate) async fn listen<F>(answer: impl Fn(TcpStream) -> F + Send + 'static) -> String
where
    F: Future<Output: Send> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("there is a free port");
    let address = listener.local_addr().expect("it is bound").to_string();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.expect("it listens");
            stream.set_nodelay(true).expect("it is a TCP stream");
            tokio::spawn(answer(stream));
        }
    });
    address
}

pub(crate) async fn dial(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).await.expect("it listens");
    stream.set_nodelay(true).expect("it is a TCP stream");
    stream
}
