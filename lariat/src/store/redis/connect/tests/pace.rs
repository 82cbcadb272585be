//! What the supervision costs. A measurement, not a test:
//! `cargo test --release -p lariat --lib pace -- --ignored --nocapture`.

use std::time::Instant;

use interop::redis::RedisServer;
use redis::{AsyncConnectionConfig, aio::MultiplexedConnection, cmd};

use super::super::super::script::Script;
use super::{LONG, commands};
use crate::store::redis::connect::Link;

const CALLS: u32 = 60_000;
const SCRIPT: &str = "redis.call('INCR', KEYS[1]) return redis.call('HSET', KEYS[2], 'f', ARGV[1])";

/// Nanoseconds that this thread has worked; a busy machine does not change it much. 0 where the system does not say.
fn worked() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    stat.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0.0)
}

/// Calls per second, and microseconds of this thread for each.
async fn pace(tasks: u32, call: impl AsyncFn() + Clone + 'static) -> (f64, f64) {
    let local = tokio::task::LocalSet::new();
    let (start, begun) = (Instant::now(), worked());
    local
        .run_until(async {
            let tasks: Vec<_> = (0..tasks)
                .map(|_| {
                    let call = call.clone();
                    tokio::task::spawn_local(async move {
                        for _ in 0..CALLS / tasks {
                            call().await;
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
        })
        .await;
    (f64::from(CALLS) / start.elapsed().as_secs_f64(), (worked() - begun) / 1000.0 / f64::from(CALLS))
}

async fn bare(server: &RedisServer) -> MultiplexedConnection {
    let config = AsyncConnectionConfig::new().set_response_timeout(Some(LONG));
    let tcp = redis::io::tcp::TcpSettings::default().set_nodelay(true);
    let info: redis::ConnectionInfo = server.url().parse().unwrap();
    let client = redis::Client::open(info.set_tcp_settings(tcp)).unwrap();
    client.get_multiplexed_async_connection_with_config(&config).await.unwrap()
}

fn through(link: Link, script: &'static Script, value: &'static str) -> impl AsyncFn() + Clone + 'static {
    async move || {
        script.run(&link, &["n", "h"], &[value], LONG).await.unwrap();
    }
}

fn directly(wire: MultiplexedConnection, sha: String, value: &'static str) -> impl AsyncFn() + Clone + 'static {
    async move || {
        let mut command = cmd("EVALSHA");
        command.arg(&sha).arg(2).arg("n").arg("h").arg(value);
        wire.clone().send_packed_command(&command).await.unwrap();
    }
}

/// Pace and work of the link, and of the bare connection.
type Round = ((f64, f64), (f64, f64));

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[tokio::test]
#[ignore = "a measurement: it prints figures, which it does not judge"]
async fn pace_beside_a_bare_connection() {
    let server = RedisServer::start();
    let script: &'static Script = Box::leak(Box::new(Script::new(SCRIPT.to_owned())));
    let value: &'static str = Box::leak("x".repeat(200).into_boxed_str());
    let (link, wire) = (commands(&server), bare(&server).await);
    let sha = redis::Script::new(SCRIPT).get_hash().to_owned();
    script.run(&link, &["n", "h"], &[value], LONG).await.unwrap();
    for tasks in [1, 4, 50, 500] {
        let mut rounds = Vec::new();
        for _ in 0..9 {
            let ours = pace(tasks, through(link.clone(), script, value)).await;
            let theirs = pace(tasks, directly(wire.clone(), sha.clone(), value)).await;
            rounds.push((ours, theirs));
        }
        let of = |what: fn(&Round) -> f64| median(rounds.iter().map(what).collect());
        println!(
            "{tasks:>4} tasks: link {:>8.0}/s {:.2} us, bare {:>8.0}/s {:.2} us; medians of paired ratios: pace {:.3}, work {:.3}",
            of(|(ours, _)| ours.0),
            of(|(ours, _)| ours.1),
            of(|(_, theirs)| theirs.0),
            of(|(_, theirs)| theirs.1),
            of(|(ours, theirs)| ours.0 / theirs.0),
            of(|(ours, theirs)| ours.1 / theirs.1),
        );
    }
}
