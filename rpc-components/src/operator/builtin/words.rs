//! `words`: the words of a text.

use super::text_of;
use crate::operator::{Collector, Operator, OperatorError, Record, Value};

/// Hands on each word of a text, lower-cased; the key stays.
///
/// A word is a maximal run of `char::is_alphanumeric` characters, and is lower-cased by
/// `str::to_lowercase`. An ASCII text takes a shorter way to the same end.
#[derive(Debug)]
pub(super) struct Words {
    lower: String,
}

impl Words {
    pub(super) const fn new() -> Self {
        Self {
            lower: String::new(),
        }
    }

    /// Lower-cases the whole text at once, which the compiler does 16 bytes at a time, and then
    /// looks up for each byte whether it belongs to a word.
    fn ascii(
        &mut self,
        key: &str,
        text: &str,
        out: &mut dyn Collector,
    ) -> Result<(), OperatorError> {
        let lower = lowered(&mut self.lower, text);
        let bytes = lower.as_bytes();
        let mut start = 0;
        while start < bytes.len() {
            if !IS_WORD[usize::from(bytes[start])] {
                start += 1;
                continue;
            }
            let mut end = start + 1;
            while end < bytes.len() && IS_WORD[usize::from(bytes[end])] {
                end += 1;
            }
            let value = Value::Text(&lower[start..end]);
            out.emit(Record { key, value })?;
            start = end;
        }
        Ok(())
    }

    fn unicode(
        &mut self,
        key: &str,
        text: &str,
        out: &mut dyn Collector,
    ) -> Result<(), OperatorError> {
        let words = text.split(|c: char| !c.is_alphanumeric());
        for word in words.filter(|word| !word.is_empty()) {
            if word.is_ascii() {
                let value = Value::Text(lowered(&mut self.lower, word));
                out.emit(Record { key, value })?;
            } else {
                let value = Value::Text(&word.to_lowercase());
                out.emit(Record { key, value })?;
            }
        }
        Ok(())
    }
}

impl Operator for Words {
    fn process(
        &mut self,
        record: Record<'_>,
        out: &mut dyn Collector,
    ) -> Result<(), OperatorError> {
        let text = text_of("words", record.value)?;
        let result = if text.is_ascii() {
            self.ascii(record.key, text, out)
        } else {
            self.unicode(record.key, text, out)
        };
        // One long line must not hold its memory for the rest of the job.
        if self.lower.capacity() > LOWER_BYTES_KEPT {
            self.lower = String::new();
        }
        result
    }
}

fn lowered<'a>(lower: &'a mut String, ascii: &str) -> &'a str {
    lower.clear();
    lower.push_str(ascii);
    lower.make_ascii_lowercase();
    lower
}

/// Whether an ASCII byte belongs to a word.
const IS_WORD: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_alphanumeric();
        byte += 1;
    }
    table
};

/// How large a scratch text may stay between two records.
const LOWER_BYTES_KEPT: usize = 1 << 20;
