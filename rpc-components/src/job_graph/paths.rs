//! The paths in a job graph.

use super::{JobGraph, OperatorCatalog, OptionValue};

impl JobGraph {
    /// Replaces every path in the options of the operators by what `change` makes of it.
    ///
    /// Paths that are relative to the folder of who describes a job have to be made absolute before
    /// the job is submitted: the processes of the cluster have working folders of their own. An
    /// operator that cannot be made is left to [`validate`](Self::validate).
    ///
    /// # Errors
    ///
    /// Those of `change`.
    pub fn change_paths<E>(
        &mut self,
        operators: &dyn OperatorCatalog,
        change: impl Fn(&str) -> Result<String, E>,
    ) -> Result<(), E> {
        for vertex in &mut self.vertices {
            let operator = &mut vertex.operator;
            for option in operators.path_options(operator).unwrap_or_default() {
                match operator.options.get_mut(&option) {
                    Some(OptionValue::Text(path)) => *path = change(path)?,
                    Some(OptionValue::Texts(paths)) => {
                        for path in paths {
                            *path = change(path)?;
                        }
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }
}
