//! The store by itself: its file, its writer, its schema.

use std::time::Duration;

use crate::{JobState, Queue, Store};

#[tokio::test]
async fn a_job_is_added_and_read_again() {
    let store = Store::open("sqlite::memory:").unwrap();
    let queue = Queue::new(&store, "mail").unwrap();
    let id = queue.add("welcome", &"ada").await.unwrap();
    let later = queue.add("welcome", &"bea").delay(Duration::from_secs(60)).await.unwrap();
    let urgent = queue.add("welcome", &"cleo").priority(3).await.unwrap();
    assert_eq!((id.as_str(), later.as_str(), urgent.as_str()), ("1", "2", "3"));
    let found = queue.job(&id).await.unwrap().unwrap();
    assert_eq!((found.state, found.record.data.get()), (Some(JobState::Waiting), "\"ada\""));
    let overview = queue.overview().await.unwrap();
    assert_eq!((overview.counts.waiting, overview.counts.delayed, overview.counts.prioritized), (1, 1, 1));
}
