//! `filter`, `lower-case`, `parse`, `split`: what can be done with a text by itself.

use super::{excerpt, text_of};
use crate::job_graph::OperatorSpecError;
use crate::operator::{Collector, Operator, OperatorError, Options, Record, Value};

/// Hands on the records whose text is as asked: all that is asked must hold.
#[derive(Debug)]
pub(super) struct Filter {
    contains: Option<String>,
    length_min: Option<usize>,
    length_max: Option<usize>,
    invert: bool,
}

impl Filter {
    pub(super) fn from_options(options: &mut Options<'_>) -> Result<Self, OperatorSpecError> {
        Ok(Self {
            contains: options.optional("contains")?,
            length_min: options.optional("length_min")?,
            length_max: options.optional("length_max")?,
            invert: options.optional("invert")?.unwrap_or(false),
        })
    }

    /// Lengths are in characters.
    fn matches(&self, text: &str) -> bool {
        let length = || text.chars().count();
        self.contains
            .as_ref()
            .is_none_or(|part| text.contains(part.as_str()))
            && self.length_min.is_none_or(|min| length() >= min)
            && self.length_max.is_none_or(|max| length() <= max)
    }
}

impl Operator for Filter {
    fn process(
        &mut self,
        record: Record<'_>,
        out: &mut dyn Collector,
    ) -> Result<(), OperatorError> {
        if self.matches(text_of("filter", record.value)?) == self.invert {
            return Ok(());
        }
        out.emit(record)
    }
}

/// Lower-cases a text.
#[derive(Debug)]
pub(super) struct LowerCase;

impl Operator for LowerCase {
    fn process(
        &mut self,
        record: Record<'_>,
        out: &mut dyn Collector,
    ) -> Result<(), OperatorError> {
        let lower = text_of("lower-case", record.value)?.to_lowercase();
        let value = Value::Text(&lower);
        out.emit(Record { value, ..record })
    }
}

/// Makes a text the number that it says.
#[derive(Debug)]
pub(super) enum Parse {
    Float,
    Int,
}

impl Parse {
    pub(super) fn from_options(options: &mut Options<'_>) -> Result<Self, OperatorSpecError> {
        let number: String = options.required("as")?;
        match number.as_str() {
            "float" => Ok(Self::Float),
            "int" => Ok(Self::Int),
            _ => Err(options.refuse("as", format!("is `{number}`, not float or int"))),
        }
    }
}

impl Operator for Parse {
    fn process(
        &mut self,
        record: Record<'_>,
        out: &mut dyn Collector,
    ) -> Result<(), OperatorError> {
        let text = text_of("parse", record.value)?;
        let value = match self {
            Self::Float => text.trim().parse().ok().map(Value::Float),
            Self::Int => text.trim().parse().ok().map(Value::Int),
        };
        let value = value.ok_or_else(|| OperatorError::Value {
            operator: "parse",
            reason: format!("cannot read `{}` as a number", excerpt(text)),
        })?;
        out.emit(Record { value, ..record })
    }
}

/// Hands on each part of a text.
#[derive(Debug)]
pub(super) struct Split {
    separator: String,
    keep_empty: bool,
}

impl Split {
    pub(super) fn from_options(options: &mut Options<'_>) -> Result<Self, OperatorSpecError> {
        Ok(Self {
            separator: separator(options)?,
            keep_empty: options.optional("keep_empty")?.unwrap_or(false),
        })
    }
}

impl Operator for Split {
    fn process(
        &mut self,
        record: Record<'_>,
        out: &mut dyn Collector,
    ) -> Result<(), OperatorError> {
        let text = text_of("split", record.value)?;
        for part in text.split(&self.separator) {
            if self.keep_empty || !part.is_empty() {
                let value = Value::Text(part);
                out.emit(Record { value, ..record })?;
            }
        }
        Ok(())
    }
}

/// Reads the option `separator`.
pub(super) fn separator(options: &mut Options<'_>) -> Result<String, OperatorSpecError> {
    let separator: String = options.required("separator")?;
    if separator.is_empty() {
        return Err(options.refuse("separator", "is empty"));
    }
    Ok(separator)
}
