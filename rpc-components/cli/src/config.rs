//! The file of limits and times.

use std::path::Path;

use rpc_components::entrypoint::ClusterConfig;

use crate::error::CliError;

/// Reads the file of limits and times, if there is one.
pub(crate) fn config(path: Option<&Path>) -> Result<ClusterConfig, CliError> {
    let config = path.map_or_else(|| Ok(ClusterConfig::default()), ClusterConfig::read);
    config.map_err(|error| CliError::wrong(&error))
}
