//! What is told to `tracing`: names as documented, and never a payload.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use interop::wait;
use lariat::{Job, JobError, JobState, Manual, NewJob, telemetry as names};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

use crate::fixture::{Fixture, QUEUE, SECOND, on_both_stores};

on_both_stores! {
    adding_and_processing_have_spans_named_as_bullmq_names_them,
    changes_settings_and_work_by_hand_have_spans_too,
    no_payload_no_result_and_no_password_is_told,
    a_flood_of_one_cause_is_one_line_a_second_with_how_many_were_not_said,
}

type Fields = BTreeMap<String, String>;

#[derive(Debug, Clone)]
struct Line {
    level: Level,
    target: String,
    fields: Fields,
}

/// Everything that was told on this thread.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Told>>);

#[derive(Default)]
struct Told {
    /// Name and fields, in order of their making.
    spans: Vec<(String, Fields)>,
    lines: Vec<Line>,
}

struct Into<'a>(&'a mut Fields);

impl Visit for Into<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}").trim_matches('"').to_owned());
    }
}

/// Where a span is in the list; ids are used again.
struct Place(usize);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Heard {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::new();
        attributes.record(&mut Into(&mut fields));
        let spans = &mut self.0.lock().unwrap().spans;
        context.span(id).unwrap().extensions_mut().insert(Place(spans.len()));
        spans.push((attributes.metadata().name().to_owned(), fields));
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let span = context.span(id).unwrap();
        if let Some(Place(place)) = span.extensions().get() {
            values.record(&mut Into(&mut self.0.lock().unwrap().spans[*place].1));
        }
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::new();
        event.record(&mut Into(&mut fields));
        let (level, target) = (*event.metadata().level(), event.metadata().target().to_owned());
        self.0.lock().unwrap().lines.push(Line { level, target, fields });
    }
}

impl Heard {
    /// Hears what this thread tells from now on, until the guard is dropped. A test's runtime has this thread only.
    fn listen() -> (Heard, tracing::subscriber::DefaultGuard) {
        let heard = Heard::default();
        let guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(heard.clone()));
        (heard, guard)
    }

    fn spans(&self, name: &str) -> Vec<Fields> {
        let told = self.0.lock().unwrap();
        told.spans.iter().filter(|(known, _)| known == name).map(|(_, fields)| fields.clone()).collect()
    }

    fn lines(&self) -> Vec<Line> {
        self.0.lock().unwrap().lines.clone()
    }

    /// How many lines have this field.
    fn counted(&self, figure: &str) -> usize {
        self.lines().iter().filter(|line| line.fields.contains_key(figure)).count()
    }
}

fn has(fields: &Fields, expected: &[(&str, &str)]) {
    for (field, value) in expected {
        assert_eq!(fields.get(*field).map(String::as_str), Some(*value), "{field} in {fields:?}");
    }
}

async fn adding_and_processing_have_spans_named_as_bullmq_names_them(f: Fixture) {
    let (heard, _guard) = Heard::listen();
    let id = f.queue.add("welcome", "ada").attempts(2).await.unwrap();
    f.queue.add_bulk((0..3).map(|n| NewJob::new("n", &n))).await.unwrap();
    let handler = async |job: Job| {
        tracing::info!("from within the handler");
        if job.name() == "welcome" && job.attempt() == 1 { Err(JobError::retry("no")) } else { Ok(()) }
    };
    let worker = f.worker().name("w1").start(handler).unwrap();
    wait::until_async("all done", || async { f.queue.overview().await.unwrap().counts.completed == 4 }).await;
    worker.close(SECOND).await;
    let add = &heard.spans(names::ADD)[0];
    has(
        add,
        &[(names::QUEUE, QUEUE), (names::OPERATION, "add"), (names::JOB_NAME, "welcome"), (names::JOB_ID, id.as_str())],
    );
    has(add, &[("otel.kind", "producer"), ("otel.name", "add mail.welcome")]);
    has(&heard.spans(names::ADD_BULK)[0], &[("otel.name", "addBulk mail"), (names::BULK_COUNT, "3")]);
    let runs = heard.spans(names::PROCESS);
    assert_eq!(runs.len(), 5);
    let welcome: Vec<_> = runs.iter().filter(|run| run[names::JOB_NAME] == "welcome").collect();
    has(welcome[0], &[("otel.kind", "consumer"), ("otel.name", "process mail"), (names::WORKER_NAME, "w1")]);
    has(welcome[0], &[(names::ATTEMPTS_MADE, "0"), (names::JOB_STATE, "retried")]);
    has(welcome[1], &[(names::ATTEMPTS_MADE, "1"), (names::JOB_STATE, "completed")]);
    assert_eq!((heard.counted(names::COMPLETED), heard.counted(names::RETRIED)), (4, 1));
    assert_eq!((heard.counted(names::FAILED), heard.counted(names::DURATION)), (0, 5));
}

async fn changes_settings_and_work_by_hand_have_spans_too(f: Fixture) {
    let (heard, _guard) = Heard::listen();
    f.queue.pause().await.unwrap();
    f.queue.resume().await.unwrap();
    f.queue.set_global_concurrency(Some(3)).await.unwrap();
    let id = f.queue.add("x", &()).delay(60 * SECOND).await.unwrap();
    f.queue.edit(&id).promote().await.unwrap();
    f.queue.edit(&id).progress(&7).await.unwrap();
    let manual = Manual::builder(&f.store, QUEUE).start().unwrap();
    manual.take().await.unwrap().unwrap().retry("no").await.unwrap();
    let gone = f.queue.add("y", &()).await.unwrap();
    f.queue.edit(&gone).remove().await.unwrap();
    for name in [
        names::PAUSE,
        names::RESUME,
        names::SET_GLOBAL_CONCURRENCY,
        names::PROMOTE,
        names::UPDATE_PROGRESS,
        names::GET_NEXT_JOB,
        names::RETRY,
        names::REMOVE,
        names::MOVE_STALLED_JOBS_TO_WAIT,
    ] {
        let spans = heard.spans(name);
        assert_eq!(spans.len(), 1, "{name}");
        has(&spans[0], &[(names::QUEUE, QUEUE), (names::OPERATION, name), ("otel.kind", "internal")]);
    }
    has(&heard.spans(names::PROMOTE)[0], &[(names::JOB_ID, id.as_str())]);
    assert_eq!(heard.counted(names::FAILED), 1);
}

/// Everything that can be said, with a secret wherever a user can put one.
async fn no_payload_no_result_and_no_password_is_told(f: Fixture) {
    let (heard, _guard) = Heard::listen();
    let store = lariat::Store::open(&f.url_with_password("s3cret-password")).unwrap();
    let queue = lariat::Queue::new(&store, QUEUE).unwrap();
    let handler = async |job: Job| {
        job.progress("s3cret-progress").await?;
        job.log("s3cret-row").await?;
        job.update_data("s3cret-update").await?;
        match job.name() {
            "panic" => panic!("s3cret-panic"),
            "fail" => Err(JobError::fail("s3cret-reason")),
            "retry" => Err(JobError::retry("s3cret-again")),
            _ => Ok("s3cret-result"),
        }
    };
    let worker = lariat::Worker::builder(&store, QUEUE).start(handler).unwrap();
    let mut ids = Vec::new();
    for name in ["done", "fail", "retry", "panic"] {
        ids.push(queue.add(name, "s3cret-payload").attempts(2).await.unwrap());
    }
    for id in &ids {
        let over = async || matches!(f.state(id).await, Some(JobState::Completed | JobState::Failed));
        wait::until_async("it has ended", over).await;
    }
    let manual = Manual::builder(&store, QUEUE).start().unwrap();
    queue.add("hand", "s3cret-payload").await.unwrap();
    worker.close(SECOND).await;
    if let Some(taken) = manual.take().await.unwrap() {
        taken.complete("s3cret-result").await.unwrap();
    }
    f.freeze();
    let patient = queue.clone().with_patience(Duration::from_millis(10));
    assert!(patient.add("lost", "s3cret-payload").await.is_err());
    f.thaw();
    let told = heard.0.lock().unwrap();
    assert!(told.spans.len() > 10 && told.lines.len() > 5, "{} spans", told.spans.len());
    let fields = told.spans.iter().map(|(_, fields)| fields).chain(told.lines.iter().map(|line| &line.fields));
    for (field, value) in fields.flatten() {
        assert!(!value.contains("s3cret"), "{field}: {value}");
    }
}

/// Runs a test in a process of its own, whatever runner has started it: true there, and false, once it has passed, here.
fn alone(test: &str) -> bool {
    const ALONE: &str = "LARIAT_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let mut program = std::process::Command::new(std::env::current_exe().unwrap());
    let output = program.args(["--exact", test, "--nocapture"]).env(ALONE, "1").output().unwrap();
    let told = [output.stdout, output.stderr].map(|told| String::from_utf8_lossy(&told).into_owned()).concat();
    assert!(output.status.success() && told.contains("1 passed"), "{told}");
    false
}

async fn a_flood_of_one_cause_is_one_line_a_second_with_how_many_were_not_said(f: Fixture) {
    // A process says a cause once a second for all its workers, and other tests have such lines to say too.
    let module = f.module();
    let this = format!("telemetry::{module}::a_flood_of_one_cause_is_one_line_a_second_with_how_many_were_not_said");
    if !alone(&this) {
        return;
    }
    let (heard, _guard) = Heard::listen();
    // Ids without a record: each is dropped, and would be a line.
    for id in f.queue.add_bulk((0..500).map(|n| NewJob::new("n", &n))).await.unwrap() {
        f.lose_record(id.as_str());
    }
    let last = f.queue.add("x", &()).await.unwrap();
    let begun = std::time::Instant::now();
    let worker = f.worker().start(async |_| Ok::<_, JobError>(())).unwrap();
    f.until(&last, JobState::Completed).await;
    worker.close(SECOND).await;
    let most = 1 + begun.elapsed().as_secs();
    let dropped: Vec<_> = heard.lines().into_iter().filter(|line| line.level == Level::WARN).collect();
    assert!(!dropped.is_empty() && dropped.len() as u64 <= most, "{} lines in {most} s", dropped.len());
    has(&dropped[0].fields, &[(names::JOB_ID, "1"), (names::UNSAID, "0")]);
    assert!(dropped.iter().all(|line| line.target.starts_with("lariat")));
}
