//! `key-by` and `field`: keys from values, and values from parts of them.

use std::fmt::Write;

use super::text::separator;
use super::{excerpt, text_of};
use crate::job_graph::OperatorSpecError;
use crate::operator::{Collector, Operator, OperatorError, Options, Record, Value};

/// Gives a record its value as the key, or one part of it; the value stays.
#[derive(Debug)]
pub(super) struct KeyBy {
    part: Option<Part>,
    number: String,
}

impl KeyBy {
    pub(super) fn from_options(options: &mut Options<'_>) -> Result<Self, OperatorSpecError> {
        let index: Option<usize> = options.optional("index")?;
        let separator_given: Option<String> = options.optional("separator")?;
        let part = match (index, separator_given) {
            (None, None) => None,
            _ => Some(Part::from_options("key-by", options)?),
        };
        Ok(Self {
            part,
            number: String::new(),
        })
    }
}

impl Operator for KeyBy {
    fn process(
        &mut self,
        record: Record<'_>,
        out: &mut dyn Collector,
    ) -> Result<(), OperatorError> {
        let key = match (&self.part, record.value) {
            (Some(part), value) => part.of(value)?,
            (None, Value::Text(text)) => text,
            (None, Value::Int(number)) => {
                self.number.clear();
                // Writing to a text does not fail.
                let _ = write!(self.number, "{number}");
                &self.number
            }
            (None, value) => {
                return Err(OperatorError::Value {
                    operator: "key-by",
                    reason: format!("takes texts and ints, not {}", value.kind()),
                });
            }
        };
        out.emit(Record { key, ..record })
    }
}

/// Makes one part of the text the value; the key stays.
#[derive(Debug)]
pub(super) struct Field {
    part: Part,
}

impl Field {
    pub(super) fn from_options(options: &mut Options<'_>) -> Result<Self, OperatorSpecError> {
        let part = Part::from_options("field", options)?;
        Ok(Self { part })
    }
}

impl Operator for Field {
    fn process(
        &mut self,
        record: Record<'_>,
        out: &mut dyn Collector,
    ) -> Result<(), OperatorError> {
        let value = Value::Text(self.part.of(record.value)?);
        out.emit(Record { value, ..record })
    }
}

/// Which part of a text is meant, from 0.
#[derive(Debug)]
struct Part {
    operator: &'static str,
    index: usize,
    separator: String,
}

impl Part {
    fn from_options(
        operator: &'static str,
        options: &mut Options<'_>,
    ) -> Result<Self, OperatorSpecError> {
        Ok(Self {
            operator,
            index: options.required("index")?,
            separator: separator(options)?,
        })
    }

    fn of<'a>(&self, value: Value<'a>) -> Result<&'a str, OperatorError> {
        let text = text_of(self.operator, value)?;
        let part = text.split(&self.separator).nth(self.index);
        part.ok_or_else(|| OperatorError::Value {
            operator: self.operator,
            reason: format!("finds no part {} in `{}`", self.index, excerpt(text)),
        })
    }
}
