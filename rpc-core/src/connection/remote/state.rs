//! To what a gateway is bound, and who waits for it. Pure but for the connection it is bound to.

use std::collections::BTreeMap;
use std::mem;
use std::sync::Arc;

use serde::Serialize;

use super::call::{Parked, Place};
use super::{Ask, Gone, Orphans};
use crate::connection::outgoing::{NotSent, OutgoingConnection};
use crate::error::RpcError;
use crate::fencing::FencingToken;
use crate::frame::{Header, Kind};
use crate::moment::Moment;
use crate::mutant::{self, Mutant};

#[derive(Default)]
pub(super) struct State {
    pub(super) bound: Option<Bound>,
    /// Why there is nothing to bind to any more.
    pub(super) gone: Option<Gone>,
    /// Whether a task is binding.
    pub(super) binding: bool,
    pub(super) parked: BTreeMap<i64, Box<Parked>>,
    pub(super) parked_bytes: usize,
    /// The places of the next call that is made, and of the next that is made again.
    pub(super) back: i64,
    pub(super) front: i64,
}

/// A connection, and what the callee said of the gateway there.
pub(super) struct Bound {
    pub(super) connection: Arc<OutgoingConnection>,
    pub(super) number: u32,
    pub(super) compatible: Vec<bool>,
}

impl State {
    pub(super) fn put(&mut self, place: i64, parked: Box<Parked>) {
        self.parked_bytes += parked.body.len();
        *parked.ticket.0.lock() = Place::Parked(place);
        self.parked.insert(place, parked);
    }

    pub(super) fn pop(&mut self) -> Option<(i64, Box<Parked>)> {
        let (place, parked) = match mutant::is(Mutant::ParkedReversed) {
            true => self.parked.pop_last()?,
            false => self.parked.pop_first()?,
        };
        self.parked_bytes -= parked.body.len();
        Some((place, parked))
    }

    pub(super) fn remove(&mut self, place: i64) -> Option<Box<Parked>> {
        let parked = self.parked.remove(&place)?;
        self.parked_bytes -= parked.body.len();
        Some(parked)
    }

    /// Takes out the parked calls whose time is over: nobody else does of those that nobody waits for.
    pub(super) fn expire(&mut self, now: Moment) -> Orphans {
        let over = self.parked.iter().filter(|(_, it)| it.reply.is_over(now));
        let places: Vec<i64> = over.map(|(place, _)| *place).collect();
        let expired = places.into_iter();
        expired
            .filter_map(|it| Some((it, self.remove(it)?)))
            .collect()
    }

    /// Takes all parked calls out, for which nobody looks for a connection any more.
    pub(super) fn orphan(&mut self) -> Orphans {
        self.parked_bytes = 0;
        mem::take(&mut self.parked)
    }

    /// Forgets a connection, if it is the one.
    pub(super) fn leave(&mut self, connection: &OutgoingConnection) {
        let leaves = |it: &Bound| std::ptr::eq(&raw const *it.connection, connection);
        if self.bound.as_ref().is_some_and(leaves) {
            self.bound = None;
        }
    }
}

impl Bound {
    pub(super) fn check(&self, ask: &Ask) -> Result<(), RpcError> {
        match self.compatible.get(ask.method) {
            Some(true) => Ok(()),
            _ => Err(RpcError::Incompatible {
                method: ask.info.name.to_owned(),
            }),
        }
    }

    pub(super) fn header(&self, kind: Kind, ask: &Ask, remaining_us: Option<u64>) -> Header {
        let mut header = Header::new(kind, 0);
        header.gateway = self.number;
        header.method = u16::try_from(ask.method).expect("a gateway has fewer than 65,536 methods");
        header.token = ask.token.map(FencingToken::get);
        header.remaining_us = remaining_us.filter(|_| !mutant::is(Mutant::DeadlineNotSent));
        header.trace = ask.trace;
        header
    }

    pub(super) fn tell<A: Serialize>(&self, ask: &Ask, arguments: &A) -> Result<(), NotSent> {
        self.check(ask).map_err(NotSent::Refused)?;
        let header = self.header(Kind::OneWay, ask, None);
        self.connection.tell(&header, ask.info, arguments)
    }
}
