//! Stands between a server and those who connect to it, and disturbs them when a test wants it to.
#![expect(
    clippy::disallowed_types,
    reason = "it is no component: its threads share it"
)]

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

use crate::child::DEADLINE;

/// Hands on what is said over TCP. Its threads end with the test.
pub(crate) struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    held: Receiver<()>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    released: Condvar,
}

#[derive(Default)]
struct State {
    /// Whoever says this to the server is held up, once.
    hold_at: Option<&'static str>,
    is_holding: bool,
    /// The connections of those who were held up.
    streams: Vec<TcpStream>,
}

impl Proxy {
    /// Listens for those who want to talk to `server`.
    pub(crate) fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let (holding, held) = channel();
        let for_thread = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming() {
                for_thread.connect(client.unwrap(), server, &holding);
            }
        });
        Self {
            address,
            shared,
            held,
        }
    }

    /// Returns where it listens.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Holds up the next who says this to the server, before the server hears of it.
    pub(crate) fn hold_at(&self, mark: &'static str) {
        self.shared.with(|state| state.hold_at = Some(mark));
    }

    /// Waits until somebody is held up.
    pub(crate) fn wait_until_held(&self) {
        self.held
            .recv_timeout(DEADLINE)
            .expect("somebody is held up");
    }

    /// Lets who is held up go on.
    pub(crate) fn release(&self) {
        self.shared.with(|state| state.is_holding = false);
        self.shared.released.notify_all();
    }

    /// Cuts the connections of those who were held up; others may be made.
    pub(crate) fn cut(&self) {
        let streams = self.shared.with(|state| std::mem::take(&mut state.streams));
        for stream in streams {
            // It may have ended.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.release();
        self.cut();
    }
}

impl Shared {
    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn connect(self: &Arc<Self>, client: TcpStream, server: SocketAddr, holding: &Sender<()>) {
        // Who finds no server is told by the end of the connection.
        let Ok(server) = TcpStream::connect(server) else {
            return;
        };
        let copy = |stream: &TcpStream| stream.try_clone().unwrap();
        let (from, to, own) = (copy(&server), copy(&client), copy(&client));
        thread::spawn(move || hand_on(from, to, |_| {}));
        let (shared, holding) = (Arc::clone(self), holding.clone());
        thread::spawn(move || hand_on(client, server, |said| shared.hold(said, &own, &holding)));
    }

    /// Waits if this is to be held up. What is looked for is short, and comes in one piece.
    fn hold(&self, said: &[u8], by: &TcpStream, holding: &Sender<()>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let says = |mark: &str| said.windows(mark.len()).any(|it| it == mark.as_bytes());
        if state.hold_at.take_if(|mark| says(mark)).is_none() {
            return;
        }
        state.is_holding = true;
        state.streams.push(by.try_clone().unwrap());
        holding.send(()).unwrap();
        let released = self.released.wait_while(state, |state| state.is_holding);
        drop(released.unwrap_or_else(PoisonError::into_inner));
    }
}

fn hand_on(mut from: TcpStream, mut to: TcpStream, see: impl Fn(&[u8])) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        see(&buffer[..length]);
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    // Both have ended when one has.
    for stream in [from, to] {
        let _ = stream.shutdown(Shutdown::Both);
    }
}
