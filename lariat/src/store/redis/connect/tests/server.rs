//! What a link does when its server dies, freezes, refuses, or is the wrong one.

use interop::redis::RedisServer;
use interop::wait;
use redis::cmd;

use super::super::*;
use super::{LONG, commands, link, run, until_ok};
use crate::store::url;

fn clients(server: &RedisServer, of: &str) -> Vec<String> {
    let list: String = redis::cmd("CLIENT").arg("LIST").query(&mut server.connection()).unwrap();
    list.lines().filter(|line| line.contains(of)).map(str::to_owned).collect()
}

#[tokio::test]
async fn many_callers_make_one_connection() {
    let server = RedisServer::start();
    let link = Link::new(url::redis_address(&server.url()).unwrap(), Purpose::Commands, Some("one of many".into()));
    let named = Link::new(url::redis_address(&server.url()).unwrap(), Purpose::Commands, Some("a-name".into()));
    let calls = (0..50).map(|_| {
        let named = named.clone();
        tokio::spawn(async move { named.call(cmd("INCR").arg("n"), LONG).await })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap().unwrap();
    }
    assert_eq!(clients(&server, "name=a-name").len(), 1);
    // A name that the server refuses (it has blanks) is no obstacle.
    assert_eq!(link.call(cmd("GET").arg("n"), LONG).await.unwrap(), Value::BulkString(b"50".to_vec()));
}

#[tokio::test]
async fn nobody_listens_is_unreachable_and_named_without_the_password() {
    let mut server = RedisServer::start();
    server.kill();
    let link = link(&format!("redis://ann:hunter2@127.0.0.1:{}", server.port()), Purpose::Commands);
    for _ in 0..3 {
        let error = link.call(&cmd("PING"), LONG).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unreachable);
        assert!(error.to_string().contains(&format!("redis://127.0.0.1:{}/0", server.port())), "{error}");
        assert!(!format!("{error:?}").contains("hunter2"));
    }
}

#[tokio::test]
async fn a_killed_client_heals() {
    let server = RedisServer::start();
    let link = commands(&server);
    link.call(cmd("SET").arg("k").arg("v"), LONG).await.unwrap();
    for _ in 0..3 {
        redis::cmd("CLIENT")
            .arg("KILL")
            .arg("TYPE")
            .arg("normal")
            .arg("SKIPME")
            .arg("yes")
            .exec(&mut server.connection())
            .unwrap();
        let (_, errors) = until_ok(|| async { link.call(cmd("GET").arg("k"), LONG).await }).await;
        assert!(errors.iter().all(Error::is_unreachable), "{errors:?}");
    }
}

#[tokio::test]
async fn a_restarted_server_heals() {
    let mut server = RedisServer::start();
    let link = commands(&server);
    link.call(&cmd("PING"), LONG).await.unwrap();
    server.kill();
    // The first may have been on its way when the server died; then nothing is sent any more.
    let mut last = ErrorKind::Unknown;
    for _ in 0..20 {
        last = link.call(&cmd("PING"), LONG).await.unwrap_err().kind();
        assert!(matches!(last, ErrorKind::Unknown | ErrorKind::Unreachable));
    }
    assert_eq!(last, ErrorKind::Unreachable);
    server.restart();
    until_ok(|| async { link.call(&cmd("PING"), LONG).await }).await;
}

#[tokio::test]
async fn a_frozen_server_costs_a_call_its_deadline_and_heals() {
    let server = RedisServer::start();
    for purpose in [Purpose::Commands, Purpose::Locks] {
        let link = link(&server.url(), purpose);
        link.call(&cmd("PING"), LONG).await.unwrap();
        server.freeze();
        let error = link.call(cmd("INCR").arg("n"), Duration::from_millis(50)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unknown, "sent, not answered");
        // Silence for long enough drops the connection. A new one is only handed out once the server has answered it,
        // so from there on nothing is sent into the dark.
        let mut kinds = Vec::new();
        while kinds.last() != Some(&ErrorKind::Unreachable) {
            let incr = cmd("INCR").arg("n").to_owned();
            let call = tokio::time::timeout(LONG, link.call(&incr, Duration::from_millis(50)));
            kinds.push(call.await.expect("a call ends at its deadline").unwrap_err().kind());
            assert!(kinds.len() < 1000, "the silent connection was never dropped");
        }
        server.thaw();
        until_ok(|| async { link.call(&cmd("PING"), LONG).await }).await;
    }
}

#[tokio::test]
async fn a_call_that_was_dropped_does_no_harm() {
    let server = RedisServer::start();
    let link = commands(&server);
    link.call(&cmd("PING"), LONG).await.unwrap();
    server.freeze();
    let set = cmd("SET").arg("k").arg("first").to_owned();
    assert!(tokio::time::timeout(Duration::from_millis(20), link.call(&set, LONG)).await.is_err());
    server.thaw();
    // The reply to the dropped call is not taken for this one's.
    let value = link.call(cmd("GET").arg("k"), LONG).await.unwrap();
    assert_eq!(value, Value::BulkString(b"first".to_vec()));
    assert_eq!(link.call(cmd("ECHO").arg("x"), LONG).await.unwrap(), Value::BulkString(b"x".to_vec()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_wait_does_not_eat_what_comes_later() {
    let server = RedisServer::start();
    let link = Link::new(url::redis_address(&server.url()).unwrap(), Purpose::Waiting, Some("waits".into()));
    let pop = cmd("BZPOPMIN").arg("marker").arg(20).to_owned();
    let waiting = tokio::spawn({
        let (link, pop) = (link.clone(), pop.clone());
        async move { link.block(&pop, Duration::from_secs(20)).await }
    });
    wait::until("the client blocks", || !server_blocked(&server).is_empty());
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
    wait::until("the server has let go of it", || server_blocked(&server).is_empty());
    redis::cmd("ZADD").arg("marker").arg(0).arg("0").exec(&mut server.connection()).unwrap();
    let value = link.block(&pop, Duration::from_secs(20)).await.unwrap();
    assert_eq!(value, Value::Array(["marker", "0", "0"].map(|text| Value::BulkString(text.into())).into()));
}

fn server_blocked(server: &RedisServer) -> Vec<String> {
    let list: String = redis::cmd("CLIENT").arg("LIST").query(&mut server.connection()).unwrap();
    list.lines().filter(|line| line.contains("cmd=bzpopmin")).map(str::to_owned).collect()
}

#[tokio::test]
async fn a_wait_ends_by_itself_and_keeps_its_connection() {
    let server = RedisServer::start();
    let link = Link::new(url::redis_address(&server.url()).unwrap(), Purpose::Waiting, Some("waits".into()));
    let pop = cmd("BZPOPMIN").arg("marker").arg(0.01).to_owned();
    assert_eq!(link.block(&pop, Duration::from_millis(10)).await.unwrap(), Value::Nil);
    let first = clients(&server, "name=waits");
    assert_eq!(link.block(&pop, Duration::from_millis(10)).await.unwrap(), Value::Nil);
    let second = clients(&server, "name=waits");
    let id = |lines: &[String]| lines.iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(id(&first).len(), 1);
    assert_eq!(id(&first), id(&second));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wait_in_a_frozen_server_ends_at_its_deadline_with_its_connection() {
    let server = RedisServer::start();
    let link = Link::new(url::redis_address(&server.url()).unwrap(), Purpose::Waiting, Some("waits".into()));
    link.call(&cmd("PING"), LONG).await.unwrap();
    server.freeze();
    let pop = cmd("BZPOPMIN").arg("marker").arg(1).to_owned();
    let error = tokio::time::timeout(LONG, link.block(&pop, Duration::from_secs(1))).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unknown);
    server.thaw();
    wait::until("its connection is closed", || {
        let list: String = redis::cmd("CLIENT").arg("LIST").query(&mut server.connection()).unwrap();
        !list.contains("name=waits")
    });
    redis::cmd("ZADD").arg("marker").arg(0).arg("0").exec(&mut server.connection()).unwrap();
    let (value, _) = until_ok(|| async { link.block(&pop, LONG).await }).await;
    assert!(matches!(value, Value::Array(_)), "{value:?}");
}

#[tokio::test]
async fn logins_that_are_refused_are_denied_and_say_why() {
    let server = RedisServer::start();
    let mut admin = server.connection();
    run(&mut admin, "ACL SETUSER ann on >right ~* +@all");
    run(&mut admin, "ACL SETUSER free on nopass ~* +@all");
    let port = server.port();
    let ask = |login: &str| {
        let link = link(&format!("redis://{login}127.0.0.1:{port}"), Purpose::Commands);
        async move { link.call(cmd("INCR").arg("n"), LONG).await }
    };
    let denied = async |login: &str, words: &str| {
        let error = ask(login).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
        assert!(error.to_string().contains(words), "{error}");
        assert!(!format!("{error:?}").contains("wr0ng"), "{error:?}");
    };
    assert!(ask("").await.is_ok() && ask("ann:right@").await.is_ok() && ask("free@").await.is_ok());
    denied("ann:wr0ng@", "does not accept the user and password").await;
    denied("nobody:wr0ng@", "does not accept the user and password").await;
    denied("ann@", "does not accept the user and password").await;
    denied(":wr0ng@", "has no password, but the URL gives one").await;
    run(&mut admin, "CONFIG SET requirepass right");
    denied("", "wants a password").await;
    denied(":wr0ng@", "does not accept the user and password").await;
    denied("default:wr0ng@", "does not accept the user and password").await;
    assert!(ask(":right@").await.is_ok() && ask("default:right@").await.is_ok() && ask("ann:right@").await.is_ok());
    run(&mut admin, "ACL SETUSER ann off");
    denied("ann:right@", "does not accept the user and password").await;
}

#[tokio::test]
async fn a_password_that_becomes_right_is_accepted_without_a_restart() {
    let server = RedisServer::start();
    let mut admin = server.connection();
    run(&mut admin, "ACL SETUSER ann on >old ~* +@all");
    let link = link(&format!("redis://ann:new@127.0.0.1:{}", server.port()), Purpose::Commands);
    assert_eq!(link.call(&cmd("PING"), LONG).await.unwrap_err().kind(), ErrorKind::Denied);
    run(&mut admin, "ACL SETUSER ann >new");
    until_ok(|| async { link.call(&cmd("PING"), LONG).await }).await;
}

#[tokio::test]
async fn the_database_and_the_protocol_of_the_url_are_used() {
    let server = RedisServer::start();
    for (query, map) in [("", false), ("?protocol=resp2", false), ("?protocol=resp3", true)] {
        let link = link(&format!("{}{query}", server.url_db(3)), Purpose::Commands);
        link.call(cmd("HSET").arg("h").arg("f").arg("v"), LONG).await.unwrap();
        let reply = link.call(cmd("HGETALL").arg("h"), LONG).await.unwrap();
        assert_eq!(matches!(reply, Value::Map(_)), map, "{reply:?}");
    }
    let size: i64 = cmd("DBSIZE").query(&mut interop::redis::connect(&server.url_db(3))).unwrap();
    assert_eq!(size, 1);
    let error = link(&format!("{}/16", server.url()), Purpose::Commands).call(&cmd("PING"), LONG).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("does not have that database"), "{error}");
}

#[tokio::test]
async fn a_unix_socket_serves_as_well() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("r.sock");
    let mut server = RedisServer::builder().option("--unixsocket", path.to_str().unwrap()).start();
    let link = link(&format!("redis+unix:{}?db=2", path.display()), Purpose::Commands);
    link.call(cmd("SET").arg("k").arg("v"), LONG).await.unwrap();
    let there: bool = cmd("EXISTS").arg("k").query(&mut interop::redis::connect(&server.url_db(2))).unwrap();
    assert!(there);
    server.kill();
    let (mut last, mut calls) = (ErrorKind::Unknown, 0);
    while last != ErrorKind::Unreachable {
        last = link.call(&cmd("PING"), LONG).await.unwrap_err().kind();
        calls += 1;
        assert!(calls < 100, "{last:?}");
    }
    server.restart();
    until_ok(|| async { link.call(&cmd("PING"), LONG).await }).await;
}

#[tokio::test]
async fn a_full_server_is_a_store_error_in_clear_words_and_recovers() {
    let server = RedisServer::start();
    let link = commands(&server);
    let mut admin = server.connection();
    run(&mut admin, "CONFIG SET maxmemory-policy noeviction");
    run(&mut admin, "CONFIG SET maxmemory 1");
    let eval = cmd("EVAL").arg("return redis.call('SET', KEYS[1], 'v')").arg(1).arg("k").to_owned();
    for command in [cmd("SET").arg("k").arg("v").to_owned(), eval.clone()] {
        let error = link.call(&command, LONG).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Store);
        assert!(error.to_string().contains("out of memory"), "{error}");
        assert!(error.to_string().contains("maxmemory"), "{error}");
    }
    run(&mut admin, "CONFIG SET maxmemory 0");
    assert_eq!(link.call(&eval, LONG).await.unwrap(), Value::Okay);
}

#[tokio::test]
async fn errors_of_scripts_are_store_errors_at_any_depth_and_in_both_protocols() {
    let server = RedisServer::start();
    run(&mut server.connection(), "SET text x");
    for query in ["", "?protocol=resp3"] {
        let link = link(&format!("{}/0{query}", server.url()), Purpose::Commands);
        for (script, words) in [
            ("return redis.call('LPUSH', 'text', 'x')", "wrong type"),
            ("return {1, {2, redis.pcall('LPUSH', 'text', 'x')}}", "wrong type"),
            ("return redis.error_reply('MINE for a reason')", "MINE for a reason"),
            ("error('thrown')", "thrown"),
            ("this is no lua", "compiling script"),
        ] {
            let error = link.call(cmd("EVAL").arg(script).arg(0), LONG).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Store, "{script}: {error}");
            assert!(error.to_string().contains(words), "{script}: {error}");
        }
        // The connection is as good as before.
        assert_eq!(link.call(cmd("ECHO").arg("x"), LONG).await.unwrap(), Value::BulkString(b"x".to_vec()));
    }
}

#[tokio::test]
async fn a_replica_takes_no_writes_and_is_left_for_the_master_it_becomes() {
    let server = RedisServer::start();
    let link = Link::new(url::redis_address(&server.url()).unwrap(), Purpose::Commands, Some("writes".into()));
    link.call(cmd("SET").arg("k").arg("v"), LONG).await.unwrap();
    let mut admin = server.connection();
    let nobody = RedisServer::start().port();
    run(&mut admin, &format!("REPLICAOF 127.0.0.1 {nobody}"));
    let eval = cmd("EVAL").arg("return redis.call('INCR', KEYS[1])").arg(1).arg("n").to_owned();
    for command in [cmd("INCR").arg("n").to_owned(), eval.clone()] {
        let (kinds, words) = errors_of(&link, &command).await;
        assert!(kinds.iter().all(|kind| *kind == ErrorKind::Unreachable), "{kinds:?}");
        assert!(words.contains("replica"), "{words}");
    }
    // The master may be elsewhere by now, so the connection is not kept.
    wait::until_async("the replica is left", || async { clients(&server, "name=writes").is_empty() }).await;
    run(&mut admin, "REPLICAOF NO ONE");
    let (value, errors) = until_ok(|| async { link.call(&eval, LONG).await }).await;
    assert_eq!(value, Value::Int(1), "nothing was applied before: {errors:?}");
}

async fn errors_of(link: &Link, command: &Cmd) -> (Vec<ErrorKind>, String) {
    let (mut kinds, mut words) = (Vec::new(), String::new());
    for _ in 0..5 {
        let error = link.call(command, LONG).await.unwrap_err();
        kinds.push(error.kind());
        words = error.to_string();
    }
    (kinds, words)
}

#[tokio::test]
async fn a_busy_server_is_unreachable_and_keeps_its_connection() {
    let server = RedisServer::builder().option("--busy-reply-threshold", "1").start();
    let (link, mut admin) = (commands(&server), server.connection());
    link.call(&cmd("PING"), LONG).await.unwrap();
    let endless = commands(&server);
    let busy = tokio::spawn(async move { endless.call(cmd("EVAL").arg("while true do end").arg(0), LONG).await });
    let incr = cmd("INCR").arg("n").to_owned();
    let give_up = Instant::now() + wait::DEADLINE;
    let error = loop {
        match link.call(&incr, LONG).await {
            Err(error) => break error,
            Ok(_) => assert!(Instant::now() < give_up, "the server never was busy"),
        }
    };
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(error.to_string().contains("busy with somebody's script"), "{error}");
    run(&mut admin, "SCRIPT KILL");
    assert_eq!(busy.await.unwrap().unwrap_err().kind(), ErrorKind::Store);
    link.call(&incr, LONG).await.unwrap();
}

#[tokio::test]
async fn a_server_that_has_as_many_clients_as_it_takes_is_unreachable() {
    let server = RedisServer::start();
    let mut admin = server.connection();
    run(&mut admin, "CONFIG SET maxclients 1");
    let link = commands(&server);
    let error = link.call(&cmd("PING"), LONG).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(error.to_string().contains("as many clients as it takes"), "{error}");
    run(&mut admin, "CONFIG SET maxclients 100");
    until_ok(|| async { link.call(&cmd("PING"), LONG).await }).await;
}

#[test]
fn a_link_outlives_the_runtime_that_connected_it() {
    let server = RedisServer::start();
    let link = commands(&server);
    for _ in 0..3 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { link.call(&cmd("PING"), LONG).await.unwrap() });
    }
}

#[tokio::test]
async fn a_pipeline_gives_a_value_or_an_error_for_each() {
    let server = RedisServer::start();
    let link = commands(&server);
    let mut pipe = Pipeline::new();
    pipe.cmd("SET").arg("k").arg("1");
    pipe.cmd("LPUSH").arg("k").arg("x");
    pipe.cmd("INCR").arg("k");
    let replies = link.pipeline(&pipe, LONG).await.unwrap();
    let [Ok(Value::Okay), Err(error), Ok(Value::Int(2))] = &replies[..] else { panic!("{replies:?}") };
    assert_eq!(error.kind(), ErrorKind::Store);
}

#[tokio::test]
async fn a_loading_server_is_unreachable_until_it_has_loaded() {
    let mut server = RedisServer::builder()
        .option("--key-load-delay", "500")
        .option("--loading-process-events-interval-bytes", "1024")
        .start();
    let link = commands(&server);
    let fill = "for i = 1, 4000 do redis.call('SET', i, i) end return 1";
    link.call(cmd("EVAL").arg(fill).arg(0), LONG).await.unwrap();
    link.call(&cmd("SAVE"), LONG).await.unwrap();
    server.kill();
    let starting = std::thread::spawn(move || {
        server.restart();
        server
    });
    let get = cmd("GET").arg("4000").to_owned();
    let (value, errors) = until_ok(|| async { link.call(&get, LONG).await }).await;
    assert_eq!(value, Value::BulkString(b"4000".to_vec()));
    assert!(errors.iter().any(|error| error.to_string().contains("still loading its data")), "{errors:?}");
    assert!(errors.iter().all(Error::is_unreachable), "{errors:?}");
    drop(starting.join());
}

#[tokio::test]
async fn a_replica_without_its_master_is_unreachable() {
    let server = RedisServer::start();
    let link = commands(&server);
    link.call(&cmd("PING"), LONG).await.unwrap();
    let nobody = RedisServer::start().port();
    run(&mut server.connection(), "CONFIG SET replica-serve-stale-data no");
    run(&mut server.connection(), &format!("REPLICAOF 127.0.0.1 {nobody}"));
    let (kinds, words) = errors_of(&link, cmd("GET").arg("k")).await;
    assert!(kinds.iter().all(|kind| *kind == ErrorKind::Unreachable), "{kinds:?}");
    assert!(words.contains("has lost its master"), "{words}");
    run(&mut server.connection(), "REPLICAOF NO ONE");
    until_ok(|| async { link.call(&cmd("PING"), LONG).await }).await;
}

#[tokio::test]
async fn a_node_of_a_cluster_is_unreachable_and_says_so() {
    let server = RedisServer::builder().option("--cluster-enabled", "yes").start();
    let error = commands(&server).call(cmd("INCR").arg("n"), LONG).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(error.to_string().contains("a node of a cluster, which is not built yet: CLUSTERDOWN"), "{error}");
}

/// A runtime may be shut down while calls wait in it, and while others wait elsewhere for the same connection.
#[test]
fn a_runtime_that_ends_under_calls_takes_none_but_its_own_along() {
    let server = RedisServer::start();
    let link = commands(&server);
    let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (first, second) = (runtime(), runtime());
    // The connection lives in the first runtime, so that what the second one takes along is only its own calls.
    first.block_on(async { link.call(&cmd("PING"), LONG).await.unwrap() });
    let pulse = match &*link.0.state.borrow() {
        State::Up { connection, .. } => Arc::clone(connection.pulse()),
        _ => panic!("no connection"),
    };
    let waiting = || pulse.waiting().0;
    // The next call starts the timer of all calls anew, and does so in its own runtime.
    wait::until("the timer rests", || pulse.waiting() == (0, false));
    server.freeze();
    let wait = |deadline: Duration| {
        let link = link.clone();
        async move { link.call(&cmd("PING"), deadline).await }
    };
    let doomed: Vec<_> = (0..20).map(|_| second.spawn(wait(LONG))).collect();
    wait::until("the calls wait", || waiting() == 20);
    let survivor = first.spawn(wait(Duration::from_secs(1)));
    wait::until("one more waits", || waiting() == 21);
    second.shutdown_background();
    let error = first.block_on(survivor).unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unknown, "{error}");
    drop(doomed);
    server.thaw();
    first.block_on(until_ok(|| wait(LONG)));
}
