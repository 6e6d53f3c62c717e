//! The crates are of use outside the workspace, and bring along no more than they have to.
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod child;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use self::child::Child;

#[test]
fn a_crate_outside_needs_the_core_and_one_transport_only() {
    let outside = Outside::build();
    let mut server = Child::start(Command::new(outside.program("over-tcp")).arg("serve"));
    let address = server.stdout_line("tcp://127.0.0.1:");
    let mut caller = Command::new(outside.program("over-tcp"));
    let caller = Child::start(caller.args(["call", &address, "hello"])).end();
    assert_eq!(caller.status, Some(0), "{caller:#?}");
    assert_eq!(caller.stdout, "hello, hello\n");
    drop(server);
    let mut alone = Command::new(outside.program("alone"));
    assert_eq!(
        Child::start(alone.arg("hello")).end().stdout,
        "hello, hello\n"
    );

    for (package, without) in [
        ("over-tcp", &WITHOUT[..]),
        (
            "alone",
            &[&WITHOUT[..], &["rpc-transport-tcp", "socket2"]].concat(),
        ),
    ] {
        let tree = outside.cargo(&["tree", "--package", package, "--prefix", "none"]);
        let crates = || tree.lines().filter_map(|line| line.split(' ').next());
        assert!(crates().any(|name| name == "rpc-core"), "{tree}");
        for name in without {
            assert!(
                crates().all(|it| it != *name),
                "{package} has {name}:\n{tree}"
            );
        }
    }
}

/// A workspace of two crates that depend on this one's.
struct Outside {
    folder: PathBuf,
}

impl Outside {
    /// Writes it where the next run finds it, so that only what has changed is built again.
    fn build() -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("outside");
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let workspace = workspace.canonicalize().unwrap();
        let local = |name: &str| {
            let path = workspace.join(name);
            format!("{name} = {{ path = {path:?}, default-features = false")
        };
        let core = format!("{}, features = ['macros'] }}\n", local("rpc-core"));
        let tcp = format!("{} }}\n", local("rpc-transport-tcp"));
        let write = |name: &str, text: &str| {
            let path = folder.join(name);
            if fs::read_to_string(&path).ok().as_deref() != Some(text) {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
        };
        write("Cargo.toml", WORKSPACE);
        write("alone/Cargo.toml", &(package("alone") + &core));
        write("alone/src/main.rs", ALONE);
        write("alone/src/echo.rs", ECHO);
        write("over-tcp/Cargo.toml", &(package("over-tcp") + &core + &tcp));
        write("over-tcp/src/main.rs", OVER_TCP);
        write("over-tcp/src/echo.rs", ECHO);
        // The versions that this workspace has, which are on this machine. What is not of use is
        // taken out by cargo.
        fs::copy(workspace.join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
        let outside = Self { folder };
        outside.cargo(&["build", "--quiet"]);
        outside
    }

    fn cargo(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO"));
        command.current_dir(&self.folder).args(arguments);
        command.args(["--offline", "--color", "never"]);
        command.env("CARGO_TARGET_DIR", self.folder.join("target"));
        // As a shell has it, not as the cargo that runs this test has set it.
        command
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS");
        let output = command.output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command:?}\n{stderr}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn program(&self, name: &str) -> PathBuf {
        self.folder.join("target/debug").join(name)
    }
}

fn package(name: &str) -> String {
    format!(
        "[package]\nname = '{name}'\nversion = '0.0.0'\nedition = '2024'\n\n[dependencies]\n\
         serde = {{ version = '1', features = ['derive'] }}\n\
         tokio = {{ version = '1', features = ['macros', 'rt-multi-thread'] }}\n"
    )
}

/// What neither of the crates asked for.
const WITHOUT: [&str; 9] = [
    "quinn",
    "rcgen",
    "rpc-cli",
    "rpc-components",
    "rpc-tls",
    "rpc-transport-local",
    "rpc-transport-quic",
    "rustls",
    "tokio-rustls",
];

const WORKSPACE: &str = "\
[workspace]
resolver = '3'
members = ['alone', 'over-tcp']

[profile.dev]
debug = false
";

/// A gateway with an error of its own, and an endpoint.
const ECHO: &str = r#"
use rpc_core::{Call, RpcEndpoint, RpcResult, gateways, rpc_endpoint, rpc_gateway};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
pub struct Said {
    pub text: String,
    pub times: u32,
}

#[rpc_gateway]
pub trait EchoGateway {
    fn echo(&self, said: Said) -> Call<Said>;
}

pub struct Echo;

impl RpcEndpoint for Echo {
    type Gateways = gateways![EchoGateway];
}

#[rpc_endpoint(EchoGateway)]
impl Echo {
    fn echo(&self, said: Said) -> RpcResult<Said> {
        let text = vec![said.text; said.times as usize].join(", ");
        Ok(Said { text, times: 1 })
    }
}
"#;

const ALONE: &str = r#"
mod echo;

use std::error::Error;
use std::sync::Arc;

use echo::{Echo, EchoGateway, Said};
use rpc_core::RpcService;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let rpc = RpcService::local();
    rpc.start_server("echo", Echo)?.start();
    let echo: Arc<dyn EchoGateway> = rpc.connect("echo").await?;
    let text = std::env::args().nth(1).unwrap_or_default();
    println!("{}", echo.echo(Said { text, times: 2 }).await?.text);
    Ok(rpc.close().await?)
}
"#;

const OVER_TCP: &str = r#"
mod echo;

use std::error::Error;
use std::sync::Arc;

use echo::{Echo, EchoGateway, Said};
use rpc_core::RpcService;
use rpc_transport_tcp::Tcp;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve"] => {
            let rpc = RpcService::builder().transport(Tcp::bind("127.0.0.1:0"));
            let rpc = rpc.build().await?;
            let server = rpc.start_server("echo", Echo)?;
            server.start();
            println!("{}", server.address());
            Ok(server.terminated().await?)
        }
        ["call", address, text] => {
            let rpc = RpcService::builder().transport(Tcp::dial_only());
            let rpc = rpc.build().await?;
            let echo: Arc<dyn EchoGateway> = rpc.connect(address).await?;
            let said = Said { text: text.into(), times: 2 };
            println!("{}", echo.echo(said).await?.text);
            Ok(rpc.close().await?)
        }
        _ => Err("serve | call ADDRESS TEXT".into()),
    }
}
"#;
