//! `reduce`: one record for each key.

use super::key_table::{KeyTable, Merged, Number};
use crate::job_graph::OperatorSpecError;
use crate::operator::context::count;
use crate::operator::{Collector, Operator, OperatorError, Options, Record};

/// Adds up the numbers of each key, or counts its records, and hands on the result at the end.
///
/// With the option `partial` it also does so whenever its table is full: then it is a combiner in
/// front of the shuffle, and a second one behind it, with the same function or `sum` for `count`,
/// does the rest.
#[derive(Debug)]
pub(super) struct Reduce {
    function: Function,
    is_partial: bool,
    memory_bytes_max: u64,
    table: KeyTable,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Function {
    Count,
    Max,
    Min,
    Sum,
}

impl Reduce {
    pub(super) fn from_options(options: &mut Options<'_>) -> Result<Self, OperatorSpecError> {
        let function: String = options.required("function")?;
        let function = match function.as_str() {
            "count" => Function::Count,
            "max" => Function::Max,
            "min" => Function::Min,
            "sum" => Function::Sum,
            _ => {
                let reason = format!("is `{function}`, not count, max, min or sum");
                return Err(options.refuse("function", reason));
            }
        };
        let is_partial = options.optional("partial")?.unwrap_or(false);
        let memory_default = if is_partial {
            PARTIAL_BYTES_DEFAULT
        } else {
            MEMORY_BYTES_DEFAULT
        };
        Ok(Self {
            function,
            is_partial,
            memory_bytes_max: options
                .optional("memory_bytes_max")?
                .unwrap_or(memory_default),
            table: KeyTable::default(),
        })
    }

    fn emit_all(&mut self, out: &mut dyn Collector) -> Result<(), OperatorError> {
        self.table.drain(|key, number| {
            let value = number.value();
            out.emit(Record { key, value })
        })
    }
}

impl Operator for Reduce {
    fn process(
        &mut self,
        record: Record<'_>,
        out: &mut dyn Collector,
    ) -> Result<(), OperatorError> {
        let number = self.function.number(record)?;
        let merge = |old, new| self.function.merge(record.key, old, new);
        let merged = self.table.merge(record.key, number, merge)?;
        let is_full = match merged {
            Merged::Old => return Ok(()),
            Merged::New => count(self.table.memory_bytes()) > self.memory_bytes_max,
            Merged::NoRoom => true,
        };
        if !is_full {
            return Ok(());
        }
        if !self.is_partial {
            return Err(OperatorError::Memory {
                operator: "reduce",
                limit: self.memory_bytes_max,
            });
        }
        self.emit_all(out)?;
        if merged == Merged::New {
            return Ok(());
        }
        let value = number.value();
        out.emit(Record { value, ..record })
    }

    fn finish(&mut self, out: &mut dyn Collector) -> Result<(), OperatorError> {
        self.emit_all(out)
    }
}

impl Function {
    /// Returns what a record counts by itself.
    fn number(self, record: Record<'_>) -> Result<Number, OperatorError> {
        if self == Self::Count {
            return Ok(Number::Int(1));
        }
        let number = Number::from_value(record.value);
        number.ok_or_else(|| self.error(record.key, &format!("is {}", record.value.kind())))
    }

    fn merge(self, key: &str, old: Number, new: Number) -> Result<Number, OperatorError> {
        match (self, old, new) {
            (Self::Count | Self::Sum, Number::Int(old), Number::Int(new)) => {
                let sum = old.checked_add(new).map(Number::Int);
                sum.ok_or_else(|| self.error(key, "grows beyond 64 bits"))
            }
            (Self::Count | Self::Sum, old, new) => {
                Ok(Number::Float(old.as_float() + new.as_float()))
            }
            (Self::Max, Number::Int(old), Number::Int(new)) => Ok(Number::Int(old.max(new))),
            (Self::Max, old, new) => Ok(Number::Float(old.as_float().max(new.as_float()))),
            (Self::Min, Number::Int(old), Number::Int(new)) => Ok(Number::Int(old.min(new))),
            (Self::Min, old, new) => Ok(Number::Float(old.as_float().min(new.as_float()))),
        }
    }

    fn error(self, key: &str, reason: &str) -> OperatorError {
        OperatorError::Value {
            operator: "reduce",
            reason: format!(
                "takes numbers, and the value of `{}` {reason}",
                super::excerpt(key)
            ),
        }
    }
}

/// How much a combiner holds: enough for most of a language's words, little enough to stay in a
/// processor's cache.
const PARTIAL_BYTES_DEFAULT: u64 = 8 << 20;
/// How much any other holds. Beyond it the task fails, and not the process with all its tasks.
const MEMORY_BYTES_DEFAULT: u64 = 1 << 30;
