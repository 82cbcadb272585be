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

/// Calls per second.
async fn pace(tasks: u32, call: impl AsyncFn() + Clone + 'static) -> f64 {
    let local = tokio::task::LocalSet::new();
    let start = Instant::now();
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
    f64::from(CALLS) / start.elapsed().as_secs_f64()
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

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[tokio::test]
#[ignore = "a measurement"]
async fn pace_beside_a_bare_connection() {
    let server = RedisServer::start();
    let script: &'static Script = Box::leak(Box::new(Script::new(SCRIPT.to_owned())));
    let value: &'static str = Box::leak("x".repeat(200).into_boxed_str());
    let (link, wire) = (commands(&server), bare(&server).await);
    let sha = redis::Script::new(SCRIPT).get_hash().to_owned();
    script.run(&link, &["n", "h"], &[value], LONG).await.unwrap();
    for tasks in [1, 4, 50, 500] {
        let (mut ours, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..9 {
            let one = pace(tasks, through(link.clone(), script, value)).await;
            let other = pace(tasks, directly(wire.clone(), sha.clone(), value)).await;
            ours.push(one);
            theirs.push(other);
            ratios.push(one / other);
        }
        let (ours, theirs, ratio) = (median(ours), median(theirs), median(ratios));
        println!("{tasks:>4} tasks: link {ours:>8.0}/s, bare {theirs:>8.0}/s, median of paired ratios {ratio:.3}");
    }
}
