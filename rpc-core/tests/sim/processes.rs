//! Pauses and crashes of a node's process, as its tasks and its peers see them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rpc_core::RpcService;
use rpc_core::testing::sim::{self, SimCrashed};
use rpc_core::testing::{Probe, ProbeGateway};
use rpc_core::transport::Transport;

#[test]
fn a_paused_node_runs_none_of_its_tasks() {
    sim::run(1, async |net| {
        let node = net.node("a");
        let ticks = Arc::new(AtomicU64::new(0));
        let ticking = Arc::clone(&ticks);
        let _task = node.spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                ticking.fetch_add(1, Ordering::Relaxed);
            }
        });
        let second = Duration::from_secs(1);
        tokio::time::sleep(second * 10 + second / 2).await;
        net.pause("a");
        assert!(node.is_paused());
        tokio::time::sleep(second * 100).await;
        assert_eq!(ticks.load(Ordering::Relaxed), 10);
        net.resume("a");
        assert!(!node.is_paused());
        tokio::time::sleep(second * 10).await;
        // The sleep that the pause hit was over at once.
        assert_eq!(ticks.load(Ordering::Relaxed), 20);
    });
}

#[test]
fn a_crash_drops_the_tasks_and_runs_the_hooks() {
    struct SetOnDrop(Arc<AtomicBool>);
    impl Drop for SetOnDrop {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    sim::run(1, async |net| {
        let node = net.node("a");
        let [dropped, hooked] = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
        let held = SetOnDrop(Arc::clone(&dropped));
        let task = node.spawn(async move {
            let _held = held;
            std::future::pending::<()>().await;
        });
        let hook = Arc::clone(&hooked);
        node.on_crash(move || hook.store(true, Ordering::Relaxed));
        assert_eq!(node.run(async { 7 }).await, Ok(7));
        net.pause("a");
        net.crash("a");
        assert!(hooked.load(Ordering::Relaxed));
        let crashed: SimCrashed = task.await.unwrap().unwrap_err();
        assert_eq!(crashed.to_string(), "the node a has crashed");
        assert!(dropped.load(Ordering::Relaxed));
        assert!(node.is_crashed());

        let again = net.restart("a");
        assert!(node.is_crashed() && !again.is_crashed());
        node.run(async {}).await.unwrap_err();
        again.run(async {}).await.unwrap();
        // The old process is dead for ever: it neither listens nor dials.
        node.transport().listen().await.unwrap_err();
        node.transport().connect("a").await.unwrap_err();
        assert!(again.transport().listen().await.unwrap().is_some());
        let (sender, mut receiver) = tokio::sync::oneshot::channel();
        node.on_crash(move || sender.send(()).unwrap());
        assert_eq!(receiver.try_recv(), Ok(()));
    });
}

#[test]
fn a_call_to_a_paused_node_is_answered_when_it_goes_on() {
    sim::run(1, async |net| {
        let (callee, caller) = (net.node("b"), net.node("a"));
        let callee = RpcService::builder().transport(callee.transport());
        let callee = callee.build().await.unwrap();
        let caller = RpcService::builder().transport(caller.transport());
        let caller = caller.build().await.unwrap();
        let server = callee.start_server("probe", Probe::default()).unwrap();
        server.start();
        let probe: Arc<dyn ProbeGateway> = caller.connect(&server.address()).await.unwrap();
        net.pause("b");
        let call = probe.add(1).without_timeout();
        tokio::time::sleep(Duration::from_secs(10)).await;
        net.resume("b");
        let start = tokio::time::Instant::now();
        assert_eq!(call.await, Ok(1));
        // The call was there already; only the answer was under way.
        assert!(start.elapsed() <= Duration::from_millis(21));
    });
}

#[test]
fn a_paused_node_does_not_see_that_its_dial_was_answered() {
    sim::run(1, async |net| {
        let mut listener = net.node("b").transport().listen().await.unwrap().unwrap();
        let transport = net.node("a").transport();
        let dial = tokio::spawn(async move { transport.connect("b").await });
        tokio::time::sleep(Duration::from_millis(1)).await;
        net.pause("a");
        // Its host has gone on with the handshake.
        let _accepted = listener.accept().await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(!dial.is_finished());
        net.resume("a");
        dial.await.unwrap().unwrap();
    });
}

#[test]
fn a_service_of_a_restarted_node_is_reached_by_the_same_name() {
    sim::run(1, async |net| {
        let serve = async |node: sim::SimNode| {
            let service = RpcService::builder().transport(node.transport());
            let service = service.build().await.unwrap();
            service
                .start_server("probe", Probe::default())
                .unwrap()
                .start();
            service
        };
        let old = serve(net.node("b")).await;
        let caller = RpcService::builder().transport(net.node("a").transport());
        let caller = caller.build().await.unwrap();
        let probe: Arc<dyn ProbeGateway> = caller.connect("sim://b/probe").await.unwrap();
        assert_eq!(probe.add(1).await, Ok(1));
        let _new = serve(net.restart("b")).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        probe.add(2).await.unwrap_err();
        let probe: Arc<dyn ProbeGateway> = caller.connect("sim://b/probe").await.unwrap();
        assert_eq!(probe.add(4).await, Ok(4));
        drop(old);
    });
}
