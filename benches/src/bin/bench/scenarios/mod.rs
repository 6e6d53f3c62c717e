//! What the report asks.

mod curves;
mod many;
mod process;
mod quic;
mod tcp;

pub(crate) use self::curves::CURVES;
use crate::scenario::Scenario;

/// Lists all, in the order of the report.
pub(crate) fn all() -> impl Iterator<Item = Scenario> {
    let slices = [process::ALL, tcp::ALL, quic::ALL, many::ALL];
    slices.into_iter().flatten().copied()
}

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
