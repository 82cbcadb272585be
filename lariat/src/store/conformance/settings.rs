//! How a queue is worked.

use super::cases;
use super::world::{World, job, ms};
use crate::store::change::Setting;
use crate::store::exchange::RateLimit;

cases! {
    a_queue_has_none_at_first,
    paused_and_resumed,
    each_limit_comes_and_goes,
    they_outlive_the_jobs,
}

fn a_queue_has_none_at_first(w: &World) {
    let overview = w.overview();
    assert_eq!(overview, crate::store::view::Overview::default());
}

fn paused_and_resumed(w: &World) {
    w.configure(Setting::Pause);
    assert!(w.overview().paused);
    w.configure(Setting::Pause);
    assert!(w.overview().paused);
    w.configure(Setting::Resume);
    assert!(!w.overview().paused);
    assert_eq!(w.told(), ["paused", "paused", "resumed"]);
}

fn each_limit_comes_and_goes(w: &World) {
    let limit = RateLimit { max: 7, duration: ms(1500) };
    w.configure(Setting::Concurrency(Some(4)));
    w.configure(Setting::RateLimit(Some(limit)));
    let overview = w.overview();
    assert_eq!((overview.concurrency, overview.rate_limit, overview.limited_for), (Some(4), Some(limit), None));
    w.configure(Setting::Concurrency(None));
    w.configure(Setting::RateLimit(None));
    let overview = w.overview();
    assert_eq!((overview.concurrency, overview.rate_limit, overview.paused), (None, None, false));
    assert!(w.told().is_empty(), "limits are not told");
}

fn they_outlive_the_jobs(w: &World) {
    w.configure(Setting::Concurrency(Some(1)));
    let id = w.add(job());
    w.change(&id, crate::store::change::Change::Remove { children: true }).unwrap();
    w.add_all([job(), job()]);
    assert_eq!(w.take(2).len(), 1);
}
