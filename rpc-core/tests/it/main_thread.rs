use rpc_core::*;
use std::sync::Arc;
use std::time::Duration;

#[rpc_gateway]
pub trait ResourceManagerGateway {
    fn request_slots(&self, job: u64, n: u32) -> Call<Vec<u64>>;
}

#[derive(Debug, thiserror::Error, serde::Serialize, serde::Deserialize, PartialEq, Eq, Clone)]
pub enum SubmitError {
    #[error("duplicate")]
    Duplicate,
}
impl AppError for SubmitError {}

#[rpc_gateway(fenced)]
pub trait JobMasterGateway {
    #[rpc(timeout = "5s")]
    fn submit(&self, job: u64) -> Call<String, SubmitError>;
    fn status(&self, job: u64) -> Call<bool>;
    fn next_slot(&self) -> Call<u64>;
    fn offer_slot(&self, slot: u64);
}
struct JobMaster {
    rm: Arc<dyn ResourceManagerGateway>,
    jobs: Vec<u64>,
    waiting: Vec<ReplyTo<u64>>,
}
impl RpcEndpoint for JobMaster {
    type Gateways = rpc_core::gateways![JobMasterGateway];
}
#[rpc_endpoint(JobMasterGateway)]
impl JobMaster {
    fn status(&mut self, job: u64) -> RpcResult<bool> {
        Ok(self.jobs.contains(&job))
    }
    async fn submit(main: MainThread<'_, Self>, job: u64) -> RpcResult<String, SubmitError> {
        let rm = main.run(|jm, _| {
            if jm.jobs.contains(&job) {
                Err(SubmitError::Duplicate)
            } else {
                Ok(jm.rm.clone())
            }
        })?;
        let slots = rm
            .request_slots(job, 2)
            .timeout(Duration::from_secs(5))
            .await?;
        main.run(|jm, _| {
            jm.jobs.push(job);
            Ok(format!("job {job} on {slots:?}"))
        })
    }
    fn next_slot(&mut self, reply: ReplyTo<u64>) {
        self.waiting.push(reply)
    }
    fn offer_slot(&mut self, _cx: &mut Context<Self>, slot: u64) {
        if let Some(r) = self.waiting.pop() {
            r.answer(Ok(slot))
        }
    }
}
struct ResourceManager;
impl RpcEndpoint for ResourceManager {
    type Gateways = gateways![ResourceManagerGateway];
}
#[rpc_endpoint(ResourceManagerGateway)]
impl ResourceManager {
    async fn request_slots(main: MainThread<'_, Self>, _job: u64, n: u32) -> RpcResult<Vec<u64>> {
        let rpc = main.run(|_, cx| cx.service()).unwrap();
        let jm = rpc
            .connect_fenced::<dyn JobMasterGateway>("jm", FencingToken::new(7))
            .await
            .unwrap();
        assert_eq!(jm.status(99).await, Ok(false));
        tokio::time::sleep(Duration::from_millis(20)).await;
        Ok((0..n as u64).collect())
    }
}
#[tokio::test]
async fn scratch() {
    let rpc = RpcService::local();
    let rm = rpc.start_server("rm", ResourceManager).unwrap();
    rm.start();
    let jm = rpc
        .start_server(
            "jm",
            JobMaster {
                rm: rm.gateway(),
                jobs: vec![],
                waiting: vec![],
            },
        )
        .unwrap();
    jm.start();
    jm.main_thread()
        .run_async(|_, cx| cx.set_fencing_token(Some(FencingToken::new(7))));
    let gw: Arc<dyn JobMasterGateway> = rpc
        .connect_fenced("jm", FencingToken::new(7))
        .await
        .unwrap();
    let submitted = gw.submit(1);
    assert_eq!(gw.status(1).await, Ok(false));
    assert_eq!(submitted.await.unwrap(), "job 1 on [0, 1]");
    assert_eq!(
        gw.submit(1).await,
        Err(RpcError::App(SubmitError::Duplicate))
    );
    let slot = gw.next_slot();
    gw.offer_slot(99);
    assert_eq!(slot.await, Ok(99));
    let old: Arc<dyn JobMasterGateway> = rpc
        .connect_fenced("jm", FencingToken::new(6))
        .await
        .unwrap();
    assert!(matches!(old.status(1).await, Err(RpcError::Fenced { .. })));
    rpc.close().await.unwrap();
    assert!(matches!(
        gw.status(1).await,
        Err(RpcError::Unreachable { .. })
    ));
}
