/// The limits of a [`LocalNetwork`](crate::LocalNetwork). A limit of zero counts as one.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LocalConfig {
    /// How many connections may wait to be accepted. With fewer, dialling waits for a busy listener;
    /// with more, a listener that does not accept keeps more memory busy. Default: 128.
    pub accept_backlog: usize,
    /// How many bytes a stream holds in each direction. With fewer, a large frame takes more turns
    /// between writer and reader; with more, a slow reader keeps more memory busy, as the buffer
    /// grows up to the limit and does not shrink. Default: 256 KiB.
    pub pipe_bytes: usize,
    /// How many streams of a connection may wait to be accepted. With fewer, opening one waits for
    /// a busy peer. Default: 128.
    pub stream_backlog: usize,
}

impl Default for LocalConfig {
    fn default() -> Self {
        Self {
            accept_backlog: 128,
            pipe_bytes: 256 * 1024,
            stream_backlog: 128,
        }
    }
}
