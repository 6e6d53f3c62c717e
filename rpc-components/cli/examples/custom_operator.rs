//! The cluster's command line with an operator of one's own.
//!
//! ```text
//! cargo run -p rpc-cli --example custom_operator -- \
//!     run --job rpc-components/cli/examples/custom_operator.toml
//! ```
//!
//! The processes of a cluster are started with the same program, so that each of them has the
//! operator: `custom_operator jobmanager`, `custom_operator taskmanager`.

use std::process::ExitCode;

use rpc_components::operator::{
    Collector, Operator, OperatorError, OperatorRegistry, Record, Value,
};

/// Upper-cases texts, and puts as many exclamation marks behind them as the option `marks` says.
struct Shout {
    marks: usize,
}

impl Operator for Shout {
    fn process(
        &mut self,
        record: Record<'_>,
        out: &mut dyn Collector,
    ) -> Result<(), OperatorError> {
        let Value::Text(text) = record.value else {
            let kind = record.value.kind();
            return Err(OperatorError::other(format!("cannot shout {kind}")));
        };
        let loud = text.to_uppercase() + &"!".repeat(self.marks);
        let value = Value::Text(&loud);
        out.emit(Record { value, ..record })
    }
}

fn main() -> ExitCode {
    let mut operators = OperatorRegistry::new();
    let registered = operators.register_transform("shout", |options| {
        let marks = options.optional("marks")?.unwrap_or(1);
        if marks > 3 {
            return Err(options.refuse("marks", "is more than anyone needs: 3 at most"));
        }
        Ok(Shout { marks })
    });
    registered.expect("no built-in operator is called so");
    rpc_cli::main_with(operators)
}
