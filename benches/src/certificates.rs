use std::env;
use std::process::Command;
use std::sync::OnceLock;

use rpc_tls::Certificates;

/// The certificates of all subjects that have any: the same in the processes that this one starts.
pub(crate) fn certificates() -> &'static Certificates {
    static MADE: OnceLock<Certificates> = OnceLock::new();
    MADE.get_or_init(|| {
        let given = VARIABLES.map(|name| env::var(name).ok());
        match given {
            [Some(certificate), Some(key), Some(authority)] => {
                let [certificate, key, authority] =
                    [&certificate, &key, &authority].map(|it| it.as_bytes());
                let read = Certificates::from_pem(certificate, key, authority);
                read.expect("the process that started this one has made them")
            }
            _ => Certificates::generate(&[]).expect("there are random bytes"),
        }
    })
}

/// Gives the certificates to a process that is about to be started.
pub(crate) fn give(command: &mut Command) {
    let made = certificates();
    let texts = [made.cert_pem(), made.key_pem(), made.ca_pem()];
    command.envs(VARIABLES.into_iter().zip(texts));
}

const VARIABLES: [&str; 3] = ["BENCH_CERTIFICATE", "BENCH_KEY", "BENCH_AUTHORITY"];
