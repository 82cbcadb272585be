//! What a link does when the network loses, holds or swallows what is sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use interop::proxy::{Fault, Proxy, holding};
use interop::redis::RedisServer;
use interop::wait;
use redis::cmd;

use super::super::super::script::Script;
use super::super::*;
use super::{LONG, link, until_ok};

fn incr() -> Cmd {
    cmd("INCR").arg("n").to_owned()
}

fn count(server: &RedisServer) -> u64 {
    cmd("GET").arg("n").query::<Option<u64>>(&mut server.connection()).unwrap().unwrap_or(0)
}

/// A connection that is there before anything goes wrong.
async fn connected(proxy: &Proxy, purpose: Purpose) -> Link {
    let link = link(&proxy.url(), purpose);
    link.call(&cmd("PING"), LONG).await.unwrap();
    link
}

#[tokio::test]
async fn a_lost_reply_is_unknown_and_nothing_is_sent_twice() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port());
    let link = connected(&proxy, Purpose::Commands).await;
    let mut ran = 0;
    for (fault, runs) in [(Fault::LoseReply, 1), (Fault::HalfClose, 1), (Fault::LoseRequest, 0)] {
        let watch = proxy.on_next(holding(b"INCR"), fault);
        let error = link.call(&incr(), LONG).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unknown, "{fault:?}: {error}");
        ran += runs;
        wait::until("the server ran it", || count(&server) == ran);
        assert_eq!(watch.count(), 1);
        // The link heals without a further error, since the connection was good before.
        link.call(&cmd("PING"), LONG).await.unwrap();
        assert_eq!(count(&server), ran, "{fault:?}: sent again behind our back");
    }
    let mut pipe = Pipeline::new();
    pipe.add_command(incr()).add_command(incr());
    proxy.on_nth(2, holding(b"INCR"), Fault::LoseReply);
    assert_eq!(link.pipeline(&pipe, LONG).await.unwrap_err().kind(), ErrorKind::Unknown);
    wait::until("the server ran it", || count(&server) == ran + 2);
}

#[tokio::test]
async fn a_script_whose_reply_is_lost_ran_once() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port());
    let link = connected(&proxy, Purpose::Commands).await;
    let script = Script::new("return redis.call('INCR', KEYS[1])".to_owned());
    // The first is not known to the server, so it is the second sending whose reply is lost.
    for (ran, verb) in [(1, &b"$4\r\nEVAL\r\n"[..]), (2, b"EVALSHA")] {
        let watch = proxy.on_next(holding(verb), Fault::LoseReply);
        let error = script.run(&link, &["n"], &[""; 0], LONG).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unknown, "{error}");
        assert_eq!((watch.count(), count(&server)), (1, ran));
        link.call(&cmd("PING"), LONG).await.unwrap();
        assert_eq!(count(&server), ran);
    }
}

#[tokio::test]
async fn an_idle_connection_that_was_cut_costs_no_call() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port());
    let link = connected(&proxy, Purpose::Commands).await;
    for _ in 0..5 {
        proxy.cut();
        // Until the runtime has turned to the socket's end.
        wait::until_async("the end is noticed", || async {
            tokio::task::yield_now().await;
            matches!(link.0.state.borrow().next(Instant::now()), Next::Dial)
        })
        .await;
        link.call(&incr(), LONG).await.unwrap();
    }
    assert_eq!(count(&server), 5);
}

/// The property that all else stands on: whatever the network does, no call runs twice, and none that is reported as
/// not carried out runs at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_many_cuts_each_call_runs_as_often_as_its_answer_says() {
    const CUTS: usize = 300;
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port());
    let link = connected(&proxy, Purpose::Commands).await;
    let (done, unknown, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let (link, done, unknown, stop) =
                (link.clone(), Arc::clone(&done), Arc::clone(&unknown), Arc::clone(&stop));
            tokio::spawn(async move {
                while stop.load(Ordering::Relaxed) == 0 {
                    match link.call(&incr(), LONG).await {
                        Ok(_) => _ = done.fetch_add(1, Ordering::Relaxed),
                        Err(error) if error.is_unknown() => {
                            assert!(!error.to_string().contains("in time"), "a call outlived its connection");
                            unknown.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(error) => {
                            assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
                            // sleep: a caller's own backoff
                            tokio::time::sleep(Duration::from_millis(1)).await;
                        }
                    }
                }
            })
        })
        .collect();
    for cut in 0..CUTS {
        let before = done.load(Ordering::Relaxed);
        wait::until_async("calls succeed", || async { done.load(Ordering::Relaxed) > before + 20 }).await;
        match cut % 4 {
            0 => cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal").exec(&mut server.connection()).unwrap(),
            1 => _ = proxy.on_next(holding(b"INCR"), Fault::LoseReply),
            2 => _ = proxy.on_next(holding(b"INCR"), Fault::LoseRequest),
            _ => _ = proxy.on_next(holding(b"INCR"), Fault::HalfClose),
        }
    }
    stop.store(1, Ordering::Relaxed);
    for task in tasks {
        task.await.unwrap();
    }
    wait::until("the last requests have reached the server", || proxy.open_connections() <= 1);
    let (ran, done, unknown) = (count(&server), done.load(Ordering::Relaxed), unknown.load(Ordering::Relaxed));
    assert!(unknown > 0, "no call was hit");
    assert!((done..=done + unknown).contains(&ran), "{done} done and {unknown} unknown, but {ran} ran");
}

#[tokio::test]
async fn a_connection_that_swallows_everything_is_replaced() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port());
    for purpose in [Purpose::Commands, Purpose::Locks] {
        let link = connected(&proxy, purpose).await;
        let before = proxy.connections();
        proxy.on_next(holding(b"GET"), Fault::BlackHole);
        let get = cmd("GET").arg("n").to_owned();
        // Short deadlines: it takes several calls before the silence is long enough.
        let (_, errors) = until_ok(|| async { link.call(&get, Duration::from_millis(100)).await }).await;
        assert!(!errors.is_empty());
        assert!(proxy.connections() > before);
        // One with a long deadline is enough by itself.
        proxy.on_next(holding(b"GET"), Fault::BlackHole);
        assert_eq!(link.call(&get, Duration::from_secs(1)).await.unwrap_err().kind(), ErrorKind::Unknown);
        link.call(&get, LONG).await.unwrap();
    }
}

#[tokio::test]
async fn slow_answers_to_some_do_not_cost_the_connection() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port());
    let link = connected(&proxy, Purpose::Commands).await;
    let before = proxy.connections();
    proxy.on_each(holding(b"INCR"), Fault::DelayReply(Duration::from_millis(30)));
    for _ in 0..3 {
        let error = link.call(&incr(), Duration::from_millis(2)).await.unwrap_err();
        assert!(error.is_unreachable(), "{error}");
        link.call(&cmd("PING"), LONG).await.unwrap();
    }
    assert_eq!(proxy.connections(), before);
}

#[tokio::test]
async fn without_time_nothing_is_sent() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port());
    let link = connected(&proxy, Purpose::Commands).await;
    let error = link.call(&incr(), Duration::ZERO).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
    link.call(&cmd("PING"), LONG).await.unwrap();
    assert_eq!(count(&server), 0);
}

#[tokio::test]
async fn a_black_hole_between_all_ends_each_call_at_its_deadline_and_heals() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port());
    let link = connected(&proxy, Purpose::Commands).await;
    proxy.black_hole();
    let mut kinds = Vec::new();
    while kinds.last() != Some(&ErrorKind::Unreachable) {
        let call = incr();
        let call = tokio::time::timeout(LONG, link.call(&call, Duration::from_millis(200)));
        kinds.push(call.await.expect("ends at its deadline").unwrap_err().kind());
        assert!(kinds.len() < 1000, "the silent connection was never dropped");
    }
    proxy.release();
    until_ok(|| async { link.call(&cmd("PING"), LONG).await }).await;
    assert_eq!(count(&server), 0, "what was swallowed is not sent again");
}

#[tokio::test]
async fn a_wait_that_is_swallowed_ends_with_its_connection() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port());
    let link = connected(&proxy, Purpose::Waiting).await;
    proxy.on_next(holding(b"BZPOPMIN"), Fault::BlackHole);
    let pop = cmd("BZPOPMIN").arg("marker").arg(1).to_owned();
    let error = tokio::time::timeout(LONG, link.block(&pop, Duration::from_secs(1))).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unknown);
    wait::until_async("its connection is closed", || async { proxy.open_connections() == 0 }).await;
    cmd("ZADD").arg("marker").arg(0).arg("0").exec(&mut server.connection()).unwrap();
    assert!(matches!(link.block(&pop, LONG).await.unwrap(), Value::Array(_)));
}

#[tokio::test]
async fn refused_connections_are_unreachable_and_few() {
    let mut server = RedisServer::start();
    let mut proxy = Proxy::start(server.port());
    let link = connected(&proxy, Purpose::Commands).await;
    server.kill();
    // The proxy takes each connection and closes it, so attempts can be counted.
    let before = proxy.connections();
    let mut unreachable = 0;
    for _ in 0..10_000 {
        let error = link.call(&incr(), LONG).await.unwrap_err();
        assert!(error.is_unreachable(), "{error}");
        unreachable += usize::from(error.kind() == ErrorKind::Unreachable);
    }
    assert!(unreachable >= 9_000);
    let attempts = proxy.connections() - before;
    assert!((1..100).contains(&attempts), "{attempts} attempts for 10,000 calls");
    proxy.refuse();
    let (kinds, words) = last_words(&link).await;
    assert_eq!(kinds, ErrorKind::Unreachable);
    assert!(words.contains("refused"), "{words}");
    server.restart();
    proxy.admit();
    until_ok(|| async { link.call(&cmd("PING"), LONG).await }).await;
}

async fn last_words(link: &Link) -> (ErrorKind, String) {
    let give_up = Instant::now() + wait::DEADLINE;
    loop {
        let error = link.call(&incr(), LONG).await.unwrap_err();
        if error.to_string().contains("refused") || Instant::now() > give_up {
            return (error.kind(), error.to_string());
        }
        // sleep: a caller's own backoff
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn an_attempt_outlives_the_callers_who_wait_for_it() {
    const CALLS: usize = 20;
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port());
    proxy.hold();
    let link = link(&proxy.url(), Purpose::Locks);
    for _ in 0..CALLS {
        let error = link.call(&incr(), Duration::from_millis(10)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unreachable);
    }
    assert!(proxy.connections() < CALLS, "each call began anew");
    proxy.release();
    until_ok(|| async { link.call(&incr(), LONG).await }).await;
    assert_eq!(count(&server), 1, "nothing of the earlier calls was sent");
}

#[test]
fn a_runtime_that_ends_while_it_connects_leaves_it_to_the_next() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port());
    proxy.hold();
    let link = link(&proxy.url(), Purpose::Commands);
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let error = runtime().block_on(link.call(&incr(), Duration::from_millis(10))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
    proxy.release();
    runtime().block_on(until_ok(|| async { link.call(&incr(), LONG).await }));
    assert_eq!(count(&server), 1);
}
