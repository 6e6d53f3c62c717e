//! The endpoint that the suite talks to.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use tokio::sync::Notify;

use crate::{
    AppError, BoxError, Call, Context, Failure, MainThread, ReplyTo, RpcEndpoint, RpcResult,
    gateways, rpc_endpoint, rpc_gateway,
};

/// What the suite asks of a [`Probe`].
#[rpc_gateway]
pub trait ProbeGateway {
    /// Adds to a sum, and returns it.
    fn add(&self, number: u64) -> Call<u64>;
    /// Adds to the sum one-way.
    fn tell(&self, number: u64);
    /// Returns all numbers that were added, in order.
    fn numbers(&self) -> Call<Vec<u64>>;
    /// Returns bytes as they came.
    fn echo(&self, bytes: Vec<u8>) -> Call<Vec<u8>>;
    /// Returns this many bytes.
    fn make_bytes(&self, count: u64) -> Call<Vec<u8>>;
    /// Returns what it gets, which may be nothing.
    fn maybe(&self, text: Option<String>) -> Call<Option<String>>;
    /// Returns a value as it came, which may not be encoded or decoded.
    fn echo_stubborn(&self, value: Stubborn) -> Call<Stubborn>;
    /// As [`echo_stubborn`](Self::echo_stubborn), but within one service never encoded.
    #[rpc(local)]
    fn echo_local(&self, value: Stubborn) -> Call<Stubborn>;
    /// Returns a chain with so many more links.
    fn lengthen(&self, chain: Chain, links: u64) -> Call<Chain>;
    /// Makes such a value, and returns it.
    fn make_stubborn(&self, encodes: bool, decodes: bool) -> Call<Stubborn>;
    /// Refuses.
    fn refuse(&self, why: String) -> Call<(), ProbeError>;
    /// Refuses in so many words that they may not fit in a frame.
    fn refuse_at_length(&self, count: u64) -> Call<(), ProbeError>;
    /// Refuses with what cannot be encoded.
    fn refuse_unsayably(&self) -> Call<(), ProbeError>;
    /// Refuses from elsewhere, when the handler has long returned.
    fn refuse_later(&self, why: String) -> Call<(), ProbeError>;
    /// Fails outside its contract, with a cause.
    fn fail(&self, what: String, why: String) -> Call<()>;
    /// Panics.
    fn panic(&self) -> Call<()>;
    /// Never answers by itself; the probe's signals tell when it begins and when it is dropped.
    fn hang(&self) -> Call<()>;
    /// As [`hang`](Self::hang), and keeps bytes meanwhile.
    fn hold(&self, bytes: Vec<u8>) -> Call<()>;
    /// Answers when [`release`](Self::release) is called.
    fn wait(&self) -> Call<u64>;
    /// Answers those who wait.
    fn release(&self, answer: u64);
    /// Connects to another probe, and asks it to add.
    fn relay(&self, address: String, number: u64) -> Call<u64>;
    /// Connects to another probe, and waits there for ever, or as long as the caller waits.
    fn relay_hang(&self, address: String) -> Call<()>;
}

/// What the suite asks of a [`Probe`] that follows a leader.
#[rpc_gateway(fenced)]
pub trait FencedProbeGateway {
    /// Adds to the sum, and returns it.
    fn fenced_add(&self, number: u64) -> Call<u64>;
    /// Adds to the sum one-way.
    fn fenced_tell(&self, number: u64);
}

/// How a [`Probe`] refuses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// As it was asked to.
    #[error("refused: {why}")]
    Refused {
        /// The caller's words.
        why: String,
    },
    /// In a way that cannot be told.
    #[error("cannot be told")]
    Unsayable(Stubborn),
}

impl AppError for ProbeError {}

/// A value that refuses to be encoded, or to be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stubborn {
    /// Whether it can be encoded.
    pub encodes: bool,
    /// Whether it can be decoded.
    pub decodes: bool,
}

impl Stubborn {
    /// Makes such a value.
    #[must_use]
    pub const fn new(encodes: bool, decodes: bool) -> Self {
        Self { encodes, decodes }
    }
}

impl Serialize for Stubborn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.encodes {
            true => self.decodes.serialize(serializer),
            false => Err(ser::Error::custom("it does not want to be encoded")),
        }
    }
}

impl<'de> Deserialize<'de> for Stubborn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match bool::deserialize(deserializer)? {
            true => Ok(Self::new(true, true)),
            false => Err(de::Error::custom("it does not want to be decoded")),
        }
    }
}

/// A value that is nested as deep as it has links.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Chain(Option<Box<Self>>);

impl Chain {
    /// Adds so many links.
    #[must_use]
    pub fn lengthened(self, links: u64) -> Self {
        (0..links).fold(self, |chain, _| Self(Some(Box::new(chain))))
    }

    /// Returns how many links there are.
    #[must_use]
    pub fn links(&self) -> u64 {
        let mut links = 0;
        let mut chain = self;
        while let Some(next) = &chain.0 {
            links += 1;
            chain = next;
        }
        links
    }
}

/// One link after the other: each within the one before would take the more stack the longer it is.
impl Drop for Chain {
    fn drop(&mut self) {
        let mut next = self.0.take();
        while let Some(mut chain) = next {
            next = chain.0.take();
        }
    }
}

/// An endpoint that does what a test asks of it.
#[derive(Debug, Default)]
pub struct Probe {
    numbers: Vec<u64>,
    waiting: Vec<ReplyTo<u64>>,
    signals: Signals,
}

/// What a [`Probe`] tells its test.
#[derive(Clone, Debug, Default)]
pub struct Signals {
    /// A call of `hang` has begun.
    pub hanging: Arc<Notify>,
    /// A call of `hang` was dropped.
    pub dropped: Arc<Notify>,
    /// `on_stop` has run.
    pub stopped: Arc<Notify>,
}

impl Probe {
    /// Makes a probe, and what it tells.
    #[must_use]
    pub fn new() -> (Self, Signals) {
        let probe = Self::default();
        let signals = probe.signals.clone();
        (probe, signals)
    }

    fn sum(&mut self, number: u64) -> u64 {
        self.numbers.push(number);
        self.numbers.iter().sum()
    }
}

impl RpcEndpoint for Probe {
    type Gateways = gateways![ProbeGateway, FencedProbeGateway];

    async fn on_stop(main: MainThread<'_, Self>) -> Result<(), BoxError> {
        main.run(|probe, _| probe.signals.stopped.notify_one());
        Ok(())
    }
}

#[rpc_endpoint(ProbeGateway)]
impl Probe {
    fn add(&mut self, number: u64) -> RpcResult<u64> {
        Ok(self.sum(number))
    }

    fn tell(&mut self, number: u64) {
        self.sum(number);
    }

    fn numbers(&self) -> RpcResult<Vec<u64>> {
        Ok(self.numbers.clone())
    }

    fn echo(&self, bytes: Vec<u8>) -> RpcResult<Vec<u8>> {
        Ok(bytes)
    }

    fn make_bytes(&self, count: u64) -> RpcResult<Vec<u8>> {
        Ok(vec![7; usize::try_from(count).unwrap_or(usize::MAX)])
    }

    fn maybe(&self, text: Option<String>) -> RpcResult<Option<String>> {
        Ok(text)
    }

    fn echo_stubborn(&mut self, value: Stubborn) -> RpcResult<Stubborn> {
        self.numbers.push(0);
        Ok(value)
    }

    fn echo_local(&self, value: Stubborn) -> RpcResult<Stubborn> {
        Ok(value)
    }

    fn lengthen(&self, chain: Chain, links: u64) -> RpcResult<Chain> {
        Ok(chain.lengthened(links))
    }

    fn make_stubborn(&self, encodes: bool, decodes: bool) -> RpcResult<Stubborn> {
        Ok(Stubborn::new(encodes, decodes))
    }

    fn refuse(&self, why: String) -> RpcResult<(), ProbeError> {
        Err(ProbeError::Refused { why })?
    }

    fn refuse_at_length(&self, count: u64) -> RpcResult<(), ProbeError> {
        let why = "x".repeat(usize::try_from(count).unwrap_or(usize::MAX));
        Err(ProbeError::Refused { why })?
    }

    fn refuse_unsayably(&self) -> RpcResult<(), ProbeError> {
        Err(ProbeError::Unsayable(Stubborn::new(false, false)))?
    }

    fn refuse_later(&self, cx: &mut Context<Self>, why: String, reply: ReplyTo<(), ProbeError>) {
        if let Some(service) = cx.service() {
            service.spawn(async move { reply.answer(Err(ProbeError::Refused { why }.into())) });
        }
    }

    fn fail(&self, what: String, why: String) -> RpcResult<()> {
        Err(Failure::from_texts([what, why]))?
    }

    fn panic(&self) -> RpcResult<()> {
        panic!("as it was asked to");
    }

    async fn hang(main: MainThread<'_, Self>) -> RpcResult<()> {
        let signals = main.run(|probe, _| probe.signals.clone());
        let _dropped = NotifyOnDrop(signals.dropped);
        signals.hanging.notify_one();
        std::future::pending().await
    }

    async fn hold(main: MainThread<'_, Self>, bytes: Vec<u8>) -> RpcResult<()> {
        let signals = main.run(|probe, _| probe.signals.clone());
        let _dropped = NotifyOnDrop(signals.dropped);
        signals.hanging.notify_one();
        std::future::pending::<()>().await;
        drop(bytes);
        Ok(())
    }

    fn wait(&mut self, reply: ReplyTo<u64>) {
        self.waiting.push(reply);
        self.signals.hanging.notify_one();
    }

    fn release(&mut self, answer: u64) {
        for reply in self.waiting.drain(..) {
            reply.answer(Ok(answer));
        }
    }

    async fn relay(main: MainThread<'_, Self>, address: String, number: u64) -> RpcResult<u64> {
        other(main, &address).await?.add(number).await
    }

    async fn relay_hang(main: MainThread<'_, Self>, address: String) -> RpcResult<()> {
        other(main, &address).await?.hang().without_timeout().await
    }
}

#[rpc_endpoint(FencedProbeGateway)]
impl Probe {
    fn fenced_add(&mut self, _cx: &mut Context<Self>, number: u64) -> RpcResult<u64> {
        Ok(self.sum(number))
    }

    fn fenced_tell(&mut self, number: u64) {
        self.sum(number);
    }
}

async fn other(main: MainThread<'_, Probe>, address: &str) -> RpcResult<Arc<dyn ProbeGateway>> {
    let service = main.run(|_, cx| cx.service());
    let service = service.ok_or_else(|| Failure::message("the service is gone"))?;
    let gateway = service.connect::<dyn ProbeGateway>(address).await;
    gateway.map_err(|error| crate::RpcError::failed(&error))
}

struct NotifyOnDrop(Arc<Notify>);

impl Drop for NotifyOnDrop {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}
