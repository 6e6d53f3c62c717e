//! `rpc-cluster certificates`.

use std::fs;
use std::path::Path;

use rpc_components::transport::generate_certificates;

use crate::args::CertificatesArgs;
use crate::error::CliError;
use crate::output;

pub(crate) fn generate(args: &CertificatesArgs) -> Result<(), CliError> {
    let hosts: Vec<&str> = args.host.iter().map(String::as_str).collect();
    let made = generate_certificates(&hosts).map_err(|error| CliError::wrong(&error))?;
    let folder = &args.folder;
    let failed = |path: &Path, error: &std::io::Error| {
        CliError::usage(format!("cannot write {}: {error}", path.display()))
    };
    fs::create_dir_all(folder).map_err(|error| failed(folder, &error))?;
    for (name, text) in [("ca.pem", made.authority), ("cert.pem", made.certificate)] {
        let path = folder.join(name);
        fs::write(&path, text).map_err(|error| failed(&path, &error))?;
    }
    let path = folder.join("key.pem");
    write_private(&path, &made.key).map_err(|error| failed(&path, &error))?;
    output::say(&format!(
        "wrote ca.pem, cert.pem and key.pem to {}",
        folder.display()
    ));
    Ok(())
}

/// Writes a file that only its owner may read, from its first byte on.
fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())
}
