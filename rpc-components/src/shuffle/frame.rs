//! What goes over a channel's stream, byte by byte; numbers are little-endian.
//!
//! ```text
//! consumer ▶ producer, once: the request
//! ┌──────────┬───────────┬────────┬─────────┬─────────┬────────┬──────────────┬────────┬────────┐
//! │ rpcdata1 │ job in hex│ vertex │ subtask │ attempt │ output │ subpartition │ credit │ crc32c │
//! │ 8        │ 32        │ 4      │ 4       │ 4       │ 4      │ 4            │ 4      │ 4      │
//! └──────────┴───────────┴────────┴─────────┴─────────┴────────┴──────────────┴────────┴────────┘
//! consumer ▶ producer, again and again: more credit
//! ┌────────┐
//! │ credit │
//! │ 4      │
//! └────────┘
//! producer ▶ consumer, again and again: a frame
//! ┌────────┬──────┬────────────────────────┬──────┐
//! │ length │ kind │ crc32c of kind and body│ body │
//! │ 4      │ 1    │ 4                      │      │
//! └────────┴──────┴────────────────────────┴──────┘
//! ```
//! A frame of records uses up one credit for each 32 KiB of its body that are begun, or all that the
//! request has granted if that is less; the others need none, and are the last.

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use crc_fast::{CrcAlgorithm, Digest};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::{ChannelError, Segment, ServeError};
use crate::id::{AttemptId, JobId, PartitionId, VertexId};

/// What a consumer asks of a producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) partition: PartitionId,
    pub(super) subpartition: u32,
    pub(super) credit: u32,
}

impl Request {
    /// Lays the request out.
    pub(super) fn to_bytes(self) -> [u8; REQUEST_BYTES] {
        let AttemptId {
            job,
            vertex,
            subtask,
            attempt,
        } = self.partition.producer;
        let numbers = [
            vertex.0,
            subtask,
            attempt,
            self.partition.output,
            self.subpartition,
            self.credit,
        ];
        let mut bytes = Vec::with_capacity(REQUEST_BYTES);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(job.to_string().as_bytes());
        numbers
            .iter()
            .for_each(|number| bytes.extend_from_slice(&number.to_le_bytes()));
        bytes.extend_from_slice(&crc(&[&bytes]).to_le_bytes());
        let mut request = [0; REQUEST_BYTES];
        request.copy_from_slice(&bytes);
        request
    }

    /// Parses a request, of which nothing can be trusted.
    pub(super) fn from_bytes(bytes: &[u8; REQUEST_BYTES]) -> Result<Self, ServeError> {
        let refuse = |reason| ServeError::Request { reason };
        let mut rest = bytes.as_slice();
        let mut magic = [0; MAGIC.len()];
        rest.copy_to_slice(&mut magic);
        if magic != *MAGIC {
            return Err(refuse("does not begin as one"));
        }
        let mut job = [0; JOB_BYTES];
        rest.copy_to_slice(&mut job);
        let [
            vertex,
            subtask,
            attempt,
            output,
            subpartition,
            credit,
            stated,
        ] = std::array::from_fn(|_| rest.get_u32_le());
        if stated != crc(&[&bytes[..REQUEST_BYTES - CRC_BYTES]]) {
            return Err(refuse("is damaged"));
        }
        let job = str::from_utf8(&job)
            .ok()
            .and_then(|job| job.parse::<JobId>().ok());
        let producer = AttemptId {
            job: job.ok_or_else(|| refuse("names no job"))?,
            vertex: VertexId(vertex),
            subtask,
            attempt,
        };
        Ok(Self {
            partition: PartitionId { producer, output },
            subpartition,
            credit,
        })
    }
}

/// What a producer sends.
#[derive(Clone, Debug)]
pub(super) enum Frame {
    Failed(ChannelError),
    Finished,
    Segment(Segment),
}

/// Writes a frame, and sends it off.
pub(super) async fn write_frame(
    writer: &mut (impl AsyncWrite + Unpin),
    frame: Frame,
) -> io::Result<()> {
    let (kind, body) = match frame {
        Frame::Segment(Segment::Records(records)) => (KIND_RECORDS, records),
        Frame::Finished => (KIND_FINISHED, Bytes::new()),
        Frame::Failed(error) => failure(&error),
    };
    let length = u32::try_from(body.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let crc = crc(&[&[kind], &body]);
    let mut header = [kind; HEADER_BYTES];
    header[..4].copy_from_slice(&length.to_le_bytes());
    header[5..].copy_from_slice(&crc.to_le_bytes());
    writer
        .write_all_buf(&mut Buf::chain(header.as_slice(), body))
        .await?;
    writer.flush().await
}

/// Reads a frame.
///
/// Memory is taken as the bytes come in, and not for a length that is only claimed.
pub(super) async fn read_frame(
    reader: &mut (impl AsyncRead + Unpin),
    body_bytes_max: u32,
) -> Result<Frame, ChannelError> {
    let mut header = [0; HEADER_BYTES];
    reader.read_exact(&mut header).await.map_err(broken)?;
    let mut rest = header.as_slice();
    let (length, kind, stated) = (rest.get_u32_le(), rest.get_u8(), rest.get_u32_le());
    if length > body_bytes_max {
        return Err(protocol(format!(
            "sent a frame of {length} bytes, more than {body_bytes_max}"
        )));
    }
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let mut body = BytesMut::new();
    while body.len() < length {
        let missing = length - body.len();
        body.reserve(missing.min(BODY_BYTES_STEP));
        let missing = missing.try_into().unwrap_or(u64::MAX);
        if reader
            .take(missing)
            .read_buf(&mut body)
            .await
            .map_err(broken)?
            == 0
        {
            return Err(broken(io::ErrorKind::UnexpectedEof.into()));
        }
    }
    if stated != crc(&[&[kind], &body]) {
        return Err(protocol("sent a damaged frame".into()));
    }
    frame(kind, body.freeze())
}

/// The CRC-32C of what lies one behind the other.
pub(super) fn crc(parts: &[&[u8]]) -> u32 {
    let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
    parts.iter().for_each(|part| digest.update(part));
    let [first, second, third, fourth, ..] = digest.finalize().to_le_bytes();
    u32::from_le_bytes([first, second, third, fourth])
}

fn frame(kind: u8, body: Bytes) -> Result<Frame, ChannelError> {
    match kind {
        KIND_RECORDS => Ok(Frame::Segment(Segment::Records(body))),
        KIND_FINISHED => Ok(Frame::Finished),
        KIND_NOT_FOUND => Ok(Frame::Failed(ChannelError::NotFound)),
        KIND_RELEASED => Ok(Frame::Failed(ChannelError::Released)),
        KIND_TAKEN => Ok(Frame::Failed(ChannelError::Taken)),
        KIND_FAILED => {
            let reason = String::from_utf8_lossy(&body).into_owned();
            Ok(Frame::Failed(ChannelError::ProducerFailed { reason }))
        }
        kind => Err(protocol(format!("sent a frame of the unknown kind {kind}"))),
    }
}

/// Says over the wire how a channel failed.
fn failure(error: &ChannelError) -> (u8, Bytes) {
    match error {
        ChannelError::NotFound => (KIND_NOT_FOUND, Bytes::new()),
        ChannelError::Released => (KIND_RELEASED, Bytes::new()),
        ChannelError::Taken => (KIND_TAKEN, Bytes::new()),
        ChannelError::ProducerFailed { reason } => (KIND_FAILED, Bytes::from(reason.clone())),
        error => (KIND_FAILED, Bytes::from(error.to_string())),
    }
}

/// Makes the error of a stream that broke.
pub(super) fn broken(error: io::Error) -> ChannelError {
    ChannelError::Broken(error.into())
}

const fn protocol(reason: String) -> ChannelError {
    ChannelError::Protocol { reason }
}

const MAGIC: &[u8; 8] = b"rpcdata1";
const JOB_BYTES: usize = 32;
const CRC_BYTES: usize = 4;
/// How long a request is.
pub(super) const REQUEST_BYTES: usize = MAGIC.len() + JOB_BYTES + 6 * 4 + CRC_BYTES;
const HEADER_BYTES: usize = 9;
/// How much of a body one credit is for.
pub(super) const CREDIT_BYTES: usize = 32 << 10;
/// How much memory is taken at once for a body; an ordinary one fits.
const BODY_BYTES_STEP: usize = 64 << 10;

const KIND_RECORDS: u8 = 0;
const KIND_FINISHED: u8 = 1;
const KIND_FAILED: u8 = 2;
const KIND_NOT_FOUND: u8 = 3;
const KIND_RELEASED: u8 = 4;
const KIND_TAKEN: u8 = 5;
