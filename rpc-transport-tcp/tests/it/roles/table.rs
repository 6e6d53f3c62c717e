//! Who may call what by the roles of their certificate, whichever transport they come by.
//!
//! What includes this file has `make`, by which a service listens and dials.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rpc_core::{
    Call, Outcome, RpcConfig, RpcEndpoint, RpcError, RpcResult, RpcService, RpcServiceBuilder,
    gateways, rpc_endpoint, rpc_gateway,
};

use super::{CertificateAuthority, CertificateRequest, Certificates, make};

/// Callers, by the roles of their certificates.
const CALLERS: [&[&str]; 5] = [
    &["client"],
    &["admin"],
    &["admin", "client"],
    &[],
    // All of these are like the names of roles that are allowed something.
    &["ADMIN", "adm", "admin-client", "administrator", "clients"],
];

/// Methods, and for each caller whether it may call them.
const TABLE: [(&str, [bool; 5]); 7] = [
    ("VaultGateway::read", [true, false, true, false, false]),
    ("VaultGateway::open", [false, true, true, false, false]),
    ("VaultGateway::look", [true, true, true, false, false]),
    ("VaultGateway::hide", [false, false, false, false, false]),
    ("VaultGateway::burn", [false, true, true, false, false]),
    ("AuditGateway::audit", [false, true, true, false, false]),
    ("AuditGateway::sign", [true, false, true, false, false]),
];

#[tokio::test]
async fn a_method_runs_for_the_roles_that_it_names_and_for_no_others() {
    let authority = CertificateAuthority::generate().unwrap();
    let builder = RpcService::builder().require_roles();
    let callee = Callee::new(builder, Some(issue(&authority, &[]))).await;
    for (place, roles) in CALLERS.iter().enumerate() {
        let caller = callee.caller(Some(issue(&authority, roles))).await;
        for (method, allowed) in TABLE {
            match allowed[place] {
                true => callee.lets(&caller, method).await,
                false => callee.forbids(&caller, method, roles).await,
            }
        }
        caller.rpc.close().await.unwrap();
    }
    callee.rpc.close().await.unwrap();
}

#[tokio::test]
async fn a_peer_without_a_certificate_may_call_nothing_where_roles_are_required() {
    let callee = Callee::new(RpcService::builder().require_roles(), None).await;
    let caller = callee.caller(None).await;
    for (method, _) in TABLE {
        callee.forbids(&caller, method, &[]).await;
    }
    caller.rpc.close().await.unwrap();
    callee.rpc.close().await.unwrap();
}

#[tokio::test]
async fn roles_say_nothing_where_they_are_not_required() {
    let authority = CertificateAuthority::generate().unwrap();
    for certificates in [Some(issue(&authority, &[])), None] {
        let callee = Callee::new(RpcService::builder(), certificates.clone()).await;
        let caller = callee.caller(certificates).await;
        for (method, _) in TABLE {
            callee.lets(&caller, method).await;
        }
        caller.rpc.close().await.unwrap();
        callee.rpc.close().await.unwrap();
    }
}

#[tokio::test]
async fn calls_within_the_service_are_not_judged() {
    let authority = CertificateAuthority::generate().unwrap();
    let builder = RpcService::builder().require_roles();
    let callee = Callee::new(builder, Some(issue(&authority, &[]))).await;
    for address in ["vault", &callee.address] {
        let caller = Caller::new(callee.rpc.clone(), address).await;
        for (method, _) in TABLE {
            let number = mark();
            assert_eq!(caller.call(method, number).await, Ok(()), "{method}");
            assert!(callee.has_run(number).await, "{method}");
        }
    }
    callee.rpc.close().await.unwrap();
}

/// Who may call is told that the arguments are none, and who may not is told nothing of them.
#[tokio::test]
async fn a_forbidden_call_is_not_decoded() {
    let authority = CertificateAuthority::generate().unwrap();
    let builder = RpcService::builder().require_roles();
    let callee = Callee::new(builder, Some(issue(&authority, &[]))).await;
    for (role, forbidden) in [("admin", false), ("client", true)] {
        let rpc = make(RpcService::builder(), Some(issue(&authority, &[role]))).await;
        let well = rpc.connect::<dyn NoteGateway>(&callee.address).await;
        let well = well.unwrap().note("well".to_owned()).await;
        let badly = rpc.connect::<dyn impostor::NoteGateway>(&callee.address);
        let badly = badly.await.unwrap().note(()).await.unwrap_err();
        match forbidden {
            true => {
                assert!(matches!(badly, RpcError::Forbidden { .. }), "{badly:?}");
                assert_eq!(well, Err(badly));
            }
            false => {
                assert!(matches!(badly, RpcError::Codec { .. }), "{badly:?}");
                assert_eq!(well, Ok(()));
            }
        }
        rpc.close().await.unwrap();
    }
    callee.rpc.close().await.unwrap();
}

/// More of them than fit into the connection's window.
#[tokio::test]
async fn forbidden_messages_do_not_fill_the_window() {
    let authority = CertificateAuthority::generate().unwrap();
    let mut config = RpcConfig::default();
    config.frame_bytes_max = 1 << 20;
    config.mailbox_bytes_max = 2 << 20;
    config.window_bytes = 4 << 20;
    let builder = || RpcService::builder().config(config.clone());
    let certificates = Some(issue(&authority, &[]));
    let callee = Callee::new(builder().require_roles(), certificates).await;
    let client = issue(&authority, &["client"]);
    let caller = Caller::new(make(builder(), Some(client)).await, &callee.address).await;
    for _ in 0..20 {
        caller.vault.fill(vec![0; 1 << 19]);
        caller.is_heard().await;
    }
    callee.lets(&caller, "VaultGateway::read").await;
    caller.rpc.close().await.unwrap();
    callee.rpc.close().await.unwrap();
}

fn issue(authority: &CertificateAuthority, roles: &[&str]) -> Certificates {
    let mut request = CertificateRequest::default();
    request.roles = roles.iter().copied().map(str::to_owned).collect();
    authority.issue_with(&request).unwrap()
}

/// The service of an endpoint with two gateways, and a gateway that is not judged.
struct Callee {
    rpc: RpcService,
    within: Arc<dyn VaultGateway>,
    address: String,
}

impl Callee {
    async fn new(builder: RpcServiceBuilder, certificates: Option<Certificates>) -> Self {
        let rpc = make(builder, certificates).await;
        let server = rpc.start_server("vault", Vault::default()).unwrap();
        server.start();
        Self {
            within: rpc.connect("vault").await.unwrap(),
            address: server.address(),
            rpc,
        }
    }

    async fn caller(&self, certificates: Option<Certificates>) -> Caller {
        let rpc = make(RpcService::builder(), certificates).await;
        Caller::new(rpc, &self.address).await
    }

    async fn has_run(&self, mark: Mark) -> bool {
        self.within.ran().await.unwrap().contains(&mark)
    }

    /// Makes a call that is allowed.
    async fn lets(&self, caller: &Caller, method: &str) {
        let number = mark();
        assert_eq!(caller.call(method, number).await, Ok(()), "{method}");
        caller.is_heard().await;
        assert!(self.has_run(number).await, "{method}");
    }

    /// Makes a call that is forbidden to these roles, which are in order.
    async fn forbids(&self, caller: &Caller, method: &str, roles: &[&str]) {
        let number = mark();
        let result = caller.call(method, number).await;
        match method == ONE_WAY {
            true => caller.is_heard().await,
            false => {
                let error = result.unwrap_err();
                assert_eq!(error.outcome(), Outcome::NotExecuted, "{method}");
                let roles = roles.iter().copied().map(str::to_owned).collect();
                let method = method.to_owned();
                assert_eq!(error, RpcError::Forbidden { method, roles });
            }
        }
        assert!(!self.has_run(number).await, "{method} for {roles:?}");
    }
}

/// A service that calls, and its gateways.
struct Caller {
    rpc: RpcService,
    vault: Arc<dyn VaultGateway>,
    audit: Arc<dyn AuditGateway>,
}

impl Caller {
    async fn new(rpc: RpcService, address: &str) -> Self {
        Self {
            vault: rpc.connect(address).await.unwrap(),
            audit: rpc.connect(address).await.unwrap(),
            rpc,
        }
    }

    async fn call(&self, method: &str, mark: Mark) -> RpcResult<()> {
        match method {
            "VaultGateway::read" => self.vault.read(mark).await,
            "VaultGateway::open" => self.vault.open(mark).await,
            "VaultGateway::look" => self.vault.look(mark).await,
            "VaultGateway::hide" => self.vault.hide(mark).await,
            ONE_WAY => {
                self.vault.burn(mark);
                Ok(())
            }
            "AuditGateway::audit" => self.audit.audit(mark).await,
            "AuditGateway::sign" => self.audit.sign(mark).await,
            _ => panic!("there is no {method}"),
        }
    }

    /// Waits until what was sent before has been judged: an answer comes, whichever.
    async fn is_heard(&self) {
        let _ = self.vault.hide(mark()).await;
    }
}

#[rpc_gateway]
pub(crate) trait VaultGateway {
    #[rpc(roles = "client")]
    fn read(&self, mark: Mark) -> Call<()>;
    #[rpc(roles = "admin")]
    fn open(&self, mark: Mark) -> Call<()>;
    #[rpc(roles = "client, admin")]
    fn look(&self, mark: Mark) -> Call<()>;
    fn hide(&self, mark: Mark) -> Call<()>;
    #[rpc(roles = "admin")]
    fn burn(&self, mark: Mark);
    #[rpc(roles = "admin")]
    fn fill(&self, bytes: Vec<u8>);
    /// It is for who calls within the service.
    fn ran(&self) -> Call<BTreeSet<Mark>>;
}

/// Its methods are for the admin, but for the one that says otherwise.
#[rpc_gateway(roles = "admin")]
pub(crate) trait AuditGateway {
    fn audit(&self, mark: Mark) -> Call<()>;
    #[rpc(roles = "client")]
    fn sign(&self, mark: Mark) -> Call<()>;
}

/// Remembers what it has run.
#[derive(Default)]
struct Vault {
    ran: BTreeSet<Mark>,
}

impl Vault {
    fn run(&mut self, mark: Mark) -> RpcResult<()> {
        assert!(self.ran.insert(mark));
        Ok(())
    }
}

impl RpcEndpoint for Vault {
    type Gateways = gateways![VaultGateway, AuditGateway, NoteGateway];
}

#[rpc_endpoint(VaultGateway)]
impl Vault {
    fn read(&mut self, mark: Mark) -> RpcResult<()> {
        self.run(mark)
    }

    fn open(&mut self, mark: Mark) -> RpcResult<()> {
        self.run(mark)
    }

    fn look(&mut self, mark: Mark) -> RpcResult<()> {
        self.run(mark)
    }

    fn hide(&mut self, mark: Mark) -> RpcResult<()> {
        self.run(mark)
    }

    fn burn(&mut self, mark: Mark) {
        let _ = self.run(mark);
    }

    fn fill(&mut self, bytes: Vec<u8>) {
        panic!("{} bytes that are forbidden", bytes.len());
    }

    fn ran(&mut self) -> RpcResult<BTreeSet<Mark>> {
        Ok(self.ran.clone())
    }
}

#[rpc_endpoint(AuditGateway)]
impl Vault {
    fn audit(&mut self, mark: Mark) -> RpcResult<()> {
        self.run(mark)
    }

    fn sign(&mut self, mark: Mark) -> RpcResult<()> {
        self.run(mark)
    }
}

/// A gateway as somebody knows it whose arguments are other ones, though of the same name.
mod impostor {
    use rpc_core::{Call, rpc_gateway};

    type Text = ();

    #[rpc_gateway]
    pub(crate) trait NoteGateway {
        #[rpc(roles = "admin")]
        fn note(&self, text: Text) -> Call<()>;
    }
}

type Text = String;

#[rpc_gateway]
pub(crate) trait NoteGateway {
    #[rpc(roles = "admin")]
    fn note(&self, text: Text) -> Call<()>;
}

#[rpc_endpoint(NoteGateway)]
impl Vault {
    fn note(&mut self, text: Text) -> RpcResult<()> {
        assert_eq!(text, "well");
        Ok(())
    }
}

/// What tells one call from all others.
type Mark = u64;

fn mark() -> Mark {
    static MADE: AtomicU64 = AtomicU64::new(0);
    MADE.fetch_add(1, Ordering::Relaxed)
}

const ONE_WAY: &str = "VaultGateway::burn";
