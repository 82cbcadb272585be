//! Laws over random sequences, on each store by itself.

use std::collections::BTreeSet;
use std::fmt;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use super::world::{Held, New, World, held, job, ms};
use crate::id::JobId;
use crate::job::{JobState, Keep};
use crate::store::change::{Change, Setting};
use crate::store::exchange::{Exchanged, Hint, RateLimit, Settle, Verdict};

/// Makes of each law, a function of how a world is made, one test for each store.
macro_rules! laws {
    ($($law:ident,)*) => {
        mod on_redis {
            $(#[test]
            fn $law() {
                super::$law(super::World::on_redis);
            })*
        }
        mod on_sqlite {
            $(#[test]
            fn $law() {
                super::$law(super::World::on_sqlite);
            })*
        }
    };
}

laws! {
    one_call_is_as_good_as_two,
    each_job_is_in_one_state_and_counted_there,
    no_job_is_lost_and_none_is_held_twice,
}

fn run<T: std::fmt::Debug>(cases: u32, what: &impl Strategy<Value = T>, law: impl Fn(T) -> Result<(), TestCaseError>) {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    let cases = asked.unwrap_or(cases);
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    if let Err(why) = runner.run(what, law) {
        panic!("{why}");
    }
}

fn keep() -> impl Strategy<Value = Keep> {
    prop_oneof![
        4 => Just(Keep::ALL),
        1 => Just(Keep::NONE),
        1 => (1u64..4).prop_map(Keep::last),
        1 => Just(Keep::for_at_most(ms(0))),
        1 => Just(Keep { count: Some(3), age: Some(ms(60_000)), limit: Some(2) }),
    ]
}

fn a_job() -> impl Strategy<Value = New> {
    prop_oneof![
        4 => Just(job()),
        1 => (1u32..4).prop_map(|priority| job().priority(priority)),
        1 => (1u64..60).prop_map(|delay| job().delay(delay)),
        1 => (1u64..60, 1u32..4).prop_map(|(delay, priority)| job().delay(delay).priority(priority)),
        1 => Just(job().lifo()),
    ]
}

/// What becomes of a held job.
#[derive(Debug, Clone, Copy)]
enum To {
    Complete(Keep),
    Fail(Keep),
    Retry(bool),
    Backoff(u64),
    Delay(u64),
    PutBack,
    WaitForChildren,
    /// Somebody else claims to have completed it.
    Stolen,
}

fn to() -> impl Strategy<Value = To> {
    prop_oneof![
        4 => keep().prop_map(To::Complete),
        2 => keep().prop_map(To::Fail),
        1 => any::<bool>().prop_map(To::Retry),
        1 => (0u64..50).prop_map(To::Backoff),
        1 => (0u64..50).prop_map(To::Delay),
        1 => Just(To::PutBack),
        1 => Just(To::WaitForChildren),
        1 => Just(To::Stolen),
    ]
}

fn outcome(held: &Held, to: To) -> Settle {
    match to {
        To::Complete(keep) => held.complete_with("1", keep),
        To::Fail(keep) => held.fail_with("boom", keep, 1),
        To::Retry(false) => held.retry(),
        To::Retry(true) => held.retry_first(),
        To::Backoff(delay) => held.backoff(delay),
        To::Delay(delay) => held.delay(delay),
        To::PutBack => held.put_back(),
        To::WaitForChildren => held.wait_for_children(),
        To::Stolen => held.by("nobody:1").complete(),
    }
}

/// A queue in which some jobs are held, and what is handed in.
#[derive(Clone)]
struct Scene {
    /// Jobs that ended long before.
    old: usize,
    jobs: Vec<New>,
    /// How many are taken before.
    take: usize,
    /// Children of the first job, and what their failure means.
    family: Option<&'static str>,
    outcomes: Vec<To>,
    split: usize,
    want: usize,
    setting: Option<Setting>,
}

/// On a line, where a failure is reported.
impl fmt::Debug for Scene {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Scene { old, jobs, take, family, outcomes, split, want, setting } = self;
        let outcomes = &outcomes[..(*take).min(outcomes.len())];
        let words = format!(
            "{old} old, {jobs:?} family {family:?}, {setting:?}, take {take}, outcomes {outcomes:?} split {split}, want {want}"
        );
        f.write_str(&words)
    }
}

fn scene() -> impl Strategy<Value = Scene> {
    let setting = prop_oneof![
        4 => Just(None),
        1 => (1u64..9).prop_map(|most| Some(Setting::Concurrency(Some(most)))),
        1 => (1u64..9).prop_map(|max| Some(Setting::RateLimit(Some(RateLimit { max, duration: ms(3_600_000) })))),
        1 => Just(Some(Setting::Pause)),
    ];
    let family = prop_oneof![2 => Just(None), 1 => prop::sample::select(vec!["", "fpof", "cpof", "idof", "rdof"]).prop_map(Some)];
    let jobs = prop::collection::vec(a_job(), 1..20);
    (0usize..5, jobs, 0usize..16, family, prop::collection::vec(to(), 16), 0usize..=16, 0usize..6, setting).prop_map(
        |(old, jobs, take, family, outcomes, split, want, setting)| Scene {
            old,
            jobs,
            take,
            family,
            outcomes,
            split,
            want,
            setting,
        },
    )
}

/// What is left of a scene, but for the order of events and a first call's `drained`.
fn play(w: &World, scene: &Scene, in_two: bool) -> Vec<String> {
    for n in 0..scene.old {
        w.add(job());
        let held = w.one();
        w.accept(if n % 2 == 0 { held.complete() } else { held.fail() });
    }
    w.pass(120_000);
    let ids = w.add_all(scene.jobs.clone());
    if let Some(flag) = scene.family {
        for child in ids.iter().skip(1).step_by(2) {
            w.hands.adopt(ids[0].as_str(), child.as_str(), flag);
        }
    }
    let taken = w.take(scene.take);
    if let Some(setting) = scene.setting {
        w.configure(setting);
    }
    w.told();
    w.pass(10);
    let outcomes: Vec<Settle> = taken.iter().zip(&scene.outcomes).map(|(held, to)| outcome(held, *to)).collect();
    let send = |outcomes: &[Settle], want| {
        let mut exchange = w.exchange_of(outcomes.to_vec(), want);
        exchange.metrics = Some(5);
        w.send(&exchange)
    };
    let (first, last) = if in_two {
        let (a, b) = outcomes.split_at(scene.split.min(outcomes.len()));
        (send(a, 0), send(b, scene.want))
    } else {
        (Exchanged::default(), send(&outcomes, scene.want))
    };
    let events = w.told();
    let mut events: Vec<_> = events.into_iter().filter(|line| line != "drained").collect();
    events.sort();
    let verdicts: Vec<_> = first.verdicts.iter().chain(&last.verdicts).collect();
    let taken = super::world::ids(&held(&last));
    let hint = if matches!(last.hint, Hint::LimitedFor(_)) { Hint::LimitedFor(ms(0)) } else { last.hint };
    let mut left = vec![w.shown(), format!("{verdicts:?} {taken} {hint:?}"), events.join("\n")];
    for state in JobState::ALL {
        // Two worlds on one server have prefixes of their own.
        let prefix = format!("{}:q", w.store.prefix());
        let jobs = w.page(state, 0, 1000, true).into_iter();
        left.extend(jobs.map(|record| format!("{record:?}").replace(&prefix, "bull:q")));
    }
    let metrics = [JobState::Completed, JobState::Failed].map(|state| w.runtime.block_on(w.queue.metrics(state, 9)));
    left.push(format!("{metrics:?}"));
    left
}

/// At one moment `exchange(a ++ b, n)` leaves what `exchange(a, 0)` and then `exchange(b, n)` leaves.
fn one_call_is_as_good_as_two(world: fn() -> World) {
    run(60, &scene(), |scene| {
        let (whole, parts) = (play(&world(), &scene, false), play(&world(), &scene, true));
        for (whole, parts) in whole.iter().zip(&parts) {
            prop_assert_eq!(whole, parts);
        }
        Ok(())
    });
}

/// Something that happens to a queue. Numbers choose among the jobs that there are.
#[derive(Debug, Clone)]
enum Step {
    Add(Box<New>),
    AddOwn(u8),
    /// A parent that waits for children, and they.
    Family(&'static str),
    Take(usize),
    Settle(usize, To),
    Change(usize, Change),
    Lapse(usize),
    Recover,
    Set(Setting),
    Pass(i64),
}

/// With `gentle` no job is ever to go.
fn step(gentle: bool) -> impl Strategy<Value = Step> {
    let change = prop_oneof![
        2 => (0u64..60).prop_map(|delay| Change::Delay(ms(delay))),
        2 => (0u32..4, any::<bool>()).prop_map(|(priority, lifo)| Change::Priority { priority, lifo }),
        2 => Just(Change::Promote),
        2 => any::<bool>().prop_map(|reset| Change::Reprocess { from: None, reset_made: reset, reset_started: false }),
        2 => any::<bool>().prop_map(move |children| {
            if gentle { Change::TrimLog { keep: 1 } } else { Change::Remove { children } }
        }),
    ];
    let to = to().prop_map(move |to| match to {
        To::Complete(_) if gentle => To::Complete(Keep::ALL),
        To::Fail(_) if gentle => To::Fail(Keep::ALL),
        to => to,
    });
    let setting = prop_oneof![
        1 => Just(Setting::Pause),
        3 => Just(Setting::Resume),
        1 => (1u64..5).prop_map(|most| Setting::Concurrency(Some(most))),
        1 => Just(Setting::Concurrency(None)),
    ];
    prop_oneof![
        4 => a_job().prop_map(|job| Step::Add(Box::new(job))),
        1 => (0u8..4).prop_map(Step::AddOwn),
        1 => prop::sample::select(vec!["", "fpof", "cpof", "idof", "rdof"]).prop_map(Step::Family),
        5 => (1usize..5).prop_map(Step::Take),
        6 => (any::<prop::sample::Index>(), to).prop_map(|(n, to)| Step::Settle(n.index(1000), to)),
        3 => (any::<prop::sample::Index>(), change).prop_map(|(n, change)| Step::Change(n.index(1000), change)),
        1 => any::<prop::sample::Index>().prop_map(|n| Step::Lapse(n.index(1000))),
        1 => Just(Step::Recover),
        1 => setting.prop_map(Step::Set),
        2 => (1i64..90).prop_map(Step::Pass),
    ]
}

/// What is known of a queue by what it answered.
#[derive(Default)]
struct Known {
    ids: Vec<JobId>,
    held: Vec<Held>,
    /// Jobs whose lock is gone: a search may put them back.
    lapsed: BTreeSet<String>,
}

impl Known {
    fn do_step(&mut self, w: &World, step: &Step) {
        match step {
            Step::Add(new) => self.ids.push(w.add(New::clone(new))),
            Step::AddOwn(n) => {
                let id = w.add(job().id(&format!("own-{n}")));
                if !self.ids.contains(&id) {
                    self.ids.push(id);
                }
            }
            Step::Family(flag) => {
                let family = w.add_all([job().delay(5), job(), job()]);
                for child in &family[1..] {
                    w.hands.adopt(family[0].as_str(), child.as_str(), flag);
                }
                self.ids.extend(family);
            }
            Step::Take(want) => {
                let taken = w.take(*want);
                for taken in &taken {
                    let twice =
                        self.held.iter().any(|held| held.id == taken.id) && !self.lapsed.contains(taken.id.as_str());
                    assert!(!twice, "job {} is held already", taken.id);
                    self.held.retain(|held| held.id != taken.id);
                    self.lapsed.remove(taken.id.as_str());
                }
                self.held.extend(taken);
            }
            Step::Settle(n, to) if !self.held.is_empty() => {
                let place = n % self.held.len();
                let settle = outcome(&self.held[place], *to);
                let lapsed = self.lapsed.contains(settle.id.as_str());
                let verdict = w.settle(settle);
                if verdict == Verdict::Accepted {
                    assert!(!lapsed, "a lock that is gone proves nothing");
                    self.held.swap_remove(place);
                }
            }
            Step::Change(n, change) if !self.ids.is_empty() => {
                let _ = w.change(&self.ids[n % self.ids.len()], change.clone());
            }
            Step::Lapse(n) if !self.held.is_empty() => {
                let id = self.held[n % self.held.len()].id.to_string();
                // It may have been removed since it lapsed before.
                if w.state(&self.held[n % self.held.len()].id) == Some(JobState::Active) {
                    w.hands.lapse(&id);
                    self.lapsed.insert(id);
                }
            }
            Step::Recover => {
                for id in w.recover(9) {
                    assert!(self.lapsed.contains(&id), "job {id} is held, and was put back");
                }
            }
            Step::Set(setting) => w.configure(*setting),
            Step::Pass(ms) => w.pass(*ms),
            Step::Settle(..) | Step::Change(..) | Step::Lapse(_) => {}
        }
    }
}

fn each_job_is_in_one_state_and_counted_there(world: fn() -> World) {
    run(16, &prop::collection::vec(step(false), 1..40), |steps| {
        let (w, mut known) = (world(), Known::default());
        for step in &steps {
            known.do_step(&w, step);
            w.shown();
        }
        Ok(())
    });
}

fn no_job_is_lost_and_none_is_held_twice(world: fn() -> World) {
    run(24, &prop::collection::vec(step(true), 1..80), |steps| {
        let (w, mut known) = (world(), Known::default());
        for step in &steps {
            known.do_step(&w, step);
        }
        w.shown();
        let jobs = JobState::ALL.into_iter().flat_map(|state| w.page(state, 0, 1000, true));
        let found: BTreeSet<_> = jobs.map(|job| job.id.to_string()).collect();
        let added: BTreeSet<_> = known.ids.iter().map(ToString::to_string).collect();
        prop_assert_eq!(found, added);
        Ok(())
    });
}
