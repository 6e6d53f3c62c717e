//! The operators that every registry has.

mod arena;
mod file_sink;
mod file_source;
mod generator_source;
mod key_by;
mod key_table;
mod line;
mod reduce;
mod sort;
mod stdout_sink;
mod text;
mod words;

use self::file_sink::FileSink;
use self::file_source::FileSource;
use self::generator_source::GeneratorSource;
use self::key_by::{Field, KeyBy};
use self::reduce::Reduce;
use self::sort::Sort;
use self::stdout_sink::{DiscardSink, StdoutSink};
use self::text::{Filter, LowerCase, Parse, Split};
use self::words::Words;
use super::splits::FILE_SOURCE;
use super::{OperatorError, OperatorRegistry, RegisterError, Value};

/// Registers all of them.
pub(super) fn register(registry: &mut OperatorRegistry) -> Result<(), RegisterError> {
    registry.register_source(FILE_SOURCE, FileSource::from_options)?;
    registry.register_source("generator-source", GeneratorSource::from_options)?;
    registry.register_transform("field", Field::from_options)?;
    registry.register_transform("filter", Filter::from_options)?;
    registry.register_transform("key-by", KeyBy::from_options)?;
    registry.register_transform("lower-case", |_| Ok(LowerCase))?;
    registry.register_transform("parse", Parse::from_options)?;
    registry.register_transform("reduce", Reduce::from_options)?;
    registry.register_transform("sort", Sort::from_options)?;
    registry.register_transform("split", Split::from_options)?;
    registry.register_transform("words", |_| Ok(Words::new()))?;
    registry.register_sink("discard-sink", |_| Ok(DiscardSink))?;
    registry.register_sink("file-sink", FileSink::from_options)?;
    registry.register_sink("stdout-sink", |_| Ok(StdoutSink::new()))?;
    Ok(())
}

/// Returns the text of a value, for an operator that takes nothing else.
fn text_of<'a>(operator: &'static str, value: Value<'a>) -> Result<&'a str, OperatorError> {
    match value {
        Value::Text(text) => Ok(text),
        value => Err(OperatorError::Value {
            operator,
            reason: format!("takes texts, not {}", value.kind()),
        }),
    }
}

/// Returns the beginning of a text, for a message.
fn excerpt(text: &str) -> String {
    let mut characters = text.chars();
    let mut excerpt: String = characters.by_ref().take(EXCERPT_CHARS).collect();
    if characters.next().is_some() {
        excerpt.push('…');
    }
    excerpt
}

/// How much of a text a message shows.
const EXCERPT_CHARS: usize = 60;

#[cfg(test)]
mod tests;
