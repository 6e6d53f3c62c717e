//! What does a hostile peer cost the others, and what do many endpoints and services cost?
//!
//! `cargo run --release -p benches --bin hostile` prints tables of figures; a name after `--`, such
//! as `silence`, prints the rows of one scenario. Nothing is asserted: the figures are those of
//! one host at one time.
//!
//! Each scenario is a process of its own, so that none finds the memory that another has left. It
//! has a server and one well-behaved caller, which has one call under way and whose latency is
//! taken alone and beside the peer; and newcomers, each of which dials, calls once and leaves. The
//! hostile peer is another process, so that the memory is the server's. It uses the processors of
//! the same host, though: the row `spin` is a peer that does nothing else.
//!
//! `silence` needs 10,000 descriptors in the peer: say `ulimit -n 20000` before. It tells how many
//! it got. Memory is read from `/proc`, and peers have addresses such as 127.0.0.2: Linux only.

#![expect(clippy::print_stdout, reason = "figures are what it is for")]

mod figures;
mod peer;
mod scale;
mod scenario;
mod victim;

use std::process::Command;

use rpc_core::BoxError;
use tokio::runtime::Builder;

fn main() -> Result<(), BoxError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    match arguments[..] {
        [] => {
            println!("{}", scenario::HEADER);
            peer::NAMES.iter().try_for_each(|it| run_alone(it))?;
            println!("\n{}", scale::HEADER);
            scale::NAMES.iter().try_for_each(|it| run_alone(it))
        }
        // A task of a worker: the thread that waits for the runtime is none of them.
        ["peer", name, authority] => {
            let (name, authority) = (name.to_owned(), authority.to_owned());
            runtime.block_on(runtime.spawn(peer::run(name, authority)))?
        }
        [name] if scale::NAMES.contains(&name) => {
            runtime.block_on(runtime.spawn(scale::run(name.to_owned())))?
        }
        [name] => runtime.block_on(runtime.spawn(scenario::run(name.to_owned())))?,
        _ => Err("it takes the name of a scenario, or nothing".into()),
    }
}

fn run_alone(name: &str) -> Result<(), BoxError> {
    let status = Command::new(std::env::current_exe()?).arg(name).status()?;
    if status.success() {
        return Ok(());
    }
    Err(format!("{name}: {status}").into())
}
