//! A TaskExecutor's partitions and the way to those of others.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

use futures_util::future::{BoxFuture, try_join_all};
use parking_lot::Mutex;
use rpc_core::transport::Stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::frame::{CREDIT_BYTES, Frame, REQUEST_BYTES, Request, broken};
use super::gate::{Channel, InputGate, Receiver};
use super::queue::{Queue, QueueReader};
use super::registry::{Registry, Take};
use super::stream::{Feeder, await_close, receive_queue, send_last, send_queue};
use super::{ChannelError, PartitionError, PartitionWriter, ReadError, ServeError, ShuffleConfig};
use crate::gateway::{self, InputChannel, ResultPartition};
use crate::id::{AttemptId, JobId, PartitionId, ResourceId};
use crate::job_graph::PARALLELISM_MAX;
use crate::operator::OperatorContext;

/// Opens streams to other TaskExecutors.
pub trait Dialer: fmt::Debug + Send + Sync {
    /// Opens a stream to the data address of a TaskExecutor, which is to hand it to
    /// [`ShuffleEnvironment::serve`].
    fn open(
        &self,
        address: String,
    ) -> BoxFuture<'static, Result<Stream, Box<dyn Error + Send + Sync>>>;
}

/// The partitions of one TaskExecutor, and its way to those of others. Flink's
/// `ShuffleEnvironment`.
///
/// Clones are the same environment.
#[derive(Clone, Debug)]
pub struct ShuffleEnvironment {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: ShuffleConfig,
    resource: ResourceId,
    dialer: Arc<dyn Dialer>,
    registry: Mutex<Registry>,
}

impl ShuffleEnvironment {
    /// Makes the environment of the TaskExecutor `resource`, without any partition.
    #[must_use]
    pub fn new(config: ShuffleConfig, resource: ResourceId, dialer: Arc<dyn Dialer>) -> Self {
        let registry = Mutex::default();
        Self {
            shared: Arc::new(Shared {
                config,
                resource,
                dialer,
                registry,
            }),
        }
    }

    /// Registers what a task is about to produce, so that consumers can come.
    ///
    /// # Errors
    ///
    /// [`PartitionError`] if it is registered already or has no subpartitions.
    pub fn register_partition(
        &self,
        partition: &ResultPartition,
        task: &OperatorContext,
    ) -> Result<PartitionWriter, PartitionError> {
        let subpartitions = partition.subpartitions;
        if !(1..=PARALLELISM_MAX).contains(&subpartitions) {
            return Err(PartitionError::Subpartitions {
                partition: partition.id,
                subpartitions,
                max: PARALLELISM_MAX,
            });
        }
        let config = &self.shared.config;
        let queue = |_| Queue::new(config.segments_per_channel, config.segment_bytes);
        let queues: Vec<_> = (0..subpartitions).map(queue).collect();
        if !self.shared.registry.lock().register(partition.id, &queues) {
            return Err(PartitionError::Duplicate {
                partition: partition.id,
            });
        }
        Ok(PartitionWriter::new(
            partition.id,
            partition.ship,
            queues,
            config,
            task,
        ))
    }

    /// Opens the channels of a task's gates, all at once, and waits for the producers of this
    /// TaskExecutor to be deployed.
    ///
    /// It must be polled within a tokio runtime, which then runs what receives from the streams.
    ///
    /// # Errors
    ///
    /// [`ReadError`] names the first channel that cannot be opened.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives all channels back; their producers find their consumers gone.
    pub async fn open_gate(
        &self,
        gates: &[gateway::InputGateDescriptor],
        task: &OperatorContext,
    ) -> Result<InputGate, ReadError> {
        let descriptors = gates.iter().flat_map(|gate| &gate.channels);
        let channels = try_join_all(descriptors.map(|channel| self.open_channel(channel))).await?;
        Ok(InputGate::new(channels, task.cancellation.clone()))
    }

    /// Serves a stream that another TaskExecutor opened, until its consumer has all or is gone.
    ///
    /// # Errors
    ///
    /// [`ServeError`] says why the consumer did not get all; it has been told, if it was still
    /// there.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future breaks the stream; the consumer and the producer both notice.
    pub fn serve(
        &self,
        stream: Stream,
    ) -> impl Future<Output = Result<(), ServeError>> + Send + use<> {
        let environment = self.clone();
        async move { environment.serve_stream(stream).await }
    }

    /// Forgets everything of a job: who writes, reads or waits for it is failed.
    pub fn release_job(&self, job: JobId) {
        self.shared
            .registry
            .lock()
            .release(|producer| producer.job == job);
    }

    /// Forgets what one attempt produced: who writes, reads or waits for it is failed.
    pub fn release_attempt(&self, attempt: AttemptId) {
        self.shared
            .registry
            .lock()
            .release(|producer| *producer == attempt);
    }

    /// Forgets what was produced by the attempts of a job before this one: when a job restarts it is
    /// all that is left of those that had finished.
    pub fn release_attempts_before(&self, attempt: AttemptId) {
        self.shared
            .registry
            .lock()
            .release(|producer| producer.job == attempt.job && producer.attempt < attempt.attempt);
    }

    async fn open_channel(&self, descriptor: &InputChannel) -> Result<Channel, ReadError> {
        let opened = if descriptor.task_manager == self.shared.resource {
            let taken = self
                .take(descriptor.partition, descriptor.subpartition)
                .await;
            taken.map(|reader| (reader, None))
        } else {
            let dialled = self.dial(descriptor).await;
            dialled.map(|(reader, receiver)| (reader, Some(receiver)))
        };
        let failed = |source| ReadError::Channel {
            partition: descriptor.partition,
            peer: descriptor.task_manager.clone(),
            source,
        };
        let (reader, receiver) = opened.map_err(failed)?;
        Ok(Channel::new(descriptor.clone(), reader, receiver))
    }

    /// Takes a subpartition, as soon as it is there.
    async fn take(
        &self,
        partition: PartitionId,
        subpartition: u32,
    ) -> Result<QueueReader, ChannelError> {
        let take = self.shared.registry.lock().take(partition, subpartition);
        match take {
            Take::Now(taken) => taken,
            Take::Later(later) => match timeout(self.shared.config.partition_wait, later).await {
                Ok(Ok(taken)) => taken,
                // Nobody drops a question unanswered; were it so, the partition is not there.
                Ok(Err(_)) | Err(_) => Err(ChannelError::NotFound),
            },
        }
    }

    /// Opens a stream to another TaskExecutor, and asks it for a subpartition.
    async fn dial(&self, channel: &InputChannel) -> Result<(QueueReader, Receiver), ChannelError> {
        let dialled = self.shared.dialer.open(channel.data_address.clone()).await;
        let mut stream = dialled.map_err(|error| ChannelError::Dial(Arc::new(error)))?;
        let config = &self.shared.config;
        let request = Request {
            partition: channel.partition,
            subpartition: channel.subpartition,
            credit: config.credit(),
        };
        stream
            .writer
            .write_all(&request.to_bytes())
            .await
            .map_err(broken)?;
        stream.writer.flush().await.map_err(broken)?;
        let queue = Queue::new(request.credit, CREDIT_BYTES);
        let feeder = Feeder(Arc::clone(&queue));
        let receive = receive_queue(feeder, stream, config.record_bytes_max);
        let receiver = Receiver(Handle::current().spawn(receive));
        Ok((QueueReader::new(queue), receiver))
    }

    async fn serve_stream(&self, mut stream: Stream) -> Result<(), ServeError> {
        let mut request = [0; REQUEST_BYTES];
        let read = stream.reader.read_exact(&mut request);
        let read = timeout(self.shared.config.request_wait, read).await;
        read.map_err(|_| ServeError::TimedOut)??;
        let request = Request::from_bytes(&request)?;
        let close_wait = self.shared.config.request_wait;
        match self.take(request.partition, request.subpartition).await {
            Ok(queue) => send_queue(queue, stream, request.credit, close_wait).await,
            Err(source) => {
                let told = send_last(&mut stream.writer, Frame::Failed(source.clone())).await;
                // A consumer that cannot be told finds the stream closed, which says as much.
                if told.is_ok() {
                    await_close(&mut stream.reader, close_wait).await;
                }
                Err(ServeError::Channel {
                    partition: request.partition,
                    subpartition: request.subpartition,
                    source,
                })
            }
        }
    }
}
