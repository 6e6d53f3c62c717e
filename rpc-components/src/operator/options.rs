//! The options of an operator, taken one by one so that none is overlooked.

use std::path::PathBuf;

use crate::job_graph::{OperatorSpec, OperatorSpecError, OptionValue};

/// The options of one operator.
///
/// What is not asked for by name is an option that the operator does not have. What is asked for as a
/// [`PathBuf`], or as a list of them, [is a path](OptionType::IS_PATH).
#[derive(Debug)]
pub struct Options<'a> {
    spec: &'a OperatorSpec,
    known: Vec<String>,
    /// Those of `known` that are paths.
    paths: Vec<String>,
}

impl<'a> Options<'a> {
    pub(super) const fn new(spec: &'a OperatorSpec) -> Self {
        Self {
            spec,
            known: Vec::new(),
            paths: Vec::new(),
        }
    }

    /// Returns an option's value, or `None` if it is not given.
    ///
    /// # Errors
    ///
    /// [`OperatorSpecError::OptionType`] if the value is of another type.
    pub fn optional<T: OptionType>(&mut self, name: &str) -> Result<Option<T>, OperatorSpecError> {
        self.known.push(name.into());
        if T::IS_PATH {
            self.paths.push(name.into());
        }
        let Some(value) = self.spec.options.get(name) else {
            return Ok(None);
        };
        let typed = T::from_option(value);
        typed
            .map(Some)
            .ok_or_else(|| OperatorSpecError::OptionType {
                operator: self.spec.name.clone(),
                option: name.into(),
                expected: T::EXPECTED.into(),
                found: describe(value),
            })
    }

    /// Returns an option's value.
    ///
    /// # Errors
    ///
    /// [`OperatorSpecError::MissingOption`] if it is not given, and as
    /// [`optional`](Self::optional).
    pub fn required<T: OptionType>(&mut self, name: &str) -> Result<T, OperatorSpecError> {
        let value = self.optional(name)?;
        value.ok_or_else(|| OperatorSpecError::MissingOption {
            operator: self.spec.name.clone(),
            option: name.into(),
        })
    }

    /// Makes the error for an option of the right type but of no use, such as "must be positive".
    #[must_use]
    pub fn refuse(&self, option: &str, reason: impl Into<String>) -> OperatorSpecError {
        OperatorSpecError::OptionValue {
            operator: self.spec.name.clone(),
            option: option.into(),
            reason: reason.into(),
        }
    }

    /// Checks that every option that is given was asked for; returns those that are paths.
    pub(super) fn finish(mut self) -> Result<Vec<String>, OperatorSpecError> {
        let mut given = self.spec.options.keys();
        match given.find(|option| !self.known.contains(option)) {
            Some(option) => {
                self.known.sort();
                Err(OperatorSpecError::UnknownOption {
                    operator: self.spec.name.clone(),
                    option: option.clone(),
                    known: self.known,
                })
            }
            None => Ok(self.paths),
        }
    }
}

/// A type that an option can have.
pub trait OptionType: Sized {
    /// What to call it in an error.
    const EXPECTED: &'static str;

    /// Whether the value names files or folders: such a name is relative to the folder of who
    /// describes the job, and no two sinks have the same.
    const IS_PATH: bool = false;

    /// Takes the value, if it is of this type.
    fn from_option(value: &OptionValue) -> Option<Self>;
}

impl OptionType for bool {
    const EXPECTED: &'static str = "a truth value";

    fn from_option(value: &OptionValue) -> Option<Self> {
        match value {
            OptionValue::Bool(truth) => Some(*truth),
            _ => None,
        }
    }
}

impl OptionType for f64 {
    const EXPECTED: &'static str = "a number";

    #[expect(
        clippy::cast_precision_loss,
        reason = "the last of so many digits are not meant"
    )]
    fn from_option(value: &OptionValue) -> Option<Self> {
        match value {
            OptionValue::Float(number) => Some(*number),
            OptionValue::Int(number) => Some(*number as Self),
            _ => None,
        }
    }
}

impl OptionType for i64 {
    const EXPECTED: &'static str = "a whole number";

    fn from_option(value: &OptionValue) -> Option<Self> {
        match value {
            OptionValue::Int(number) => Some(*number),
            _ => None,
        }
    }
}

impl OptionType for u64 {
    const EXPECTED: &'static str = "a whole number that is not negative";

    fn from_option(value: &OptionValue) -> Option<Self> {
        i64::from_option(value).and_then(|number| number.try_into().ok())
    }
}

impl OptionType for usize {
    const EXPECTED: &'static str = u64::EXPECTED;

    fn from_option(value: &OptionValue) -> Option<Self> {
        i64::from_option(value).and_then(|number| number.try_into().ok())
    }
}

impl OptionType for String {
    const EXPECTED: &'static str = "a text";

    fn from_option(value: &OptionValue) -> Option<Self> {
        match value {
            OptionValue::Text(text) => Some(text.clone()),
            _ => None,
        }
    }
}

/// One text may stand for a list of one.
impl OptionType for Vec<String> {
    const EXPECTED: &'static str = "a text or a list of texts";

    fn from_option(value: &OptionValue) -> Option<Self> {
        match value {
            OptionValue::Text(text) => Some(vec![text.clone()]),
            OptionValue::Texts(texts) => Some(texts.clone()),
            _ => None,
        }
    }
}

impl OptionType for PathBuf {
    const EXPECTED: &'static str = String::EXPECTED;
    const IS_PATH: bool = true;

    fn from_option(value: &OptionValue) -> Option<Self> {
        String::from_option(value).map(Self::from)
    }
}

/// One path may stand for a list of one.
impl OptionType for Vec<PathBuf> {
    const EXPECTED: &'static str = Vec::<String>::EXPECTED;
    const IS_PATH: bool = true;

    fn from_option(value: &OptionValue) -> Option<Self> {
        let paths = Vec::<String>::from_option(value)?;
        Some(paths.into_iter().map(PathBuf::from).collect())
    }
}

fn describe(value: &OptionValue) -> String {
    match value {
        OptionValue::Bool(truth) => truth.to_string(),
        OptionValue::Float(number) => number.to_string(),
        OptionValue::Int(number) => number.to_string(),
        OptionValue::Text(text) => format!("`{text}`"),
        OptionValue::Texts(_) => "a list of texts".into(),
    }
}
