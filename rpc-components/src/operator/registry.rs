//! Which operators there are.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::{Operator, Options, RegisterError, Source, builtin};
use crate::job_graph::{OperatorCatalog, OperatorKind, OperatorSpec, OperatorSpecError};

/// The operators that a binary was built with: the built-in ones, and those that its author
/// registers.
///
/// An operator is made by a closure from its options. The closure is also called to check a job
/// graph, so it only reads the options; whatever costs or can fail is for `open`.
///
/// # Examples
///
/// ```
/// use rpc_components::operator::{
///     Collector, Operator, OperatorError, OperatorRegistry, Record, Value,
/// };
///
/// struct Repeat(u64);
///
/// impl Operator for Repeat {
///     fn process(
///         &mut self,
///         record: Record<'_>,
///         out: &mut dyn Collector,
///     ) -> Result<(), OperatorError> {
///         (0..self.0).try_for_each(|_| out.emit(record))
///     }
/// }
///
/// let mut registry = OperatorRegistry::new();
/// registry.register_transform("repeat", |options| Ok(Repeat(options.required("times")?)))?;
/// # Ok::<(), rpc_components::operator::RegisterError>(())
/// ```
#[derive(Clone)]
pub struct OperatorRegistry {
    makers: BTreeMap<String, Maker>,
}

/// An operator that is ready to be opened.
#[derive(Debug)]
#[non_exhaustive]
pub enum RunnableOperator {
    /// A transform or a sink.
    Operator(Box<dyn Operator>),
    /// A source.
    Source(Box<dyn Source>),
}

impl OperatorRegistry {
    /// Makes a registry of the built-in operators.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Self {
            makers: BTreeMap::new(),
        };
        let built_in = builtin::register(&mut registry);
        debug_assert_eq!(built_in, Ok(()), "the built-in names differ");
        registry
    }

    /// Adds a source.
    ///
    /// # Errors
    ///
    /// [`RegisterError::Duplicate`] if there is an operator of that name.
    pub fn register_source<S: Source + 'static>(
        &mut self,
        name: &str,
        make: impl Fn(&mut Options<'_>) -> Result<S, OperatorSpecError> + Send + Sync + 'static,
    ) -> Result<(), RegisterError> {
        let make: Make = Arc::new(move |options: &mut Options<'_>| {
            make(options).map(|source| RunnableOperator::Source(Box::new(source)))
        });
        self.register(name, OperatorKind::Source, make)
    }

    /// Adds a transform.
    ///
    /// # Errors
    ///
    /// [`RegisterError::Duplicate`] if there is an operator of that name.
    pub fn register_transform<O: Operator + 'static>(
        &mut self,
        name: &str,
        make: impl Fn(&mut Options<'_>) -> Result<O, OperatorSpecError> + Send + Sync + 'static,
    ) -> Result<(), RegisterError> {
        self.register(name, OperatorKind::Transform, make_operator(make))
    }

    /// Adds a sink: an operator that hands nothing on.
    ///
    /// # Errors
    ///
    /// [`RegisterError::Duplicate`] if there is an operator of that name.
    pub fn register_sink<O: Operator + 'static>(
        &mut self,
        name: &str,
        make: impl Fn(&mut Options<'_>) -> Result<O, OperatorSpecError> + Send + Sync + 'static,
    ) -> Result<(), RegisterError> {
        self.register(name, OperatorKind::Sink, make_operator(make))
    }

    /// Makes an operator as it is described.
    ///
    /// # Errors
    ///
    /// [`OperatorSpecError`] says whether there is no such operator or which option is wrong.
    pub fn make(&self, spec: &OperatorSpec) -> Result<RunnableOperator, OperatorSpecError> {
        Ok(self.make_with_paths(spec)?.0)
    }

    /// Makes an operator, and tells which of its options are paths.
    fn make_with_paths(
        &self,
        spec: &OperatorSpec,
    ) -> Result<(RunnableOperator, Vec<String>), OperatorSpecError> {
        let maker = self.maker(spec)?;
        let mut options = Options::new(spec);
        let operator = (maker.make)(&mut options)?;
        Ok((operator, options.finish()?))
    }

    /// Returns the names of all operators, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.makers.keys().map(String::as_str)
    }

    fn register(
        &mut self,
        name: &str,
        kind: OperatorKind,
        make: Make,
    ) -> Result<(), RegisterError> {
        if self.makers.contains_key(name) {
            return Err(RegisterError::Duplicate { name: name.into() });
        }
        self.makers.insert(name.into(), Maker { kind, make });
        Ok(())
    }

    fn maker(&self, spec: &OperatorSpec) -> Result<&Maker, OperatorSpecError> {
        let maker = self.makers.get(&spec.name);
        maker.ok_or_else(|| OperatorSpecError::UnknownOperator {
            operator: spec.name.clone(),
            known: self.makers.keys().cloned().collect(),
        })
    }
}

impl OperatorCatalog for OperatorRegistry {
    fn kind(&self, operator: &OperatorSpec) -> Result<OperatorKind, OperatorSpecError> {
        self.make(operator)?;
        Ok(self.maker(operator)?.kind)
    }

    fn path_options(&self, operator: &OperatorSpec) -> Result<Vec<String>, OperatorSpecError> {
        Ok(self.make_with_paths(operator)?.1)
    }
}

impl Default for OperatorRegistry {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for OperatorRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.makers.keys()).finish()
    }
}

#[derive(Clone)]
struct Maker {
    kind: OperatorKind,
    make: Make,
}

type Make =
    Arc<dyn Fn(&mut Options<'_>) -> Result<RunnableOperator, OperatorSpecError> + Send + Sync>;

fn make_operator<O: Operator + 'static>(
    make: impl Fn(&mut Options<'_>) -> Result<O, OperatorSpecError> + Send + Sync + 'static,
) -> Make {
    Arc::new(move |options: &mut Options<'_>| {
        make(options).map(|operator| RunnableOperator::Operator(Box::new(operator)))
    })
}
