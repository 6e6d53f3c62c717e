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
    /// How long a call may take that says nothing else. Flink's `ask.timeout`. Too small, and slow
    /// handlers fail; too large, and a lost answer is noticed late. The default is 10 s.
    pub call_timeout: Duration,
    /// How long connecting may take: dialling, handshake and resolving together. The default is 10 s.
    pub connect_timeout: Duration,
    /// How many connections peers may open. More are turned away. The default is 4,096.
    pub connections_max: usize,
    /// How many calls one connection may have under way at the callee. More are answered
    /// `Overloaded`. The default is 65,536.
    pub calls_max: usize,
    /// How large a frame may be, in bytes. A larger message fails at its sender, at once. It is
    /// also what a peer can make this service allocate by one frame. The default is 10 MiB.
    pub frame_bytes_max: usize,
    /// How many gateways one connection may have resolved. The default is 65,536.
    pub gateways_max: usize,
    /// How long a peer that connects may take to say who it is. A slow-loris peer is cut off after
    /// it. The default is 5 s.
    pub handshake_timeout: Duration,
    /// How many messages may wait in an endpoint's mailbox. More are answered `Overloaded`, and
    /// one-way messages are dropped and counted. The default is 131,072.
    pub mailbox_messages_max: usize,
    /// How many bytes may wait to be written to one connection. A call beyond it fails with
    /// `Overloaded`; a peer that does not read its answers is disconnected. The default is 64 MiB.
    pub outbox_bytes_max: usize,
    /// How many channels that peers opened may wait to be accepted, by name. The default is 256.
    pub channel_backlog_max: usize,
}

impl Default for RpcConfig {
    fn default() -> Self {
        Self {
            call_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(10),
            connections_max: 4096,
            calls_max: 1 << 16,
            frame_bytes_max: 10 << 20,
            gateways_max: 1 << 16,
            handshake_timeout: Duration::from_secs(5),
            mailbox_messages_max: 1 << 17,
            outbox_bytes_max: 64 << 20,
            channel_backlog_max: 256,
        }
    }
}
