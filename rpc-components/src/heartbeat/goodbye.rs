//! The better way to learn that somebody is gone: it says so, and waits until that was heard.

use std::time::Duration;

use futures_util::future::join_all;
use rpc_core::Call;

/// Waits until the others have heard that an endpoint stops, but not for long.
///
/// An endpoint often stops because its process does, and a connection that is closed loses what is
/// still on its way. Whoever has not heard it finds out by the end of the connection.
pub(crate) async fn until_heard(goodbyes: impl IntoIterator<Item = Call<()>>) {
    let goodbyes = goodbyes.into_iter().map(|it| it.timeout(GOODBYE_TIMEOUT));
    for failed in join_all(goodbyes).await.into_iter().filter_map(Result::err) {
        tracing::debug!(error = %failed, "a goodbye was not heard");
    }
}

/// An endpoint that stops does not wait longer than this for another one.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(2);
