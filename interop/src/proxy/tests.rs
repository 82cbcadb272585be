use std::io::{Read, Write};
use std::time::Instant;

use ::redis::{Cmd, Connection, RedisResult, cmd};

use super::*;
use crate::redis::{RedisServer, connect};

fn incr(connection: &mut Connection) -> RedisResult<i64> {
    cmd("INCR").arg("n").query(connection)
}

/// What the server counted, asked past the proxy.
fn count(server: &RedisServer) -> i64 {
    let mut get: Cmd = cmd("GET");
    get.arg("n").query::<Option<i64>>(&mut server.connection()).unwrap().unwrap_or(0)
}

fn impatient(proxy: &Proxy) -> Connection {
    let connection = connect(&proxy.url());
    connection.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    connection
}

#[test]
fn what_has_no_fault_passes_and_is_counted() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port());
    let incrs = proxy.count(holding(b"incr"));
    let mut connection = connect(&proxy.url());
    let before = proxy.requests();
    assert_eq!(incr(&mut connection), Ok(1));
    let piped: (i64, i64) = ::redis::pipe().cmd("INCR").arg("n").cmd("INCR").arg("n").query(&mut connection).unwrap();
    assert_eq!(piped, (2, 3));
    assert_eq!((proxy.requests() - before, incrs.count(), proxy.connections()), (3, 3, 1));
    let big = "x".repeat(300_000);
    cmd("SET").arg("big").arg(&big).exec(&mut connection).unwrap();
    assert_eq!(cmd("GET").arg("big").query::<String>(&mut connection), Ok(big));
}

#[test]
fn a_lost_reply_leaves_the_effect() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port());
    let mut connection = connect(&proxy.url());
    let lost = proxy.on_next(holding(b"INCR"), Fault::LoseReply);
    assert_eq!(cmd("PING").query(&mut connection), Ok("PONG".to_owned()), "others pass");
    assert!(incr(&mut connection).is_err());
    assert_eq!((count(&server), lost.count()), (1, 1), "the server ran it, once");
    assert_eq!(incr(&mut connect(&proxy.url())), Ok(2), "the next one passes");
}

#[test]
fn a_client_that_only_waits_learns_that_its_server_is_gone() {
    let mut server = RedisServer::start();
    let proxy = Proxy::start(server.port());
    let mut connection = connect(&proxy.url());
    connection.set_read_timeout(Some(wait::DEADLINE)).unwrap();
    assert_eq!(incr(&mut connection), Ok(1));
    server.kill();
    let error = connection.recv_response().unwrap_err();
    assert!(error.is_connection_dropped(), "{error}");
    drop(connection);
    wait::until("the connection is forgotten", || proxy.open_connections() == 0);
}

#[test]
fn earlier_replies_of_a_pipeline_arrive_before_the_lost_one() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port());
    let mut connection = connect(&proxy.url());
    proxy.on_nth(2, holding(b"INCR"), Fault::LoseReply);
    connection.send_packed_command(&[incr_bytes(), incr_bytes(), incr_bytes()].concat()).unwrap();
    assert_eq!(connection.recv_response().unwrap(), ::redis::Value::Int(1));
    assert!(connection.recv_response().is_err());
}

fn incr_bytes() -> Vec<u8> {
    let mut incr = cmd("INCR");
    incr.arg("n").get_packed_command()
}

#[test]
fn a_lost_request_has_no_effect() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port());
    let mut connection = connect(&proxy.url());
    proxy.on_next(any(), Fault::LoseRequest);
    assert!(incr(&mut connection).is_err());
    assert_eq!(count(&server), 0);
}

#[test]
fn each_strikes_until_cleared() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port());
    let lost = proxy.on_each(holding(b"INCR"), Fault::LoseReply);
    for _ in 0..3 {
        assert!(incr(&mut connect(&proxy.url())).is_err());
    }
    assert_eq!((count(&server), lost.count()), (3, 3));
    proxy.clear();
    assert_eq!(incr(&mut connect(&proxy.url())), Ok(4));
}

#[test]
fn a_held_reply_comes_at_the_release() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port());
    let held = proxy.on_next(holding(b"INCR"), Fault::HoldReply);
    // A bare socket: the client library drops a reply that comes after its patience has ended.
    let mut socket = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
    socket.write_all(&incr_bytes()).unwrap();
    wait::until("the server ran it", || count(&server) == 1);
    let mut reply = [0; 4];
    socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert!(socket.read(&mut reply).is_err(), "nothing yet");
    assert_eq!(held.count(), 1);
    proxy.release();
    socket.set_read_timeout(Some(wait::DEADLINE)).unwrap();
    socket.read_exact(&mut reply).unwrap();
    assert_eq!(&reply, b":1\r\n");
}

#[test]
fn a_held_request_runs_only_at_the_release() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port());
    let mut connection = connect(&proxy.url());
    let held = proxy.on_next(holding(b"INCR"), Fault::HoldRequest);
    let asking = std::thread::spawn(move || incr(&mut connection));
    held.wait_for(1);
    assert_eq!(count(&server), 0);
    proxy.release();
    assert_eq!(asking.join().unwrap(), Ok(1));
}

#[test]
fn a_delayed_reply_is_late() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port());
    let mut connection = connect(&proxy.url());
    let delay = Duration::from_millis(120);
    proxy.on_next(holding(b"INCR"), Fault::DelayReply(delay));
    let asked = Instant::now();
    assert_eq!(incr(&mut connection), Ok(1));
    assert!(asked.elapsed() >= delay);
}

#[test]
fn a_half_closed_connection_ends_for_the_reader_only() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port());
    proxy.on_next(holding(b"INCR"), Fault::HalfClose);
    // A bare socket: the client library would close its own side at the end of the stream.
    let mut socket = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
    socket.write_all(&incr_bytes()).unwrap();
    let mut replies = Vec::new();
    socket.read_to_end(&mut replies).unwrap();
    assert_eq!((replies, count(&server)), (vec![], 1));
    socket.write_all(&incr_bytes()).unwrap();
    wait::until("our own side is still open", || count(&server) == 2);
}

#[test]
fn a_black_hole_is_silent_on_one_connection() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port());
    let (mut lost, mut fine) = (impatient(&proxy), connect(&proxy.url()));
    proxy.on_next(holding(b"INCR"), Fault::BlackHole);
    assert!(incr(&mut lost).unwrap_err().is_timeout());
    assert_eq!((count(&server), incr(&mut fine)), (0, Ok(1)));
}

#[test]
fn everything_can_stand_still_or_vanish() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port());
    let (mut held, mut vanished) = (connect(&proxy.url()), impatient(&proxy));
    proxy.hold();
    let seen = proxy.count(holding(b"INCR"));
    let asking = std::thread::spawn(move || incr(&mut held));
    seen.wait_for(1);
    assert_eq!(count(&server), 0);
    proxy.release();
    assert_eq!(asking.join().unwrap(), Ok(1), "held is not lost");
    proxy.black_hole();
    assert!(incr(&mut vanished).is_err());
    proxy.release();
    assert_eq!(count(&server), 1, "what vanished stays so");
}

#[test]
fn cut_and_refused_clients_can_come_back() {
    let server = RedisServer::start();
    let mut proxy = Proxy::start(server.port());
    let mut connection = connect(&proxy.url());
    proxy.cut();
    assert!(incr(&mut connection).is_err());
    let mut connection = connect(&proxy.url());
    proxy.refuse();
    let refused = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    assert_eq!(incr(&mut connection), Ok(1), "open ones go on");
    proxy.admit();
    assert_eq!(incr(&mut connect(&proxy.url())), Ok(2));
}

#[test]
fn a_dead_target_is_a_closed_connection() {
    let mut server = RedisServer::start();
    let proxy = Proxy::start(server.port());
    server.kill();
    let client = ::redis::Client::open(proxy.url()).unwrap();
    assert!(client.get_connection().and_then(|mut connection| incr(&mut connection)).is_err());
    server.restart();
    assert_eq!(incr(&mut connect(&proxy.url())), Ok(1));
}
