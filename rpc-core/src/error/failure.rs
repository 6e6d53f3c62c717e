//! Errors as they travel: as texts.

use std::error::Error;
use std::fmt;

use serde::{Deserialize, Serialize};

/// An error and its sources, as far as they can travel: one text for each.
///
/// It is itself an error whose [`source`](Error::source) is the next text, so that whoever prints
/// chains prints a remote one like any other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<String>", into = "Vec<String>")]
pub struct Failure {
    message: String,
    source: Option<Box<Self>>,
}

impl Failure {
    /// Takes the texts of an error and of its sources.
    #[must_use]
    pub fn new(error: &(dyn Error + 'static)) -> Self {
        let mut texts = vec![error.to_string()];
        let mut next = error.source();
        while let Some(error) = next {
            texts.push(error.to_string());
            next = error.source();
        }
        Self::from_texts(texts)
    }

    /// Makes a failure of one text without a source.
    #[must_use]
    pub fn message(text: impl Into<String>) -> Self {
        Self::from_texts([text.into()])
    }

    /// Makes a failure of texts, the outermost first.
    pub fn from_texts(texts: impl IntoIterator<Item = String>) -> Self {
        let mut texts: Vec<String> = texts.into_iter().take(CHAIN_MAX).collect();
        let mut source = None;
        while let Some(mut message) = texts.pop() {
            truncate(&mut message);
            source = Some(Box::new(Self { message, source }));
        }
        match source {
            Some(outermost) => *outermost,
            None => Self {
                message: String::from("unknown failure"),
                source: None,
            },
        }
    }

    /// Returns the texts, the outermost first.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        let chain = std::iter::successors(Some(self), |failure| failure.source.as_deref());
        chain.map(|failure| failure.message.clone()).collect()
    }
}

fn truncate(text: &mut String) {
    if text.len() > TEXT_BYTES_MAX {
        let mut end = TEXT_BYTES_MAX;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push('…');
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|it| it as _)
    }
}

impl From<Vec<String>> for Failure {
    fn from(texts: Vec<String>) -> Self {
        Self::from_texts(texts)
    }
}

impl From<Failure> for Vec<String> {
    fn from(failure: Failure) -> Self {
        failure.texts()
    }
}

/// A chain longer than this is cut: it comes from a peer.
pub(super) const CHAIN_MAX: usize = 16;
/// A text longer than this is cut, so that errors always fit in a frame.
pub(super) const TEXT_BYTES_MAX: usize = 4096;
