use std::future::pending;
use std::io;
use std::process::Command;
use std::time::Duration;

use tokio::time::timeout;

use super::Signals;

/// One test for all, as the signals are the process's.
#[tokio::test]
async fn a_second_signal_does_not_wait_for_the_close() {
    for names in [["TERM", "TERM"], ["INT", "INT"], ["TERM", "INT"]] {
        let mut signals = Signals::new().unwrap();
        send(names[0]);
        signals.terminated().await;
        let never = pending::<io::Result<()>>();
        let closed = async { signals.closed("job manager", never).await };
        let closed = timeout(DEADLINE, closed);
        let (closed, ()) = tokio::join!(biased; closed, async { send(names[1]) });
        let error = closed.expect("it does not wait").unwrap_err();
        assert_eq!(error.status(), 1);
        assert!(error.to_string().contains("by a signal"), "{error}");
    }
    // Who sent two before it began does not want it to.
    let mut signals = Signals::new().unwrap();
    for _ in 0..2 {
        send("TERM");
        signals.terminated().await;
    }
    let never = signals.closed("job manager", pending::<io::Result<()>>());
    let closed = timeout(DEADLINE, never).await;
    closed.expect("it does not wait").unwrap_err();
    // A close that ends by itself is not disturbed by the first signal.
    let mut signals = Signals::new().unwrap();
    send("TERM");
    signals.terminated().await;
    let closes = async {
        tokio::task::yield_now().await;
        io::Result::Ok(())
    };
    signals.closed("job manager", closes).await.unwrap();
}

/// Sends a signal to this process, which does not end by it once there are [`Signals`].
fn send(name: &str) {
    let mut kill = Command::new("kill");
    kill.args(["-s", name, &std::process::id().to_string()]);
    assert!(kill.status().unwrap().success());
}

/// Long enough for a machine that does something else too.
const DEADLINE: Duration = Duration::from_secs(60);
