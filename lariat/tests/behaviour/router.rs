//! Jobs go to the handler of their name.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use lariat::{Job, JobError, JobState, Outcome, Router};

use crate::fixture::{Fixture, on_both_stores};

on_both_stores! {
    each_name_has_its_handler_and_those_that_want_it_get_the_state,
    an_unknown_name_fails_for_good_and_the_known_ones_are_listed,
    a_router_without_names_says_so,
    otherwise_takes_what_nobody_else_does_and_the_later_of_two_stands,
}

struct Greeter {
    greeting: &'static str,
    greeted: AtomicU32,
}

fn greeter() -> Arc<Greeter> {
    Arc::new(Greeter { greeting: "hello", greeted: AtomicU32::new(0) })
}

async fn greet(job: Job, state: Arc<Greeter>) -> Result<String, JobError> {
    state.greeted.fetch_add(1, Ordering::Relaxed);
    Ok(format!("{} {}", state.greeting, job.data::<String>()?))
}

async fn double(job: Job) -> Result<u32, lariat::Error> {
    Ok(job.data::<u32>()? * 2)
}

async fn each_name_has_its_handler_and_those_that_want_it_get_the_state(f: Fixture) {
    let state = greeter();
    let router = Router::new()
        .on("before", async |_| Ok::<_, JobError>("no state"))
        .with_state(Arc::clone(&state))
        .on("greet", greet)
        .on("double", double)
        .on("closure", async |job: Job, state: Arc<Greeter>| Ok::<_, JobError>((job.attempt(), state.greeting)))
        .on("later", async |job: Job| if job.starts() == 1 { Ok(Outcome::PutBack) } else { Outcome::done("again") });
    let ids = [
        (f.queue.add("greet", "ada").await.unwrap(), "\"hello ada\""),
        (f.queue.add("double", &21).await.unwrap(), "42"),
        (f.queue.add("closure", &()).await.unwrap(), "[1,\"hello\"]"),
        (f.queue.add("before", &()).await.unwrap(), "\"no state\""),
        (f.queue.add("later", &()).await.unwrap(), "\"again\""),
    ];
    let _worker = f.worker().concurrency(3).start(router).unwrap();
    for (id, result) in &ids {
        assert_eq!(f.until(id, JobState::Completed).await.record.return_value.unwrap().get(), *result);
    }
    assert_eq!(state.greeted.load(Ordering::Relaxed), 1);
}

async fn an_unknown_name_fails_for_good_and_the_known_ones_are_listed(f: Fixture) {
    let id = f.queue.add("wellcome", &()).attempts(5).await.unwrap();
    let empty = f.queue.add("second", &()).await.unwrap();
    let router = Router::new().on("welcome", double).on("invoice", double);
    let worker = f.worker().start(router).unwrap();
    let job = f.until(&id, JobState::Failed).await.record;
    let reason = job.failed_reason.unwrap();
    assert_eq!(job.attempts_made, 1, "no other attempt can help");
    for word in ["\"wellcome\"", "\"invoice\"", "\"welcome\""] {
        assert!(reason.contains(word), "{reason}");
    }
    f.until(&empty, JobState::Failed).await;
    worker.close(crate::fixture::SECOND).await;
}

async fn a_router_without_names_says_so(f: Fixture) {
    let id = f.queue.add("x", &()).await.unwrap();
    let _worker = f.worker().start(Router::new()).unwrap();
    let reason = f.until(&id, JobState::Failed).await.record.failed_reason.unwrap();
    assert!(reason.contains("knows no names"), "{reason}");
}

async fn otherwise_takes_what_nobody_else_does_and_the_later_of_two_stands(f: Fixture) {
    let router = Router::new()
        .on("known", async |_| Ok::<_, JobError>("the first"))
        .on("known", async |_| Ok::<_, JobError>("the second"))
        .with_state(greeter())
        .otherwise(greet);
    let known = f.queue.add("known", &()).await.unwrap();
    let other = f.queue.add("", "nobody").await;
    assert!(other.is_err(), "a job has a name");
    let other = f.queue.add("Known", "bob").await.unwrap();
    let _worker = f.worker().start(router).unwrap();
    assert_eq!(f.until(&known, JobState::Completed).await.record.return_value.unwrap().get(), "\"the second\"");
    assert_eq!(f.until(&other, JobState::Completed).await.record.return_value.unwrap().get(), "\"hello bob\"");
}
