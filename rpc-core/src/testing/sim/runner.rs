use super::config::SimConfig;
use super::network::SimNetwork;
use super::trace::SimTrace;

/// What a run came to.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SimRun<T> {
    /// What the case returned.
    pub output: T,
    /// What happened. Its hash also covers the random numbers that would have come next, so that two
    /// runs which drew differently differ though it did not show yet.
    pub trace: SimTrace,
}

/// Runs a case on a network of its own, on one thread and in virtual time.
///
/// The thread's generator of [`fastrand`] is seeded for the run, so that a case may draw from it: it
/// is the network's only in that both come from one seed. Time passes only when all tasks wait.
///
/// # Panics
///
/// As the case does, or when the [time limit](SimConfig::time_limit) is reached; the seed and the
/// latest events go to the standard error then.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use rpc_core::testing::sim;
///
/// let slept = sim::run(42, async |net| {
///     tokio::time::sleep(Duration::from_secs(3600)).await;
///     net.elapsed()
/// });
/// assert_eq!(slept.output, Duration::from_secs(3600));
/// ```
pub fn run<T>(seed: u64, case: impl AsyncFnOnce(SimNetwork) -> T) -> SimRun<T> {
    run_with(SimConfig::seeded(seed), case)
}

/// Runs a case as [`run`] does, on a network of this configuration.
///
/// # Panics
///
/// As [`run`].
pub fn run_with<T>(config: SimConfig, case: impl AsyncFnOnce(SimNetwork) -> T) -> SimRun<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without input and output needs nothing that could fail");
    let _generator = Generator::seed(config.seed);
    let limit = config.time_limit;
    let network = SimNetwork::new(config.clone());
    let _post_mortem = PostMortem {
        seed: config.seed,
        network: network.clone(),
    };
    let output = runtime.block_on(async {
        network.start();
        tokio::time::timeout(limit, case(network.clone())).await
    });
    let trace = network.finish();
    let Ok(output) = output else {
        panic!("the case was not done within {limit:?} of virtual time");
    };
    SimRun { output, trace }
}

/// Runs a case twice, and returns what the second run came to.
///
/// # Panics
///
/// The runs differ, which says that the case is not deterministic: it depends on the real clock, the
/// order of a hash map, an address, another generator, a `select!` that is not `biased`. The message
/// names the first event at which they differ, if it was kept.
pub fn run_twice<T>(config: SimConfig, case: impl AsyncFn(SimNetwork) -> T) -> SimRun<T> {
    let first = run_with(config.clone(), async |network| case(network).await).trace;
    let second = run_with(config, async |network| case(network).await);
    if first != second.trace {
        let pairs = first.events.iter().zip(&second.trace.events);
        match pairs.into_iter().find(|(one, other)| one != other) {
            Some((one, other)) => panic!("two runs of one seed differ:\n{one}\n{other}"),
            None => panic!("two runs of one seed differ:\n{first}\n{}", second.trace),
        }
    }
    second
}

/// The thread's generator, seeded until this is dropped.
struct Generator {
    before: u64,
}

impl Generator {
    fn seed(seed: u64) -> Self {
        let before = fastrand::get_seed();
        fastrand::seed(seed);
        Self { before }
    }
}

impl Drop for Generator {
    fn drop(&mut self) {
        fastrand::seed(self.before);
    }
}

/// Says what happened when a run panics.
struct PostMortem {
    seed: u64,
    network: SimNetwork,
}

impl Drop for PostMortem {
    #[expect(
        clippy::print_stderr,
        reason = "a test that fails says how on its standard error"
    )]
    fn drop(&mut self) {
        if std::thread::panicking() {
            let mut trace = self.network.trace();
            let old = trace.events.len().saturating_sub(POST_MORTEM_EVENTS);
            trace.events.drain(..old);
            eprintln!("the run with seed {} has failed after\n{trace}", self.seed);
        }
    }
}

const POST_MORTEM_EVENTS: usize = 50;
