//! The endpoint that is called, and what may be asked of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::Duration;

use super::ledger::{Kind, Ledger, What};
use crate::{
    Call, Context, MainThread, RpcEndpoint, RpcError, RpcResult, gateways, rpc_endpoint,
    rpc_gateway,
};

/// Each call has a number, which is its answer too.
#[rpc_gateway]
pub(super) trait ClerkGateway {
    /// Returns which incarnation of the endpoint it is.
    fn birth(&self) -> Call<u64>;
    fn note(&self, call: u64) -> Call<u64>;
    /// Takes so many milliseconds.
    fn work(&self, call: u64, millis: u64) -> Call<u64>;
    #[rpc(idempotent)]
    fn again(&self, call: u64) -> Call<u64>;
    fn tell(&self, call: u64);
    /// Lets another clerk work, for as long as that takes.
    fn delegate(&self, call: u64, to: String, millis: u64) -> Call<u64>;
    /// Lets another clerk work that this one does not wait for.
    fn plant(&self, call: u64, to: String, inner: u64, millis: u64) -> Call<u64>;
    /// Takes a large message.
    fn bulk(&self, call: u64, bytes: Vec<u8>) -> Call<u64>;
}

#[rpc_gateway(fenced)]
pub(super) trait ChiefGateway {
    fn lead(&self, call: u64) -> Call<u64>;
    fn order(&self, call: u64);
}

pub(super) struct Clerk {
    ledger: Ledger,
    birth: u64,
    others: BTreeMap<String, Arc<dyn ClerkGateway>>,
}

impl Clerk {
    pub(super) fn new(ledger: &Ledger) -> Self {
        Self {
            ledger: ledger.clone(),
            birth: ledger.birth(),
            others: BTreeMap::new(),
        }
    }

    fn note_call(&self, cx: &Context<Self>, call: u64) {
        drop(self.ledger.run(call, self.birth, cx.fencing_token()));
    }
}

impl RpcEndpoint for Clerk {
    type Gateways = gateways![ClerkGateway, ChiefGateway];
}

#[rpc_endpoint(ClerkGateway)]
impl Clerk {
    fn birth(&mut self) -> RpcResult<u64> {
        Ok(self.birth)
    }

    fn note(&mut self, cx: &mut Context<Self>, call: u64) -> RpcResult<u64> {
        self.note_call(cx, call);
        Ok(call)
    }

    async fn work(main: MainThread<'_, Self>, call: u64, millis: u64) -> RpcResult<u64> {
        let _running = main.run(|it, cx| it.ledger.run(call, it.birth, cx.fencing_token()));
        tokio::time::sleep(Duration::from_millis(millis)).await;
        Ok(call)
    }

    fn again(&mut self, cx: &mut Context<Self>, call: u64) -> RpcResult<u64> {
        self.note_call(cx, call);
        Ok(call)
    }

    fn tell(&mut self, cx: &mut Context<Self>, call: u64) {
        self.note_call(cx, call);
    }

    async fn delegate(
        main: MainThread<'_, Self>,
        call: u64,
        to: String,
        millis: u64,
    ) -> RpcResult<u64> {
        let (ledger, _running) = main.run(|it, cx| {
            let running = it.ledger.run(call, it.birth, cx.fencing_token());
            (it.ledger.clone(), running)
        });
        let other = other(main, &to).await?;
        let inner = ledger.issue(What {
            kind: Kind::Nested,
            // It inherits what is left of the outer call's time, which is less than all of it.
            timeout: ledger.timeout(call),
            ..What::default()
        });
        let mut guard = EndOnDrop {
            ledger,
            call: inner,
            ended: false,
        };
        let result = other.work(inner, millis).without_timeout().await;
        if result
            .as_ref()
            .is_err_and(|it| matches!(it, RpcError::Unreachable { .. }))
        {
            main.run(|it, _| it.others.remove(&to));
        }
        guard.end(&result);
        result?;
        Ok(call)
    }

    async fn plant(
        main: MainThread<'_, Self>,
        call: u64,
        to: String,
        inner: u64,
        millis: u64,
    ) -> RpcResult<u64> {
        main.run(|it, cx| it.note_call(cx, call));
        let other = other(main, &to).await?;
        other.work(inner, millis).without_timeout().detach();
        Ok(call)
    }

    fn bulk(&mut self, cx: &mut Context<Self>, call: u64, bytes: Vec<u8>) -> RpcResult<u64> {
        self.note_call(cx, call);
        match bytes.iter().all(|it| *it == call as u8) {
            true => Ok(call),
            false => Err(crate::Failure::message("the bytes are others").into()),
        }
    }
}

#[rpc_endpoint(ChiefGateway)]
impl Clerk {
    fn lead(&mut self, cx: &mut Context<Self>, call: u64) -> RpcResult<u64> {
        self.note_call(cx, call);
        Ok(call)
    }

    fn order(&mut self, cx: &mut Context<Self>, call: u64) {
        self.note_call(cx, call);
    }
}

/// Returns a gateway to another clerk.
async fn other(main: MainThread<'_, Clerk>, to: &str) -> RpcResult<Arc<dyn ClerkGateway>> {
    let (service, known) = main.run(|it, cx| (cx.service(), it.others.get(to).cloned()));
    if let Some(known) = known {
        return Ok(known);
    }
    let service = service.ok_or_else(|| crate::Failure::message("it ends"))?;
    let other = service.connect::<dyn ClerkGateway>(to).await;
    let other = other.map_err(|error| RpcError::failed(&error))?;
    main.run(|it, _| it.others.insert(to.to_owned(), Arc::clone(&other)));
    Ok(other)
}

/// A nested call ends with its handler, if that is dropped.
struct EndOnDrop {
    ledger: Ledger,
    call: u64,
    ended: bool,
}

impl EndOnDrop {
    fn end(&mut self, result: &RpcResult<u64>) {
        self.ended = true;
        self.ledger.end(self.call, Some(result.clone()));
    }
}

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        if !self.ended {
            self.ledger.end::<crate::Never>(self.call, None);
        }
    }
}
