//! Bytes that travel beside a message instead of in it.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::ops::Deref;

use bytes::Bytes;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes that are handed on and not copied: an argument or a result that may be large.
///
/// A message's [`Bytes`] are copied into the frame by the sender, and out of it by the receiver. Those
/// of a payload of 16 KiB or more are written as they lie, behind the message; of a message of 32 KiB or
/// more they are a part of what was read at the other side, if they are at least half of it, and those of
/// this one at least a quarter of those of all. There they keep the whole message's memory, which is at
/// most eight times theirs. They count for the limits of
/// frames and windows as all others do. Within a service a payload is moved like any value; to other
/// formats of serde it is an enum of one variant.
///
/// ```
/// use rpc_core::{Call, Payload, rpc_gateway};
///
/// #[rpc_gateway]
/// pub trait BlobGateway {
///     fn store(&self, name: String, content: Payload) -> Call<u64>;
///     fn load(&self, name: String) -> Call<Payload>;
/// }
///
/// let payload = Payload::from(vec![1, 2, 3]);
/// assert_eq!(payload[1..], [2, 3]);
/// assert_eq!(payload.into_bytes(), [1, 2, 3][..]);
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Payload(Bytes);

impl Payload {
    /// Returns the bytes.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

/// How a payload is written into a message.
#[derive(Serialize, Deserialize)]
enum Written {
    Inline(Bytes),
    /// So many of the bytes that come behind the message.
    Behind(u64),
}

thread_local! {
    /// Whether anything may come behind the message that is being encoded here.
    static COLLECTS: Cell<bool> = const { Cell::new(false) };
    /// Whether there is anything in the other two: nearly no message has anything behind it, and this
    /// costs less to look at.
    static ANY: Cell<bool> = const { Cell::new(false) };
    /// What is to come behind it.
    static BEHIND: RefCell<Vec<Bytes>> = const { RefCell::new(Vec::new()) };
    /// What came behind the message that is being decoded here, as far as it is not taken.
    static CAME: RefCell<Bytes> = const { RefCell::new(Bytes::new()) };
    /// How much it was.
    static ALL: Cell<usize> = const { Cell::new(0) };
}

/// Runs `encode`, and returns what is to come behind the message.
pub(crate) fn collect<R>(encode: impl FnOnce() -> R) -> (R, Vec<Bytes>) {
    COLLECTS.set(true);
    let end = EndOfMessage;
    let result = encode();
    let behind = match ANY.get() {
        true => BEHIND.take(),
        false => Vec::new(),
    };
    drop(end);
    (result, behind)
}

/// Lets nothing come behind other messages, also when a value panics that is encoded or decoded.
struct EndOfMessage;

impl Drop for EndOfMessage {
    fn drop(&mut self) {
        COLLECTS.set(false);
        if ANY.replace(false) {
            BEHIND.take();
            CAME.take();
        }
    }
}

/// Runs `decode` of a message behind which `behind` came.
pub(crate) fn provide<R>(behind: Bytes, decode: impl FnOnce() -> R) -> R {
    ALL.set(behind.len());
    CAME.set(behind);
    ANY.set(true);
    let _end = EndOfMessage;
    decode()
}

/// Returns how much of what came behind the message is not taken.
pub(super) fn left() -> usize {
    match ANY.get() {
        true => CAME.with_borrow(Bytes::len),
        false => 0,
    }
}

impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.len() < BEHIND_BYTES_MIN || !COLLECTS.get() {
            return Written::Inline(self.0.clone()).serialize(serializer);
        }
        BEHIND.with_borrow_mut(|behind| behind.push(self.0.clone()));
        ANY.set(true);
        Written::Behind(self.0.len() as u64).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Written::deserialize(deserializer)? {
            Written::Inline(bytes) => Ok(Self(bytes)),
            Written::Behind(length) => CAME.with_borrow_mut(|came| {
                let length = usize::try_from(length).ok().filter(|it| *it <= came.len());
                let taken = length.map(|it| Self(alone(came.split_to(it))));
                taken.ok_or_else(|| {
                    let left = came.len();
                    D::Error::custom(format_args!("of the bytes behind it {left} are left"))
                })
            }),
        }
    }
}

/// Returns a part of what came, which keeps all of that in memory only if it is much of it.
fn alone(part: Bytes) -> Bytes {
    match part.len() < ALL.get() / PARTS_MAX {
        true => Bytes::copy_from_slice(&part),
        false => part,
    }
}

impl From<Bytes> for Payload {
    fn from(bytes: Bytes) -> Self {
        Self(bytes)
    }
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

impl From<Payload> for Bytes {
    fn from(payload: Payload) -> Self {
        payload.0
    }
}

impl Deref for Payload {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Payload {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes)", self.0.len())
    }
}

/// What is less than such a part of what came is copied.
const PARTS_MAX: usize = 4;
/// Fewer bytes are copied more quickly than they are kept apart.
const BEHIND_BYTES_MIN: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::Payload;
    use crate::codec;
    use crate::frame::{FrameBuffer, FrameCutter, Header, Kind};

    #[test]
    fn a_payload_that_is_little_of_a_message_does_not_keep_it() {
        let sent = [16 << 10, 100 << 10].map(|size| Payload::from(vec![1_u8; size]));
        let mut buffer = FrameBuffer::default();
        buffer
            .put(&Header::new(Kind::Response, 1), &sent, 1 << 20)
            .unwrap();
        let all = Bytes::from(buffer.take().to_vec());
        let mut cutter = FrameCutter::new(1 << 20);
        let mut frame = cutter.cut(&all).unwrap().unwrap();
        frame.owner = Some(&all);
        let received = frame.decode(codec::decode::<[Payload; 2]>).unwrap();
        assert_eq!(received, sent);
        let kept = received
            .each_ref()
            .map(|it| all.as_ptr_range().contains(&it.as_ptr()));
        assert_eq!(kept, [false, true]);
    }
}
