//! One commit for many requests: each stands or falls by itself, unless the file fails them all.

use std::time::Duration;

use super::super::writer::Turn;
use super::super::{PATIENCE, events, fault::Fault};
use super::bare;
use crate::error::{Error, ErrorKind, Refusal};

#[tokio::test]
async fn a_request_that_fails_leaves_nothing_and_costs_the_others_nothing() {
    let (store, key) = bare();
    let fails = |n: i64| n % 3 == 0;
    let mut calls = tokio::task::JoinSet::new();
    for n in 0..60 {
        let (key, writer) = (key.clone(), store.writer.clone());
        calls.spawn(async move {
            let done = writer.call(Turn::InOrder, PATIENCE, move |tx| {
                let queue = tx.queue(&key)?;
                let number = &mut tx.edit(queue)?.last_number;
                *number += 1;
                let number = *number;
                events::emit(tx, queue, events::Kind::Drained, Some(&n.to_string()), None, None)?;
                if fails(n) { Err(Fault::from(Refusal::LockTaken)) } else { Ok(number) }
            });
            (n, done.await)
        });
    }
    let mut numbers = Vec::new();
    for (n, done) in calls.join_all().await {
        match done {
            Ok(number) => numbers.push(number),
            Err(error) => assert!(fails(n) && error.refusal() == Some(Refusal::LockTaken), "{n}: {error}"),
        }
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=40).collect::<Vec<_>>());
    let (last, events) = store
        .writer
        .call(Turn::InOrder, PATIENCE, move |tx| {
            let queue = tx.queue(&key)?;
            let last = tx.state(queue)?.last_number;
            let events = events::read(tx.written()?, &key, "0-0", 100)?.events;
            let told = events.into_iter().map(|event| (event.id, event.fields[0].1.parse::<i64>().unwrap()));
            Ok((last, told.collect::<Vec<_>>()))
        })
        .await
        .unwrap();
    let numbers: Vec<i64> = events.iter().map(|(id, _)| id.split_once('-').unwrap().1.parse().unwrap()).collect();
    assert_eq!((last, numbers), (40, (1..=40).collect()));
    let mut told: Vec<i64> = events.into_iter().map(|(_, told)| told).collect();
    told.sort_unstable();
    assert_eq!(told, (0..60).filter(|n| !fails(*n)).collect::<Vec<_>>(), "nothing is told of those that failed");
}

#[tokio::test]
async fn a_full_disk_is_said_and_nothing_is_half_written() {
    let (store, key) = bare();
    let grow = |bytes: usize| {
        let key = key.clone();
        store.writer.call(Turn::InOrder, PATIENCE, move |tx| {
            let queue = tx.queue(&key)?;
            tx.edit(queue)?.last_number += 1;
            events::emit(tx, queue, events::Kind::Drained, Some(&"x".repeat(bytes)), None, None)
        })
    };
    grow(1).await.unwrap();
    let limit = |pages: i64| {
        store.writer.call(Turn::InOrder, PATIENCE, move |tx| {
            let sql = format!("PRAGMA max_page_count = {pages}");
            Ok(tx.connection.query_row(&sql, [], |row| row.get::<_, i64>(0))?)
        })
    };
    limit(60).await.unwrap();
    let error = grow(1 << 20).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Store);
    assert!(error.to_string().contains("the disk is full"), "{error}");
    limit(1 << 20).await.unwrap();
    grow(1 << 20).await.unwrap();
    let key = key.clone();
    let last = store.writer.call(Turn::InOrder, PATIENCE, move |tx| {
        let queue = tx.queue(&key)?;
        Ok(tx.state(queue)?.last_number)
    });
    assert_eq!(last.await.unwrap(), 2);
}

#[tokio::test]
async fn renewals_go_before_what_came_earlier() {
    let (store, _) = bare();
    let (held, release) = (std::sync::mpsc::channel::<()>(), std::sync::mpsc::channel::<()>());
    let (entered, is_held) = held;
    let (go_on, may_go_on) = release;
    let may_go_on = std::sync::Mutex::new(may_go_on);
    // The writer is kept busy, so that the next requests wait side by side.
    let busy = store.writer.call(Turn::InOrder, PATIENCE, move |_| {
        entered.send(()).unwrap();
        may_go_on.lock().unwrap().recv().unwrap();
        Ok(())
    });
    let order = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let note = |turn, name: &'static str| {
        let order = order.clone();
        store.writer.call(turn, PATIENCE, move |_| {
            order.lock().unwrap().push(name);
            Ok(())
        })
    };
    let first = async {
        tokio::task::yield_now().await;
        is_held.recv().unwrap();
        let (add, renewal) = (note(Turn::InOrder, "add"), note(Turn::First, "renewal"));
        let (add, renewal) = (Box::pin(add), Box::pin(renewal));
        let waiting = async { tokio::join!(biased; add, renewal) };
        let mut waiting = Box::pin(waiting);
        // Polled once, both have been handed in.
        assert!(std::future::poll_fn(|cx| std::task::Poll::Ready(waiting.as_mut().poll(cx).is_pending())).await);
        go_on.send(()).unwrap();
        waiting.await
    };
    let (busy, (add, renewal)) = tokio::join!(busy, first);
    busy.unwrap();
    add.unwrap();
    renewal.unwrap();
    assert_eq!(*order.lock().unwrap(), ["renewal", "add"]);
}

#[tokio::test]
async fn a_request_that_comes_too_late_is_not_begun() {
    let (store, _) = bare();
    let error: Error = store.writer.call(Turn::InOrder, Duration::ZERO, |_| Ok(())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
}

#[tokio::test]
async fn only_renewals_are_not_synced() {
    let (store, _) = bare();
    let synchronous = async |turn| {
        let ask = store.writer.call(turn, PATIENCE, |tx| {
            Ok(tx.connection.query_row("PRAGMA synchronous", [], |row| row.get::<_, i64>(0))?)
        });
        ask.await.unwrap()
    };
    for _ in 0..2 {
        assert_eq!(synchronous(Turn::InOrder).await, 2, "full");
        assert_eq!(synchronous(Turn::First).await, 1, "normal");
    }
}
