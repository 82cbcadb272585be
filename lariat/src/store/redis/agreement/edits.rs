//! Changes to one job and settings of the queue, told to both sides.

use super::*;
use crate::JobState;
use crate::store::change::{Change, ChangeJob, Setting};

/// What came of a change: `Ok`, or the refusal.
pub(super) type Said = Result<(), Refusal>;

fn ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap()
}

pub(super) fn reprocess(from: Option<JobState>) -> Change {
    Change::Reprocess { from, reset_made: false, reset_started: false }
}

impl Both {
    /// A change on both sides, with the same answer; save that we always say so where there is no such job.
    #[track_caller]
    pub(super) fn edit(&self, job: &str, change: &Change, now: u64) -> Said {
        let theirs = self.their_edit(job, change, now);
        let ours = self.our_edit(job, change.clone(), now);
        let of_a_missing_job = match change {
            Change::Promote => Err(Refusal::NotInState),
            Change::Remove { .. } => Ok(()),
            _ => Err(Refusal::MissingJob),
        };
        let expected = if ours == Err(Refusal::MissingJob) { of_a_missing_job } else { ours };
        assert_eq!(expected, theirs, "{change:?} of {job}");
        ours
    }

    #[track_caller]
    pub(super) fn our_edit(&self, job: &str, change: Change, now: u64) -> Said {
        let change = ChangeJob { id: id(job), now: at(now), holder: None, change };
        match self.runtime.block_on(self.queue.change(&change)) {
            Ok(_) => Ok(()),
            Err(error) => Err(error.refusal().unwrap_or_else(|| panic!("{error}"))),
        }
    }

    /// The change as BullMQ makes it, on queue `q` of their database.
    #[track_caller]
    pub(super) fn their_edit(&self, job: &str, change: &Change, now: u64) -> Said {
        let script = |method: &str, args: Value| json!({"op": "backend", "method": method, "args": args});
        let mut step = match change {
            Change::Promote => script("promote", json!([job])),
            Change::Delay(delay) => script("changeDelay", json!([job, ms(*delay)])),
            Change::Priority { priority, lifo } => script("changePriority", json!([job, priority, lifo])),
            Change::Reprocess { from, reset_made, reset_started } => {
                let state = from.map_or_else(|| self.finished(job), |from| from.as_str().to_owned());
                let resets = json!({"resetAttemptsMade": reset_made, "resetAttemptsStarted": reset_started});
                json!({"op": "fresh", "id": job, "method": "retry", "args": [state, resets]})
            }
            Change::Remove { children } => script("remove", json!([job, children])),
            Change::Progress(value) => {
                json!({"op": "fresh", "id": job, "method": "updateProgress", "args": [json_of(value)]})
            }
            Change::Data(value) => json!({"op": "fresh", "id": job, "method": "updateData", "args": [json_of(value)]}),
            Change::Log { rows, keep } => script("addLog", json!([job, rows[0], keep])),
            Change::TrimLog { keep } => script("clearLogs", json!([job, keep])),
        };
        step["queue"] = "q".into();
        step["worker"] = self.worker();
        step["now"] = now.into();
        let code = match self.pair.try_theirs(step) {
            // BullMQ answers with 0 where a job to be removed is held.
            Ok(Value::Number(code)) if matches!(change, Change::Remove { .. }) => match code.as_i64() {
                Some(0) => -6,
                Some(code) => code.min(0),
                None => panic!("{code} from a removal"),
            },
            Ok(_) => 0,
            Err(error) => error.code.unwrap_or_else(|| panic!("an error without a code: {error}")),
        };
        Refusal::from_code(code).map_or(Ok(()), Err)
    }

    /// The final state that BullMQ finds the job in; `failed` where it is in none.
    fn finished(&self, job: &str) -> String {
        let state = self.theirs(json!({"op": "getState", "id": job}));
        if state == "completed" { "completed".into() } else { "failed".into() }
    }

    /// A setting on both sides.
    #[track_caller]
    pub(super) fn set(&self, setting: Setting) {
        let step = match setting {
            Setting::Pause => json!({"op": "pause"}),
            Setting::Resume => json!({"op": "resume"}),
            Setting::Concurrency(Some(most)) => json!({"op": "setGlobalConcurrency", "concurrency": most}),
            Setting::Concurrency(None) => json!({"op": "removeGlobalConcurrency"}),
            Setting::RateLimit(Some(limit)) => {
                json!({"op": "setGlobalRateLimit", "max": limit.max, "duration": ms(limit.duration)})
            }
            Setting::RateLimit(None) => json!({"op": "removeGlobalRateLimit"}),
            Setting::Limited(Some(span)) => json!({"op": "rateLimit", "ms": ms(span)}),
            Setting::Limited(None) => json!({"op": "queue", "method": "removeRateLimitKey"}),
        };
        self.theirs(step);
        self.runtime.block_on(self.queue.configure(setting)).unwrap();
    }

    /// Takes the next job on both sides and ends it there, so that it is in that final state.
    #[track_caller]
    pub(super) fn finish_next(&self, n: u64, state: JobState, now: u64) -> String {
        let held = self.hold(n, now);
        let end = if state == JobState::Completed { super::steps::End::Completed } else { super::steps::End::Failed };
        assert_eq!(self.end(&held, end, now), crate::store::exchange::Verdict::Accepted);
        held.id
    }

    /// A tree of jobs on both sides: BullMQ adds it to each.
    #[track_caller]
    pub(super) fn tree(&self, flow: &Value) {
        self.by_node(json!({"op": "flow", "flow": flow, "now": NOW})).unwrap();
    }
}

/// A job of a tree.
pub(super) fn node(id: &str, queue: &str, opts: &Value, children: &[Value]) -> Value {
    let mut opts = opts.clone();
    opts["jobId"] = id.into();
    json!({"name": id, "queueName": queue, "data": id, "opts": opts, "children": children})
}

fn json_of(value: &RawValue) -> Value {
    serde_json::from_str(value.get()).unwrap()
}

/// A job in each state, on both sides, named by the state; no markers.
#[track_caller]
pub(super) fn one_in_each_state(both: &Both) -> Vec<(JobState, String)> {
    let mut found = Vec::new();
    for (n, state) in (1..).zip([JobState::Completed, JobState::Failed, JobState::Active]) {
        let job = both.add("n", &json!(1), &json!({}), NOW);
        if state == JobState::Active {
            both.hold(n, NOW);
        } else {
            both.finish_next(n, state, NOW);
        }
        found.push((state, job));
    }
    both.tree(&node("p", "q", &json!({}), &[node("c", "q", &json!({}), &[])]));
    found.push((JobState::WaitingChildren, "p".into()));
    found.push((JobState::Waiting, "c".into()));
    for (state, opts) in [(JobState::Delayed, json!({"delay": 500})), (JobState::Prioritized, json!({"priority": 3}))] {
        found.push((state, both.add("n", &json!(1), &opts, NOW)));
    }
    both.both(&[&["DEL", "bull:q:marker"]]);
    for (state, job) in &found {
        let stored = both.runtime.block_on(both.queue.job(&id(job))).unwrap().unwrap();
        assert_eq!(stored.state, Some(*state), "{job}");
    }
    both.assert_same();
    found
}

/// What the queue may be like when a job becomes ready: as it is, paused, with all that may run running.
pub(super) const GROUNDS: [&[&str]; 4] = [
    &["HDEL", "bull:q:meta", "nothing"],
    &["HSET", "bull:q:meta", "paused", "1"],
    &["HSET", "bull:q:meta", "concurrency", "0"],
    &["HSET", "bull:q:meta", "concurrency", "9"],
];
