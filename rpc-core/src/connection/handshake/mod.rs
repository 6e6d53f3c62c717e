//! The first bytes of a stream, before anything of a peer is trusted.
//!
//! Both messages have a fixed layout that is parsed by hand; nothing unauthenticated reaches the
//! codec. All numbers are little-endian.
//!
//! ```text
//! Hello                                        Welcome
//!  0  magic "arpc"                              0  magic "arpc"
//!  4  purpose                       1           4  refusal, 0 if welcome            1
//!  5  codec                         1           5  codec                            1
//!  6  version, least                2           6  version (least, in a refusal)    2
//!  8  version, greatest             2           8  version (greatest, in a refusal) 2
//! 10  length of the name            2          10  zero                             2
//! 12  frame limit                   4          12  frame limit                      4
//! 16  window, in bytes              4          16  window, in bytes                 4
//! 20  calls at once                 4          20  calls at once                    4
//! 24  capabilities                  8          24  capabilities                     8
//! 32  service id                   16          32  service id                      16
//! 48  cluster id                   16          48  cluster id                      16
//! 64  link                          8          64  zero                              8
//! 72  number of the dialling        8          72  zero                              8
//! 80  name of the channel, ≤ 512
//! ```
//!
//! The purpose is 1 for calls, 2 for a channel, 3 for a bulk lane.
//!
//! A service dials again when it has lost a connection that the other side may still believe in. The
//! link says by which address it dials, and the number grows with each dialling: of two connections
//! of a link the accepting side keeps the newer, so that nothing of the older comes after it. A bulk
//! lane joins the connection that has its link and its number.
//!
//! The dialling side sends `Hello`, the other answers `Welcome`, and only then may the dialling side
//! send more: in TLS 1.3 it believes to be connected before its certificate was judged.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::address::NAME_BYTES_MAX;
use crate::codec::CODEC_ID;
use crate::config::RpcConfig;
use crate::transport::Stream;

/// What the dialling side says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hello {
    pub(crate) purpose: Purpose,
    pub(crate) codec: u8,
    pub(crate) versions: (u16, u16),
    pub(crate) frame_bytes_max: u32,
    /// How many bytes of messages the accepting side holds that its endpoints have not begun.
    pub(crate) window_bytes: u32,
    /// How many calls the accepting side holds that it has not answered.
    pub(crate) calls_max: u32,
    pub(crate) capabilities: u64,
    pub(crate) service: u128,
    pub(crate) cluster: u128,
    pub(crate) link: Link,
}

/// Which of a service's connections it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Link {
    /// The address that was dialled, hashed.
    pub(crate) address: u64,
    /// Greater than that of every connection that was dialled before.
    pub(crate) number: u64,
}

/// What a stream is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Calls to endpoints.
    Calls,
    /// Bytes, for whoever accepts the channels of this name.
    Channel(String),
    /// Large messages of calls, which come by another stream.
    Bulk,
}

/// What the accepting side says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Welcome {
    pub(crate) frame_bytes_max: u32,
    pub(crate) window_bytes: u32,
    pub(crate) calls_max: u32,
    pub(crate) service: u128,
}

/// Why the accepting side wants nothing to do with the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("it ends")]
    Closing,
    #[error("it belongs to another cluster")]
    Cluster,
    #[error("it does not know this codec")]
    Codec,
    #[error("it has no channel of this name")]
    NoChannel,
    #[error("it has no such connection to join")]
    NoConnection,
    #[error("a newer connection has taken the place of this one")]
    Superseded,
    #[error("it has too many connections")]
    TooMany,
    #[error("it speaks versions {0} to {1} of the protocol")]
    Version(u16, u16),
}

/// Why a handshake came to nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum HandshakeError {
    #[error("the peer closed the connection before it said who it is")]
    Closed(#[source] io::Error),
    #[error("the peer says that it is this very service, which has heard nothing of that")]
    Impostor,
    #[error(
        "the peer does not speak this protocol: it began with {found:02x?}{}",
        speaks(found)
    )]
    Magic { found: [u8; 4] },
    #[error("the peer's handshake is malformed: {0}")]
    Malformed(&'static str),
    #[error("the peer refuses: {0}")]
    Refused(Refusal),
}

impl From<io::Error> for HandshakeError {
    fn from(error: io::Error) -> Self {
        Self::Closed(error)
    }
}

/// Says hello, and waits to be welcome.
pub(crate) async fn dial(stream: &mut Stream, hello: &Hello) -> Result<Welcome, HandshakeError> {
    let sent = send(stream, &hello.to_bytes()).await;
    let mut bytes = [0; FIXED_BYTES];
    // The magic first: another protocol may say less, and then why it wants nothing to do with us,
    // also if what we said did not get through to it.
    let heard = stream.reader.read_exact(&mut bytes[..4]).await;
    if let Err(error) = heard {
        return Err(sent.err().unwrap_or(error).into());
    }
    magic(&bytes)?;
    stream.reader.read_exact(&mut bytes[4..]).await?;
    Welcome::from_bytes(&bytes)
}

async fn send(stream: &mut Stream, bytes: &[u8]) -> io::Result<()> {
    stream.writer.write_all(bytes).await?;
    stream.writer.flush().await
}

/// Waits for a hello, and answers what `judge` says of it.
pub(crate) async fn greet(
    stream: &mut Stream,
    own: &Hello,
    judge: impl FnOnce(&Hello) -> Result<(), Refusal>,
) -> Result<Hello, HandshakeError> {
    let mut bytes = [0; FIXED_BYTES];
    // The magic first: whoever speaks another protocol is told so by being cut off at once.
    stream.reader.read_exact(&mut bytes[..4]).await?;
    magic(&bytes)?;
    stream.reader.read_exact(&mut bytes[4..]).await?;
    let mut hello = Hello::from_bytes(&bytes)?;
    if let Purpose::Channel(name) = &mut hello.purpose {
        let length = usize::from(u16_at(&bytes, 10));
        if length > NAME_BYTES_MAX {
            return Err(HandshakeError::Malformed("the channel's name is too long"));
        }
        let mut text = vec![0; length];
        stream.reader.read_exact(&mut text).await?;
        *name = String::from_utf8(text)
            .map_err(|_| HandshakeError::Malformed("the channel's name is not UTF-8"))?;
    }
    let verdict = hello.fits(own).and_then(|()| judge(&hello));
    send(stream, &own.answer(verdict)).await?;
    match verdict {
        Ok(()) => Ok(hello),
        Err(refusal) => {
            stream.writer.shutdown().await?;
            Err(HandshakeError::Refused(refusal))
        }
    }
}

impl Hello {
    pub(crate) fn new(purpose: Purpose, config: &RpcConfig, service: u128, cluster: u128) -> Self {
        let number = |limit: usize| u32::try_from(limit).unwrap_or(u32::MAX);
        Self {
            purpose,
            codec: CODEC_ID,
            versions: (VERSION, VERSION),
            frame_bytes_max: number(config.frame_bytes_max),
            window_bytes: number(config.window_bytes),
            calls_max: number(config.calls_max),
            capabilities: 0,
            service,
            cluster,
            link: Link::default(),
        }
    }

    /// Says which of the service's connections it is.
    pub(crate) fn by(mut self, link: Link) -> Self {
        self.link = link;
        self
    }

    fn to_bytes(&self) -> Vec<u8> {
        let (purpose, name) = match &self.purpose {
            Purpose::Calls => (1, ""),
            Purpose::Channel(name) => (2, name.as_str()),
            Purpose::Bulk => (3, ""),
        };
        let length = u16::try_from(name.len()).expect("an address limits its endpoint's name");
        let mut bytes = self.fixed(purpose, self.versions, length).to_vec();
        bytes[64..72].copy_from_slice(&self.link.address.to_le_bytes());
        bytes[72..80].copy_from_slice(&self.link.number.to_le_bytes());
        bytes.extend_from_slice(name.as_bytes());
        bytes
    }

    fn answer(&self, verdict: Result<(), Refusal>) -> [u8; FIXED_BYTES] {
        let code = match verdict {
            Ok(()) => 0,
            Err(Refusal::Cluster) => 1,
            Err(Refusal::Codec) => 2,
            Err(Refusal::NoChannel) => 3,
            Err(Refusal::TooMany) => 4,
            Err(Refusal::Version(..)) => 5,
            Err(Refusal::Closing) => 6,
            Err(Refusal::Superseded) => 7,
            Err(Refusal::NoConnection) => 8,
        };
        self.fixed(code, self.versions, 0)
    }

    fn fixed(&self, first: u8, versions: (u16, u16), length: u16) -> [u8; FIXED_BYTES] {
        let mut bytes = [0; FIXED_BYTES];
        bytes[..4].copy_from_slice(MAGIC);
        bytes[4] = first;
        bytes[5] = self.codec;
        bytes[6..8].copy_from_slice(&versions.0.to_le_bytes());
        bytes[8..10].copy_from_slice(&versions.1.to_le_bytes());
        bytes[10..12].copy_from_slice(&length.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.frame_bytes_max.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.window_bytes.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.calls_max.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.capabilities.to_le_bytes());
        bytes[32..48].copy_from_slice(&self.service.to_le_bytes());
        bytes[48..64].copy_from_slice(&self.cluster.to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8; FIXED_BYTES]) -> Result<Self, HandshakeError> {
        magic(bytes)?;
        let purpose = match bytes[4] {
            1 => Purpose::Calls,
            2 => Purpose::Channel(String::new()),
            3 => Purpose::Bulk,
            _ => return Err(HandshakeError::Malformed("unknown purpose")),
        };
        Ok(Self {
            purpose,
            codec: bytes[5],
            versions: (u16_at(bytes, 6), u16_at(bytes, 8)),
            frame_bytes_max: u32_at(bytes, 12),
            window_bytes: u32_at(bytes, 16),
            calls_max: u32_at(bytes, 20),
            capabilities: u64_at(bytes, 24),
            service: u128_at(bytes, 32),
            cluster: u128_at(bytes, 48),
            link: Link {
                address: u64_at(bytes, 64),
                number: u64_at(bytes, 72),
            },
        })
    }

    /// Tells whether the sides can talk to each other.
    const fn fits(&self, own: &Self) -> Result<(), Refusal> {
        let (least, greatest) = own.versions;
        if self.versions.0 > greatest || self.versions.1 < least {
            return Err(Refusal::Version(least, greatest));
        }
        if self.codec != own.codec {
            return Err(Refusal::Codec);
        }
        if self.cluster != own.cluster {
            return Err(Refusal::Cluster);
        }
        Ok(())
    }
}

impl Welcome {
    fn from_bytes(bytes: &[u8; FIXED_BYTES]) -> Result<Self, HandshakeError> {
        magic(bytes)?;
        let refusal = match bytes[4] {
            0 => None,
            1 => Some(Refusal::Cluster),
            2 => Some(Refusal::Codec),
            3 => Some(Refusal::NoChannel),
            4 => Some(Refusal::TooMany),
            5 => Some(Refusal::Version(u16_at(bytes, 6), u16_at(bytes, 8))),
            6 => Some(Refusal::Closing),
            7 => Some(Refusal::Superseded),
            8 => Some(Refusal::NoConnection),
            _ => return Err(HandshakeError::Malformed("unknown refusal")),
        };
        match refusal {
            Some(refusal) => Err(HandshakeError::Refused(refusal)),
            None => Ok(Self {
                frame_bytes_max: u32_at(bytes, 12),
                window_bytes: u32_at(bytes, 16),
                calls_max: u32_at(bytes, 20),
                service: u128_at(bytes, 32),
            }),
        }
    }
}

fn magic(bytes: &[u8; FIXED_BYTES]) -> Result<(), HandshakeError> {
    let found = at(bytes, 0);
    match found == *MAGIC {
        true => Ok(()),
        false => Err(HandshakeError::Magic { found }),
    }
}

/// What is likely spoken by a peer that begins so.
const fn speaks(magic: &[u8; 4]) -> &'static str {
    match magic {
        [0x15 | 0x16, 3, ..] => ", which is TLS, and this side has no certificates",
        b"GET " | b"HEAD" | b"POST" | b"PRI " | b"HTTP" => ", which is HTTP",
        b"SSH-" => ", which is SSH",
        _ => "",
    }
}

fn at<const N: usize>(bytes: &[u8; FIXED_BYTES], start: usize) -> [u8; N] {
    std::array::from_fn(|index| bytes[start + index])
}

fn u16_at(bytes: &[u8; FIXED_BYTES], start: usize) -> u16 {
    u16::from_le_bytes(at(bytes, start))
}

fn u32_at(bytes: &[u8; FIXED_BYTES], start: usize) -> u32 {
    u32::from_le_bytes(at(bytes, start))
}

fn u64_at(bytes: &[u8; FIXED_BYTES], start: usize) -> u64 {
    u64::from_le_bytes(at(bytes, start))
}

fn u128_at(bytes: &[u8; FIXED_BYTES], start: usize) -> u128 {
    u128::from_le_bytes(at(bytes, start))
}

const MAGIC: &[u8; 4] = b"arpc";
/// The only version there is so far.
const VERSION: u16 = 1;
/// The part of both messages that is always there.
const FIXED_BYTES: usize = 80;

#[cfg(test)]
mod tests;
