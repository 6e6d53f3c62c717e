use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{Mutex, Semaphore};
use tokio::time::Instant;

use super::{quic, tcp};
use crate::harness::{Driver, Entry, Load, Sample, cpu_time};

/// Bytes that are sent over TCP and come back as they are, without any frames.
pub const TCP_COPY: Entry = Entry::driven(
    "tcp/copy",
    || {
        Box::pin(tcp::listen(|stream| {
            let (reader, writer) = stream.into_split();
            copy(reader, writer)
        }))
    },
    |address| {
        Box::pin(async move {
            let (reader, writer) = tcp::dial(&address).await.into_split();
            boxed(reader, writer)
        })
    },
);

/// The same on one stream of a QUIC connection.
pub const QUIC_COPY: Entry = Entry::driven(
    "quic/copy",
    || Box::pin(async { quic::listen(copy) }),
    |address| {
        Box::pin(async move {
            let (writer, reader) = quic::dial(&address).await;
            boxed(reader, writer)
        })
    },
);

/// Sends back what comes.
async fn copy(mut reader: impl AsyncRead + Unpin, mut writer: impl AsyncWrite + Unpin) {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match reader.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(read) => {
                if writer.write_all(&buffer[..read]).await.is_err() {
                    return;
                }
            }
        }
    }
}

struct Copier<R, W>(Mutex<(R, W)>);

fn boxed<R, W>(reader: R, writer: W) -> Box<dyn Driver>
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    Box::new(Copier(Mutex::new((reader, writer))))
}

#[async_trait]
impl<R, W> Driver for Copier<R, W>
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    async fn run(&self, load: Load, time: Duration) -> Sample {
        let end = Instant::now() + time;
        self.copy(load, |_| Instant::now() >= end).await
    }

    async fn times(&self, load: Load, calls: u64) -> Duration {
        self.copy(load, |sent| sent >= calls).await.elapsed
    }
}

impl<R, W> Copier<R, W>
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    /// Keeps as many bytes on their way as the calls of the load would.
    async fn copy(&self, load: Load, is_over: impl Fn(u64) -> bool + Send) -> Sample {
        let Load::Echo { bytes, in_flight } = load else {
            panic!("only bytes can be copied");
        };
        let (reader, writer) = &mut *self.0.lock().await;
        let (message, mut buffer) = (vec![7; bytes], vec![0; BUFFER_BYTES]);
        let room = Semaphore::new(in_flight);
        let (cpu, begin) = (cpu_time(), Instant::now());
        let sent = AtomicU64::new(0);
        let sending = async {
            while !is_over(sent.load(Ordering::Relaxed)) {
                room.acquire().await.expect("it is not closed").forget();
                writer.write_all(&message).await.expect("the other reads");
                writer.flush().await.expect("the other reads");
                sent.fetch_add(1, Ordering::Relaxed);
            }
            // What is not whole yet when the turn is over is still read.
            room.close();
        };
        let reading = async {
            let (mut whole, mut part) = (0, 0);
            while !room.is_closed() || whole < sent.load(Ordering::Relaxed) {
                let read = reader.read(&mut buffer).await.expect("the other answers");
                part += read;
                whole += (part / bytes) as u64;
                room.add_permits(part / bytes);
                part %= bytes;
            }
            whole
        };
        let ((), calls) = tokio::join!(sending, reading);
        Sample {
            calls,
            elapsed: begin.elapsed(),
            cpu: cpu_time().saturating_sub(cpu),
            ..Sample::default()
        }
    }
}

const BUFFER_BYTES: usize = 256 << 10;
