//! The event stream: what is read from where, and waiting for more.

use std::time::Duration;

use super::PATIENCE;
use super::cases;
use super::world::{World, job, line};
use crate::id::QueueName;
use crate::store::EventStore;
use crate::store::view::{StoredEvent, StoredEvents};

cases! {
    the_life_of_a_job,
    from_where_it_was_read_last,
    a_few_at_a_time,
    the_end_is_where_nothing_is_yet,
    who_waits_hears_what_comes,
    a_wait_that_is_over_is_no_error,
    as_many_as_asked_for_over_several_calls,
    from_a_time_on,
    the_oldest_go,
}

fn stream(w: &World) -> std::sync::Arc<dyn EventStore> {
    w.store.event_store(&QueueName::new("q").unwrap()).unwrap()
}

fn read(w: &World, after: Option<&str>, most: usize) -> StoredEvents {
    w.runtime.block_on(stream(w).events(after, most, Duration::ZERO)).unwrap()
}

fn the_life_of_a_job(w: &World) {
    w.add(job().named("mail"));
    w.accept(w.one().retry());
    w.accept(w.one().complete_with("7", crate::job::Keep::ALL));
    let expected = [
        "added jobId=1 name=mail",
        "waiting jobId=1",
        "active jobId=1 prev=waiting",
        "waiting jobId=1 prev=active",
        "active jobId=1 prev=waiting",
        "completed jobId=1 returnvalue=7 prev=active",
        "drained",
    ];
    assert_eq!(w.told(), expected);
}

fn from_where_it_was_read_last(w: &World) {
    w.add(job());
    let first = read(w, Some("0-0"), 100);
    assert_eq!((first.events.len(), &first.upto), (2, &first.events[1].id));
    assert!(read(w, Some(&first.upto), 100).events.is_empty());
    w.add(job());
    let second = read(w, Some(&first.upto), 100);
    assert_eq!(second.events.iter().map(line).collect::<Vec<_>>(), ["added jobId=2 name=n", "waiting jobId=2"]);
    assert_ne!(second.upto, first.upto);
}

fn a_few_at_a_time(w: &World) {
    w.add_all((0..5).map(|_| job()));
    let (mut upto, mut all) = ("0-0".to_owned(), Vec::new());
    loop {
        let read = read(w, Some(&upto), 3);
        assert!(read.events.len() <= 3);
        if read.events.is_empty() {
            break;
        }
        all.extend(read.events.iter().map(line));
        upto = read.upto;
    }
    assert_eq!(all, w.told());
}

fn the_end_is_where_nothing_is_yet(w: &World) {
    let end = read(w, None, 100);
    assert!(end.events.is_empty());
    w.add(job());
    assert_eq!(read(w, Some(&end.upto), 100).events.len(), 2);
    let end = read(w, None, 100);
    assert!(end.events.is_empty() && read(w, Some(&end.upto), 100).events.is_empty());
}

fn who_waits_hears_what_comes(w: &World) {
    let stream = stream(w);
    let add = crate::store::change::Add { call: w.call("adds"), jobs: vec![w.to_add(job())].into() };
    w.runtime.block_on(async {
        let end = stream.events(None, 100, PATIENCE).await.unwrap();
        let waiting = stream.events(Some(&end.upto), 100, PATIENCE);
        tokio::pin!(waiting);
        // It is under way before anything happens.
        assert!(tokio::time::timeout(Duration::from_millis(20), &mut waiting).await.is_err());
        w.queue.add(&add).await.unwrap();
        assert_eq!(line(&waiting.await.unwrap().events[0]), "added jobId=1 name=n");
    });
}

fn a_wait_that_is_over_is_no_error(w: &World) {
    w.add(job());
    let end = read(w, None, 100).upto;
    let over = w.runtime.block_on(stream(w).events(Some(&end), 100, Duration::from_millis(30))).unwrap();
    assert_eq!((over.events.len(), over.upto), (0, end));
}

fn as_many_as_asked_for_over_several_calls(w: &World) {
    for _ in 0..3 {
        w.add(job());
    }
    assert_eq!(read(w, Some("0-0"), 3).events.len(), 3);
    assert_eq!(read(w, Some("0-0"), 4).events.len(), 4);
}

fn from_a_time_on(w: &World) {
    let at = |id: &str| id.split_once('-').unwrap().0.parse::<i64>().unwrap();
    w.add(job());
    let first = at(&read(w, Some("0-0"), 9).upto);
    interop::wait::until("it is a later time", || crate::time::Timestamp::now().as_millis() > first);
    w.add(job());
    let all = read(w, Some("0-0"), 9);
    let time = format!("{}-0", at(&all.upto));
    // On Redis an event may have this very id.
    let later = |event: &&StoredEvent| at(&event.id) >= at(&time) && event.id != time;
    let expected: Vec<_> = all.events.iter().filter(later).map(line).collect();
    assert!(expected.len() <= 2, "{expected:?}");
    assert_eq!(read(w, Some(&time), 9).events.iter().map(line).collect::<Vec<_>>(), expected);
}

fn the_oldest_go(w: &World) {
    for _ in 0..4 {
        w.add_all((0..2_200).map(|_| job()));
    }
    let kept = read(w, Some("0-0"), usize::MAX >> 12).events.len();
    assert!((10_000..11_000).contains(&kept), "{kept}");
}
