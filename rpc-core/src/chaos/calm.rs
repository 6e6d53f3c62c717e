//! What holds when nothing goes wrong, or just one thing does: checked at the end of each run.

use std::sync::Arc;

use tokio::time::{Duration, Instant, sleep, timeout};

use super::SERVERS;
use super::clerk::ClerkGateway;
use super::ledger::{Kind, SLACK, What};
use super::world::{World, config};
use crate::testing::sim::SimEventKind;
use crate::{FencingToken, GatewayClosed, Never, Outcome, RpcService};

pub(super) async fn check(world: &World, services: &[RpcService]) {
    let service = &services[0];
    // What was under way has arrived by then.
    sleep(Duration::from_secs(2)).await;
    for index in 0..SERVERS {
        // As a caller does whose endpoint is there again.
        let Some(clerk) = connect(service, index).await else {
            world.complain(format!("server {index} is not reached though all is well"));
            return;
        };
        check_calls(world, &*clerk).await;
        check_cancel(world, &*clerk).await;
        check_time_is_told(world, &*clerk, index).await;
    }
    check_local(world, 0).await;
    check_tokens(world, service).await;
    check_gateways_are_released(world, service).await;
    check_window(world, service).await;
    check_repetition(world, service).await;
    check_old_connection(world, service).await;
    check_silence(world, service).await;
    check_redial(world, service).await;
    check_farewell(world, service).await;
}

async fn connect(service: &RpcService, index: usize) -> Option<Arc<dyn ClerkGateway>> {
    for _ in 0..20 {
        if let Ok(clerk) = service
            .connect::<dyn ClerkGateway>(&World::address(index))
            .await
        {
            return Some(clerk);
        }
        sleep(Duration::from_millis(200)).await;
    }
    None
}

fn issue(world: &World, timeout: Option<Duration>) -> u64 {
    world.ledger.issue(What {
        gateway: fastrand::u64(..),
        timeout,
        ..What::default()
    })
}

async fn check_calls(world: &World, clerk: &dyn ClerkGateway) {
    // Longer than the service's own time for a call: the callee has to hear of it.
    let time = Duration::from_secs(5);
    let call = issue(world, Some(time));
    let result = clerk.work(call, 2000).timeout(time).await;
    if result != Ok(call) {
        let complaint = format!("a call that was allowed more time ended with {result:?}");
        world.complain(complaint);
    }
    world.ledger.end(call, Some(result));
}

/// A caller that gives up is heard of.
async fn check_cancel(world: &World, clerk: &dyn ClerkGateway) {
    let call = issue(world, None);
    let working = clerk.work(call, 60_000).without_timeout();
    sleep(Duration::from_millis(200)).await;
    if !world.ledger.is_running(call) {
        world.complain("a call is not begun though all is well");
    }
    drop(working);
    world.ledger.end::<Never>(call, None);
    sleep(Duration::from_millis(200)).await;
    if world.ledger.is_running(call) {
        world.complain("a cancelled handler goes on");
    }
}

/// The callee ends a call whose time is over, though nobody tells it so, and what that call planted.
async fn check_time_is_told(world: &World, clerk: &dyn ClerkGateway, index: usize) {
    let alone = issue(world, None);
    clerk.work(alone, 60_000).detach();
    let (call, inner) = (issue(world, None), issue(world, None));
    let planted = clerk.plant(call, World::address(SERVERS - 1 - index), inner, 60_000);
    world.ledger.end(call, Some(planted.await));
    sleep(config().call_timeout + Duration::from_millis(100)).await;
    for (call, what) in [(alone, "a call"), (inner, "a nested call")] {
        if world.ledger.is_running(call) {
            world.complain(format!("{what} goes on though its time is over"));
        }
        world.ledger.end::<Never>(call, None);
    }
}

/// What comes twice is not done twice.
async fn check_repetition(world: &World, service: &RpcService) {
    for _ in 0..3 {
        let Some(clerk) = connect(service, 0).await else {
            return;
        };
        world.net.duplicate("c0", "s0", 1.0);
        clerk.tell(world.ledger.issue(What {
            gateway: fastrand::u64(..),
            kind: Kind::OneWay,
            ..What::default()
        }));
        sleep(Duration::from_millis(50)).await;
        world.net.duplicate("c0", "s0", 0.0);
        sleep(Duration::from_millis(500)).await;
    }
}

/// What holds within one service.
async fn check_local(world: &World, index: usize) {
    let Some(server) = world.server(index) else {
        return;
    };
    let clerk = server.clerk.gateway::<dyn ClerkGateway>();
    let call = issue(world, None);
    drop(clerk.note(call));
    world.ledger.end::<Never>(call, None);
    let after = issue(world, None);
    world.ledger.end(after, Some(clerk.note(after).await));
    if world.ledger.executions(call) > 0 {
        world.complain("a call was begun that nobody waited for");
    }
    // More than a mailbox holds, before its endpoint has a chance to look.
    let limit = server.service.config().mailbox_messages_max;
    if limit < 1 << 10 {
        let calls: Vec<_> = (0..limit + 10).map(|_| clerk.birth()).collect();
        let mut refused = 0;
        for call in calls {
            refused += usize::from(call.await.is_err());
        }
        if refused != 10 {
            world.complain(format!("{refused} calls of 10 were refused"));
        }
    }
}

/// A newer leader deposes an older one, and not the reverse.
async fn check_tokens(world: &World, service: &RpcService) {
    world.elect();
    world.lead(0, 0).await;
    world.lead(0, 1).await;
    let term = world.term();
    for (term, may) in [(term - 1, false), (term, true), (term + 1, false)] {
        let token = FencingToken::new(term);
        let address = World::address(0);
        let Ok(chief) = service
            .connect_fenced::<dyn super::clerk::ChiefGateway>(&address, token)
            .await
        else {
            return world.complain("a chief is not reached");
        };
        let what = What {
            gateway: fastrand::u64(..),
            token: Some(token),
            ..What::default()
        };
        let one_way = world.ledger.issue(What {
            kind: Kind::OneWay,
            ..what
        });
        chief.order(one_way);
        let call = world.ledger.issue(what);
        let result = chief.lead(call).await;
        if result.is_ok() != may {
            let complaint = format!("a leader of term {term} heard {result:?}");
            world.complain(complaint);
        }
        world.ledger.end(call, Some(result));
    }
}

/// Gateways that are dropped cost nothing.
async fn check_gateways_are_released(world: &World, service: &RpcService) {
    for _ in 0..config().gateways_max + 10 {
        let gateway = service
            .connect::<dyn ClerkGateway>(&World::address(0))
            .await;
        if let Err(error) = gateway {
            let complaint = format!("a gateway is not connected: {error:?}");
            return world.complain(complaint);
        }
    }
}

/// What one caller may have under way is limited, and what was handled makes room.
async fn check_window(world: &World, service: &RpcService) {
    let Some(clerk) = connect(service, 0).await else {
        return;
    };
    let lost = clerk.closed();
    let (mut answered, mut overloaded) = (0, 0);
    for _ in 0..12 {
        let calls: Vec<_> = (0..16)
            .map(|_| {
                let call = issue(world, None);
                (
                    call,
                    clerk.bulk(call, vec![call as u8; 4000]).without_timeout(),
                )
            })
            .collect();
        for (number, call) in calls {
            let result = call.await;
            match &result {
                Ok(_) => answered += 1,
                Err(error) if error.outcome() == Outcome::NotExecuted => overloaded += 1,
                Err(error) => world.complain(format!("a burst met {error}")),
            }
            world.ledger.end(number, Some(result));
        }
    }
    if answered < 24 || overloaded == 0 {
        let complaint = format!("of a burst {answered} were answered, {overloaded} refused");
        world.complain(complaint);
    }
    if timeout(Duration::ZERO, lost).await.is_ok() {
        world.complain("a burst has cost the connection");
    }
}

/// Nothing of a lost connection comes after what was said over the next, however long it was under way.
async fn check_old_connection(world: &World, service: &RpcService) {
    let Some(clerk) = connect(service, 0).await else {
        return;
    };
    let millis = Duration::from_millis;
    let what = What {
        gateway: fastrand::u64(..),
        ..What::default()
    };
    world
        .net
        .set_latency_between("c0", "s0", millis(500)..=millis(500));
    let late = world.ledger.issue(What {
        kind: Kind::OneWay,
        ..what
    });
    let next = world.ledger.issue(what);
    clerk.tell(late);
    sleep(millis(5)).await;
    world
        .net
        .set_latency_between("c0", "s0", millis(1)..=millis(20));
    service.lose_connections();
    let result = clerk.note(next).timeout(Duration::from_secs(3)).await;
    if result != Ok(next) {
        let complaint = format!("a gateway does not recover: {result:?}");
        world.complain(complaint);
    }
    world.ledger.end(next, Some(result));
    sleep(Duration::from_secs(1)).await;
}

/// A peer that says nothing any more is noticed, and calls without a time-out end.
async fn check_silence(world: &World, service: &RpcService) {
    let Some(clerk) = connect(service, 0).await else {
        return;
    };
    let call = issue(world, None);
    let working = clerk.work(call, 60_000).without_timeout();
    let closed = clerk.closed();
    sleep(Duration::from_millis(100)).await;
    world.net.partition("c0", "s0");
    let config = config();
    let enough = config.keepalive_interval * 2 + config.keepalive_timeout * 2;
    match timeout(enough, working).await {
        Ok(result) => world.ledger.end(call, Some(result)),
        Err(_) => {
            world.ledger.end::<Never>(call, None);
            world.complain("a silent peer is not noticed");
        }
    }
    if timeout(SLACK, closed).await != Ok(GatewayClosed::Disconnected) {
        world.complain("the death watch says nothing of a lost peer");
    }
    world.net.heal("c0", "s0");
    // The gateway recovers by itself.
    let call = issue(world, Some(Duration::from_secs(5)));
    let result = clerk.note(call).timeout(Duration::from_secs(5)).await;
    if result != Ok(call) {
        world.complain(format!("a gateway does not recover: {result:?}"));
    }
    world.ledger.end(call, Some(result));
}

/// A peer that is gone is not dialled too often, and calls wait no longer than they may.
async fn check_redial(world: &World, service: &RpcService) {
    let Some(clerk) = connect(service, 0).await else {
        return;
    };
    world.kill(0);
    sleep(Duration::from_millis(100)).await;
    let dials = |world: &World| world.net.trace().of(SimEventKind::Dial).count();
    let before = dials(world);
    let time = Duration::from_secs(3);
    let numbers: Vec<_> = (0..5).map(|_| issue(world, Some(time))).collect();
    let start = Instant::now();
    let calls: Vec<_> = numbers
        .iter()
        .map(|number| clerk.note(*number).timeout(time))
        .collect();
    for (number, call) in numbers.into_iter().zip(calls) {
        let result = call.await;
        if result.as_ref().err().map(|it| it.outcome()) != Some(Outcome::NotExecuted) {
            world.complain(format!("a call that was never sent ended with {result:?}"));
        }
        world.ledger.end(number, Some(result));
    }
    if start.elapsed() < time {
        world.complain("calls did not wait for a lost peer");
    }
    let dialled = dials(world) - before;
    if !(2..60).contains(&dialled) {
        world.complain(format!("a peer that is gone was dialled {dialled} times"));
    }
    world.start(0).await;
    // It is another incarnation now.
    let call = issue(world, None);
    let result = clerk.note(call).timeout(Duration::from_secs(3)).await;
    if !matches!(
        result,
        Err(crate::RpcError::Unreachable {
            restarted: true,
            ..
        })
    ) {
        world.complain(format!("a restarted endpoint answered {result:?}"));
    }
    world.ledger.end(call, Some(result));
}

/// An endpoint that ends is told of, and so is a service.
async fn check_farewell(world: &World, service: &RpcService) {
    let (Some(clerk), Some(server)) = (connect(service, 0).await, world.server(0)) else {
        return;
    };
    let closed = clerk.closed();
    let _ = server.clerk.close().await;
    if timeout(Duration::from_secs(1), closed).await != Ok(GatewayClosed::Stopped) {
        world.complain("an endpoint's end is told to nobody");
    }
    let Some(clerk) = connect(service, 1).await else {
        return;
    };
    world.close(1).await;
    sleep(Duration::from_millis(100)).await;
    let start = Instant::now();
    let call = issue(world, None);
    let result = clerk.note(call).await;
    if start.elapsed() > SLACK || !matches!(result, Err(crate::RpcError::Unreachable { .. })) {
        world.complain(format!("after a goodbye a call ended with {result:?}"));
    }
    world.ledger.end(call, Some(result));
}

/// Everything that was made for the calls is gone.
pub(super) async fn check_nothing_is_left(world: &World) {
    // Tasks that were aborted end with their next turn.
    sleep(Duration::from_secs(1)).await;
    let tasks = tokio::runtime::Handle::current()
        .metrics()
        .num_alive_tasks();
    if tasks > TASKS_OF_THE_NETWORK {
        world.complain(format!("{tasks} tasks are left"));
    }
}

/// The simulated network's own, and the deadlines', which end with their services.
const TASKS_OF_THE_NETWORK: usize = 2;
