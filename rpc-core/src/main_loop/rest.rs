//! An endpoint without a task: all that is to be known of it when it has something to do again.

use std::sync::Arc;

use tracing::Span;

use super::trust::Trust;
use crate::context::Context;
use crate::endpoint::RpcEndpoint;
use crate::endpoint_core::EndpointCore;
use crate::lifecycle::State;
use crate::main_thread::EndpointCell;

/// An endpoint between two of its tasks.
pub(crate) struct Resting<E: RpcEndpoint> {
    pub(crate) cell: EndpointCell<E>,
    pub(super) stand: Stand,
    /// In which its tasks run; `None` if nobody records it.
    pub(super) span: Option<Box<Span>>,
}

/// Where an endpoint stands.
#[derive(Clone, Copy)]
pub(super) struct Stand {
    pub(super) state: State,
    pub(super) trust: Trust,
}

impl<E: RpcEndpoint> Resting<E> {
    /// Makes an endpoint that was not started yet.
    pub(crate) fn new(core: Arc<EndpointCore<E>>, endpoint: E, span: Option<Span>) -> Box<Self> {
        Box::new(Self {
            cell: EndpointCell::new(endpoint, Context::new(core)),
            stand: Stand {
                state: State::Created,
                trust: Trust::default(),
            },
            span: span.map(Box::new),
        })
    }

    pub(crate) fn core(&mut self) -> Arc<EndpointCore<E>> {
        self.cell.core()
    }

    pub(crate) fn span(&self) -> Option<Span> {
        self.span.as_deref().cloned()
    }
}
