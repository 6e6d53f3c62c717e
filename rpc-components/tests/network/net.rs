//! Hosts that are network namespaces, the wires between them, and what can happen to both.

use std::process::Command;

use crate::child::Child;

/// A server's host, and a caller's.
pub(crate) struct Net {
    pub(crate) server: Host,
    pub(crate) caller: Host,
}

/// A network namespace; a process that sleeps keeps it alive.
pub(crate) struct Host(Child);

impl Net {
    pub(crate) fn new() -> Self {
        // As root of a user namespace of one's own, so that nobody has to be root.
        let mut unshare = Command::new("unshare");
        unshare.args(["--user", "--map-root-user", "--net"]);
        let server = Host::start(unshare);
        server.sh("ip link set lo up");
        let caller = server.wire(0);
        Self { server, caller }
    }

    /// Lets nothing come in at a host. Its own are not told, as a firewall's would be.
    pub(crate) fn cut(host: &Host) {
        host.sh("nft 'table inet cut { chain in { type filter hook input priority 0; drop; }; }'");
    }

    pub(crate) fn heal(host: &Host) {
        host.sh("nft delete table inet cut");
    }

    pub(crate) fn cut_both(&self) {
        Self::cut(&self.server);
        Self::cut(&self.caller);
    }

    pub(crate) fn heal_both(&self) {
        Self::heal(&self.server);
        Self::heal(&self.caller);
    }
}

impl Host {
    fn start(mut unshare: Command) -> Self {
        let sleep = "echo ready; exec sleep 600";
        let mut child = Child::start(unshare.args(["sh", "-c", sleep]));
        child.stdout_line("ready");
        Self(child)
    }

    /// Adds a host, and a wire to it: the server is always 10.9.0.1.
    pub(crate) fn wire(&self, number: u8) -> Self {
        let mut unshare = self.command("unshare");
        unshare.arg("--net");
        let other = Self::start(unshare);
        let (near, far) = (format!("10.9.{number}.1"), format!("10.9.{number}.2"));
        let pid = other.0.id();
        self.sh(&format!(
            "ip link add wire{number} type veth peer name wire netns {pid}
             ip address add {near}/24 dev wire{number}
             ip link set wire{number} up"
        ));
        other.sh(&format!(
            "ip address add {far}/24 dev wire
             ip link set wire up"
        ));
        if number > 0 {
            other.sh(&format!("ip route add 10.9.0.1 via {near}"));
        }
        other
    }

    /// Returns a command that runs on this host, as the process that is started.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.0.id().to_string()]);
        command.args(["--user", "--net", "--preserve-credentials", program]);
        command
    }

    /// Runs a script to its end.
    #[track_caller]
    pub(crate) fn sh(&self, script: &str) {
        let output = self.command("sh").args(["-ec", script]).output().unwrap();
        assert!(output.status.success(), "{script}: {output:?}");
    }
}
