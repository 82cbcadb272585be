//! Random walks: adds, flows, takes, ends, changes, pauses, limits, searches for stalled jobs, in any order. BullMQ goes step by
//! step; we go step by step too, or hand in and take many at once. Where they arrive must be the same.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::steps::{End, Held, held};
use super::*;
use crate::JobState;
use crate::store::change::{Change, Setting};
use crate::store::exchange::Verdict;

#[derive(Debug, Clone)]
enum Move {
    Add(Value),
    /// A step that only BullMQ does so far, on both databases.
    Node(Value),
    /// A change to a job that may not be there, or be anywhere.
    Edit(String, Change),
    Set(Setting),
    /// A parent with children, whose options these are.
    Family(Value, Vec<Value>),
    Take,
    /// Ends of held jobs (any of them, by its place), then as many takes.
    Ends(Vec<(usize, End)>, usize),
    /// An end with a token that nobody has, or of a job that is not there.
    Refused(usize, End),
    /// A worker dies: its lock lapses.
    Lose(usize),
    Extend(usize),
    Search,
    Time(u64),
}

/// Without `rules` the order of all events is the same: with them we announce an end before we remove what it makes too
/// much, BullMQ after.
fn keep(rules: bool) -> impl Strategy<Value = Value> {
    let rules = u32::from(rules);
    prop_oneof![
        4 => Just(Value::Null),
        1 => Just(json!(true)),
        1 => Just(json!(false)),
        rules => (1..4).prop_map(|n| json!(n)),
        rules => (0..3).prop_map(|age| json!({"age": age})),
        rules => (1..3).prop_map(|n| json!({"age": 1, "count": n})),
    ]
}

fn options(rules: bool) -> impl Strategy<Value = Value> {
    let place = prop_oneof![
        4 => Just(json!({})),
        2 => (1..4).prop_map(|p| json!({"priority": p})),
        2 => prop_oneof![Just(1), Just(50), Just(2000)].prop_map(|d| json!({"delay": d})),
        1 => (1..3).prop_map(|p| json!({"priority": p, "delay": 50})),
        1 => Just(json!({"lifo": true})),
    ];
    let attempts = prop_oneof![3 => Just(Value::Null), 1 => (0..4).prop_map(|n| json!(n))];
    (place, keep(rules), keep(rules), attempts).prop_map(|(mut opts, complete, fail, attempts)| {
        for (name, value) in [("removeOnComplete", complete), ("removeOnFail", fail), ("attempts", attempts)] {
            if !value.is_null() {
                opts[name] = value;
            }
        }
        opts
    })
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![
        5 => Just(End::Completed),
        3 => Just(End::Failed),
        1 => any::<bool>().prop_map(|lifo| End::Retried { lifo }),
        1 => prop_oneof![Just(1u64), Just(50)].prop_map(End::BackedOff),
        1 => prop_oneof![Just(0u64), Just(1), Just(50)].prop_map(End::Delayed),
        1 => Just(End::WaitsForChildren),
        1 => Just(End::PutBack),
    ]
}

/// An add that only BullMQ does so far.
fn deduplicated(rules: bool) -> impl Strategy<Value = Value> {
    let dedup = prop_oneof![
        Just(json!({"id": "d"})),
        Just(json!({"id": "d", "ttl": 600_000})),
        Just(json!({"id": "d", "keepLastIfActive": true})),
        Just(json!({"id": "d", "replace": true})),
    ];
    (options(rules), dedup).prop_map(|(mut opts, dedup)| {
        opts["deduplication"] = dedup;
        json!({"op": "add", "name": "dedup", "data": 1, "opts": opts})
    })
}

/// Something of an operator's, to a job; its place among them makes ids, and families have names.
fn edit() -> impl Strategy<Value = Move> {
    let id = prop_oneof![
        4 => (1..12u32).prop_map(|id| id.to_string()),
        1 => (1..3u32).prop_map(|f| format!("f{f}")),
        1 => (1..3u32, 0..3u32).prop_map(|(f, c)| format!("f{f}c{c}")),
    ];
    let from = prop_oneof![Just(None), Just(Some(JobState::Completed)), Just(Some(JobState::Failed))];
    let change = prop_oneof![
        2 => Just(Change::Promote),
        2 => prop_oneof![Just(0u64), Just(1), Just(50)].prop_map(|ms| Change::Delay(Duration::from_millis(ms))),
        3 => (0..4u32, any::<bool>()).prop_map(|(priority, lifo)| Change::Priority { priority, lifo }),
        3 => (from, any::<bool>(), any::<bool>()).prop_map(|(from, reset_made, reset_started)| {
            Change::Reprocess { from, reset_made, reset_started }
        }),
        2 => any::<bool>().prop_map(|children| Change::Remove { children }),
    ];
    (id, change).prop_map(|(id, change)| Move::Edit(id, change))
}

fn setting() -> impl Strategy<Value = Setting> {
    let window = Duration::from_secs(600);
    prop_oneof![
        1 => Just(Setting::Pause),
        2 => Just(Setting::Resume),
        1 => (1..4u64).prop_map(|most| Setting::Concurrency(Some(most))),
        2 => Just(Setting::Concurrency(None)),
        1 => (1..4u64).prop_map(move |max| Setting::RateLimit(Some(RateLimit { max, duration: window }))),
        2 => Just(Setting::RateLimit(None)),
        1 => Just(Setting::Limited(Some(window))),
        2 => Just(Setting::Limited(None)),
    ]
}

fn family(rules: bool) -> impl Strategy<Value = Move> {
    let flag = prop_oneof![
        Just("failParentOnFailure"),
        Just("continueParentOnFailure"),
        Just("ignoreDependencyOnFailure"),
        Just("removeDependencyOnFailure"),
        Just("unflagged"),
    ];
    let child = (options(rules), flag).prop_map(|(mut opts, flag)| {
        opts[flag] = true.into();
        opts
    });
    (options(rules), prop::collection::vec(child, 1..4)).prop_map(|(parent, children)| Move::Family(parent, children))
}

fn moves(batches: bool) -> impl Strategy<Value = Vec<Move>> {
    let ends = if batches { 1..7usize } else { 1..2 };
    let takes = if batches { 0..6usize } else { 0..1 };
    let one = prop_oneof![
        6 => options(batches).prop_map(Move::Add),
        2 => family(batches),
        1 => deduplicated(batches).prop_map(Move::Node),
        3 => edit(),
        2 => setting().prop_map(Move::Set),
        8 => Just(Move::Take),
        10 => (prop::collection::vec((0usize..20, end()), ends), takes).prop_map(|(ends, takes)| Move::Ends(ends, takes)),
        1 => (0usize..20, end()).prop_map(|(which, end)| Move::Refused(which, end)),
        1 => (0usize..20).prop_map(Move::Lose),
        1 => (0usize..20).prop_map(Move::Extend),
        2 => Just(Move::Search),
        4 => prop_oneof![Just(1u64), Just(49), Just(2_000), Just(61_000)].prop_map(Move::Time),
    ];
    prop::collection::vec(one, 1..50)
}

struct Walk<'a> {
    both: &'a Both,
    held: Vec<Held>,
    now: u64,
    tokens: u64,
    families: usize,
    lost: bool,
}

impl Walk<'_> {
    fn go(&mut self, next: &Move) {
        let (both, now) = (self.both, self.now);
        match next {
            Move::Add(opts) => {
                both.add("n", &json!({"x": 1}), opts, now);
            }
            Move::Node(step) => {
                let mut step = step.clone();
                step["now"] = now.into();
                let _ = both.by_node(step);
            }
            Move::Edit(job, change) => {
                let _ = both.edit(job, change, now);
            }
            Move::Set(setting) => both.set(*setting),
            Move::Family(parent, children) => self.family(parent, children),
            Move::Take => {
                self.tokens += 1;
                self.held.extend(both.take(self.tokens, now));
            }
            Move::Ends(ends, takes) => self.ends(ends, *takes),
            Move::Refused(which, end) => {
                // Node notes a stack trace in the job that it holds, refused or not.
                let end = if *end == End::Failed { End::Completed } else { *end };
                let held = self.at(*which).map_or_else(Held::nobody, |at| self.held[at].stolen());
                both.end(&held, end, now);
            }
            Move::Lose(which) => {
                // It stays among the held: its worker does not know yet, and will hand in what is refused. One at a
                // time: the order in which several are put back is meant to differ.
                if let Some(at) = self.at(*which).filter(|_| !self.lost) {
                    self.lost = true;
                    both.both(&[&["DEL", &format!("bull:q:{}:lock", self.held[at].id)]]);
                }
            }
            Move::Extend(which) => {
                if let Some(at) = self.at(*which) {
                    let held = &self.held[at];
                    both.extend(&[(&held.id, &format!("t:{}", held.n)), ("nobody", "t:1")], LOCK);
                }
            }
            Move::Search => {
                self.lost &= both.search(now).is_empty();
            }
            Move::Time(ms) => self.now += ms,
        }
    }

    fn at(&self, which: usize) -> Option<usize> {
        (!self.held.is_empty()).then(|| which % self.held.len())
    }

    fn family(&mut self, parent: &Value, children: &[Value]) {
        self.families += 1;
        let member = |name: String, opts: &Value| {
            let mut opts = opts.clone();
            opts["jobId"] = name.clone().into();
            json!({"name": name, "queueName": "q", "data": {}, "opts": opts})
        };
        let mut flow = member(format!("f{}", self.families), parent);
        flow["children"] =
            (0..).zip(children).map(|(i, opts)| member(format!("f{}c{i}", self.families), opts)).collect();
        self.both.by_node(json!({"op": "flow", "flow": flow, "now": self.now})).unwrap();
    }

    fn ends(&mut self, ends: &[(usize, End)], takes: usize) {
        let mut outcomes = Vec::new();
        for (which, end) in ends {
            if let Some(at) = self.at(*which) {
                outcomes.push((self.held.remove(at), *end));
            }
        }
        let verdicts: Vec<_> = outcomes.iter().map(|(held, end)| self.both.their_end(held, *end, self.now)).collect();
        let first = self.tokens + 1;
        let mut ids = Vec::new();
        for n in (first..).take(takes) {
            let step = json!({"op": "fetch", "token": format!("t:{n}"), "now": self.now});
            match self.both.theirs(step)["job"]["id"].as_str() {
                Some(id) => ids.push(id.to_owned()),
                None => break,
            }
        }
        let settles = outcomes.iter().map(|(held, end)| held.ours(*end)).collect();
        let ours = self.both.ours(settles, takes, first, self.now);
        assert_eq!(ours.verdicts, verdicts, "{outcomes:?}");
        let started = held(&ours, first);
        assert_eq!(started.iter().map(|held| held.id.clone()).collect::<Vec<_>>(), ids);
        self.tokens += takes as u64;
        self.held.extend(started);
        // Those that have no child to wait for run on.
        let resumed = outcomes.into_iter().zip(&verdicts);
        self.held.extend(resumed.filter(|(_, v)| **v == Verdict::Resume).map(|((held, _), _)| held));
    }
}

fn walk(batches: bool) {
    let both = Both::without_markers().with_metrics(4);
    let config = Config::default();
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { config.cases } else { 64 };
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 300, ..config };
    let result = TestRunner::new(config).run(&moves(batches), |moves| {
        both.wipe();
        let mut walk = Walk { both: &both, held: Vec::new(), now: NOW, tokens: 0, families: 0, lost: false };
        for next in &moves {
            walk.go(next);
        }
        let found = if batches { both.differences_of_a_batch() } else { both.pair.differences() };
        prop_assert_eq!(found, "");
        Ok(())
    });
    if let Err(why) = result {
        panic!("{why}");
    }
}

#[test]
fn step_by_step() {
    walk(false);
}

#[test]
fn many_at_once() {
    walk(true);
}
