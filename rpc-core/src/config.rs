//! The limits and times of a service.

use std::time::Duration;

/// How an [`RpcService`](crate::RpcService) behaves.
///
/// ```
/// let mut config = rpc_core::RpcConfig::default();
/// config.frame_bytes_max = 1 << 20;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RpcConfig {
    /// How large a message is at least, in bytes, that goes by a connection of its own, so that others do
    /// not wait behind it. It is opened when there is the first such message. Too small, and a gateway's
    /// messages are written by another task for nothing; too large, and keep-alives and small calls wait
    /// for large ones. `usize::MAX` is never. The default is 128 KiB.
    pub bulk_bytes_min: usize,
    /// How long a call may take that says nothing else. Flink's `ask.timeout`. Too small, and slow
    /// handlers fail; too large, and a lost answer is noticed late. The default is 10 s.
    pub call_timeout: Duration,
    /// How many bytes of requests the calls of one connection may hold that are under way: what their
    /// handlers keep while they await. More are answered `Overloaded`. The default is 128 MiB.
    pub calls_bytes_max: usize,
    /// How many calls one connection may have under way. More fail with `Overloaded` before they
    /// are sent. The default is 65,536.
    pub calls_max: usize,
    /// How many channels that peers opened may wait to be accepted, by name. Further ones wait for a
    /// place, no longer than `handshake_timeout`. The default is 256.
    pub channel_backlog_max: usize,
    /// How long closing waits for peers to read what they were told last. The default is 1 s.
    pub close_timeout: Duration,
    /// How long connecting may take: dialling, handshake and resolving together. The default is 10 s.
    pub connect_timeout: Duration,
    /// How old a connection may become before later calls go by another: certificates are judged only
    /// when a connection is made. It ends when its own calls are answered, and is cut at twice this age.
    /// The default is `None`: any age.
    pub connection_age_max: Option<Duration>,
    /// How many connections peers may open; one for what is large counts too, a channel as long as
    /// anybody has it, and each further stream where a connection carries several. More are turned
    /// away. The default is 4,096.
    pub connections_max: usize,
    /// How many connections the peers of one host may open. More are turned away, so that a single
    /// host does not keep the others out. The default is 4,096.
    pub connections_per_host_max: usize,
    /// How large a frame may be, in bytes. A larger message fails at its sender, at once. It is
    /// also what a peer can make this service allocate by one frame; what the message is decoded into may
    /// take up to 32 times as much, as lists of many empty texts do. The default is 10 MiB.
    pub frame_bytes_max: usize,
    /// How long a frame that has begun to come in may take. A peer that drips is cut off after it;
    /// too short, and large frames over slow links are too. The default is 60 s.
    pub frame_timeout: Duration,
    /// How many gateways one connection may have resolved. The default is 65,536.
    pub gateways_max: usize,
    /// How long a peer that has opened a stream may take to say who it is. A slow-loris peer is cut off
    /// after it, and one that has opened none after this and `connect_timeout` together. The default is
    /// 5 s.
    pub handshake_timeout: Duration,
    /// How many peers may be about to say who they are. More are turned away. The default is 1,024.
    pub handshakes_max: usize,
    /// How many peers of one host may be about to say who they are. More are turned away, so that a
    /// single host whose peers say nothing does not keep the others out. The default is 256.
    pub handshakes_per_host_max: usize,
    /// After how long a silence a peer is asked whether it is there. The default is 5 s.
    pub keepalive_interval: Duration,
    /// How long a peer may be silent though it was asked. The connection is lost then: too short,
    /// and a pause of the peer loses it; too long, and a vanished host is noticed late. The default
    /// is 15 s.
    pub keepalive_timeout: Duration,
    /// Whether whoever awaits a call within this service runs its handler itself, if that is known to take
    /// next to no time. It saves both sides a way through the runtime's scheduler, which is most of what
    /// such a call costs.
    ///
    /// Such a handler sees the task-local values of whoever runs it; its runtime, its span and its order
    /// are the endpoint's. The brief handlers of calls that wait before and behind it are run as well, so
    /// that whoever polls a call is to hold no lock that one of those may take. One that takes long all of
    /// a sudden keeps that task as well, beyond the call's deadline too. The default is yes.
    pub lend_threads: bool,
    /// How many bytes of requests that came over connections may wait in an endpoint's mailbox. More
    /// are answered `Overloaded`. It is less than `window_bytes`, so that one slow endpoint does not
    /// use up a connection that it shares with others. The default is 16 MiB.
    pub mailbox_bytes_max: usize,
    /// How many messages may wait in an endpoint's mailbox. More are answered `Overloaded`, and
    /// one-way messages are dropped and counted. The default is 131,072.
    pub mailbox_messages_max: usize,
    /// Whether metrics are recorded, if a recorder of the [`metrics`] facade is installed. That is
    /// looked up when an endpoint starts, a gateway is connected and a connection is opened: install
    /// the recorder before. Without one, metrics cost a comparison a call; with one, some hundred
    /// nanoseconds. The default is yes.
    pub metrics: bool,
    /// How many bytes may wait to be written to one connection, or for a lost connection to come
    /// back. A call beyond it fails with `Overloaded`; a peer that does not read its answers is
    /// disconnected. The default is 64 MiB.
    pub outbox_bytes_max: usize,
    /// The longest time between two attempts to reach a peer again. The default is 5 s.
    pub redial_delay_max: Duration,
    /// The shortest time between two attempts to reach a peer again. The delay grows from it, and is
    /// spread at random, so that many callers of a peer that comes back do not come all at once. The
    /// default is 50 ms.
    pub redial_delay_min: Duration,
    /// How long a handler may keep its main thread without awaiting. One that takes longer is
    /// reported by a warning that names it, as soon as another thread of the runtime can: on a
    /// runtime of one thread nobody is left to notice. It is looked at every quarter of this time, and
    /// every second. `None` turns the watch off. The default is 5 s.
    pub stall_warning: Option<Duration>,
    /// Whether calls between endpoints of this service are encoded and decoded as those to others
    /// are, so that tests find what cannot travel. Flink's `force-invocation-serialization`. Methods
    /// marked `#[rpc(local)]` are exempt. The default is no: values are moved.
    pub strict_local: bool,
    /// How many bytes of messages one connection may have at the callee that its endpoints have not
    /// begun to handle, or not ended to if they are one-way. Calls beyond it fail with `Overloaded`
    /// before they are sent; it is what a peer can make this service hold, in bytes as they travel, as all
    /// limits of bytes are here. The default is 64 MiB.
    pub window_bytes: usize,
    /// How long a peer may take to read anything of what waits for it. The default is 30 s.
    pub write_timeout: Duration,
}

impl RpcConfig {
    /// How long nobody may say over a connection who they are.
    pub(crate) const fn silence_max(&self) -> Duration {
        self.handshake_timeout.saturating_add(self.connect_timeout)
    }
}

impl Default for RpcConfig {
    fn default() -> Self {
        Self {
            bulk_bytes_min: 128 << 10,
            call_timeout: Duration::from_secs(10),
            calls_bytes_max: 128 << 20,
            calls_max: 1 << 16,
            channel_backlog_max: 256,
            close_timeout: Duration::from_secs(1),
            connect_timeout: Duration::from_secs(10),
            connection_age_max: None,
            connections_max: 4096,
            connections_per_host_max: 4096,
            frame_bytes_max: 10 << 20,
            frame_timeout: Duration::from_secs(60),
            gateways_max: 1 << 16,
            handshake_timeout: Duration::from_secs(5),
            handshakes_max: 1024,
            handshakes_per_host_max: 256,
            keepalive_interval: Duration::from_secs(5),
            keepalive_timeout: Duration::from_secs(15),
            lend_threads: true,
            mailbox_bytes_max: 16 << 20,
            mailbox_messages_max: 1 << 17,
            metrics: true,
            outbox_bytes_max: 64 << 20,
            redial_delay_max: Duration::from_secs(5),
            redial_delay_min: Duration::from_millis(50),
            stall_warning: Some(Duration::from_secs(5)),
            strict_local: false,
            window_bytes: 64 << 20,
            write_timeout: Duration::from_secs(30),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, RpcConfig};
    use crate::{BuildError, RpcService};

    /// Builds a service, and returns the field that is refused.
    async fn refused(change: impl FnOnce(&mut RpcConfig)) -> Option<&'static str> {
        let mut config = RpcConfig::default();
        change(&mut config);
        match RpcService::builder().config(config).build().await {
            Ok(service) => {
                let listener = service.accept_channels("bulk");
                assert!(listener.is_ok(), "{listener:?}");
                None
            }
            Err(BuildError::Config { field, .. }) => Some(field),
            Err(error) => panic!("{error}"),
        }
    }

    #[tokio::test]
    async fn what_cannot_work_is_named() {
        let zero = Duration::ZERO;
        assert_eq!(
            refused(|it| it.redial_delay_max = zero).await,
            Some("redial_delay_max")
        );
        let alike = |it: &mut RpcConfig| it.redial_delay_max = it.redial_delay_min;
        assert_eq!(refused(alike).await, None);
        assert_eq!(
            refused(|it| it.channel_backlog_max = 0).await,
            Some("channel_backlog_max")
        );
        let endless = |it: &mut RpcConfig| it.channel_backlog_max = usize::MAX;
        assert_eq!(refused(endless).await, None);
    }
}
