//! The signals that end a process.

/// Waits until somebody wants the process to end.
pub(crate) async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};
    let terminate = async {
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => {
                terminate.recv().await;
            }
            // Then only an interrupt ends it.
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        () = terminate => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
