//! The cluster, with the operators that are built in.

use std::process::ExitCode;

use rpc_components::operator::OperatorRegistry;

fn main() -> ExitCode {
    rpc_cli::main_with(OperatorRegistry::new())
}
