//! Peers: the same questions to what a user would pick instead, each as its documentation says that it
//! is quick. Queues and windows are as large as those of the floors, so that none is a limit.

mod actix;
mod irpc;
mod kameo;
mod ractor;
mod remoc;
mod tarpc;
mod tonic;

pub use self::actix::{Actix, ActixClient};
pub use self::irpc::{Irpc, IrpcClient};
pub use self::kameo::{Kameo, KameoClient};
pub use self::ractor::{Ractor, RactorClient};
pub use self::remoc::{Remoc, RemocClient};
pub use self::tarpc::{TarpcClient, TarpcInMemory, TarpcOverQuic, TarpcOverTcp};
pub use self::tonic::{Tonic, TonicClient};

use crate::harness::Entry;

/// The peers by name.
pub(crate) const PEERS: [Entry; 9] = [
    Entry::new::<Actix>("service/actix"),
    Entry::new::<Irpc>("service/irpc"),
    Entry::new::<Kameo>("service/kameo"),
    Entry::new::<Ractor>("service/ractor"),
    Entry::new::<TarpcInMemory>("service/tarpc"),
    Entry::new::<Remoc>("tcp/remoc"),
    Entry::new::<TarpcOverTcp>("tcp/tarpc"),
    Entry::new::<Tonic>("tcp/tonic"),
    Entry::new::<TarpcOverQuic>("quic/tarpc"),
];

/// How many messages a queue takes.
const LIMIT: usize = 1 << 12;
