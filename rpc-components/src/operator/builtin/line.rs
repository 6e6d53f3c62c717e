//! A record as a line of text, as the sinks write it.

use std::io::Write;

use crate::operator::{Record, Value};

/// Appends `key<TAB>value` and a line feed; without a key the value alone, and without a value the
/// key alone.
pub(super) fn write_line(record: Record<'_>, lines: &mut Vec<u8>) {
    lines.extend_from_slice(record.key.as_bytes());
    if !record.key.is_empty() && record.value != Value::Unit {
        lines.push(b'\t');
    }
    // Writing to memory does not fail.
    let _ = match record.value {
        Value::Unit => Ok(()),
        Value::Int(number) => write!(lines, "{number}"),
        Value::Float(number) => write!(lines, "{number}"),
        Value::Text(text) => lines.write_all(text.as_bytes()),
        Value::Bytes(bytes) => lines.write_all(bytes),
    };
    lines.push(b'\n');
}
