use tokio::net::{TcpListener, TcpStream};

use super::stream::{Pipelined, answer};

/// A TCP connection to oneself: the floor of the TCP transport.
pub async fn tcp() -> Pipelined<TcpStream> {
    let (ours, theirs) = connected().await;
    tokio::spawn(answer(theirs));
    Pipelined::new(ours)
}

pub(super) async fn connected() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("there is a free port");
    let address = listener.local_addr().expect("it is bound");
    let (ours, theirs) = tokio::join!(TcpStream::connect(address), listener.accept());
    let (ours, (theirs, _)) = (ours.expect("it listens"), theirs.expect("it was dialled"));
    for stream in [&ours, &theirs] {
        stream.set_nodelay(true).expect("it is a TCP stream");
    }
    (ours, theirs)
}
