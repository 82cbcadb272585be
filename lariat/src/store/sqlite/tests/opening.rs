//! What a file has to be, and what is said when it is not.

use super::{Lab, connect};
use crate::{Error, ErrorKind, JobState, Store};

async fn refused(lab: &Lab) -> Error {
    Store::connect(&lab.url()).await.unwrap_err()
}

#[tokio::test]
async fn a_file_is_made_and_found_again() {
    let lab = Lab::new();
    let id = lab.queue().add("welcome", &"ada").await.unwrap();
    let queue = lab.queue();
    let job = queue.job(&id).await.unwrap().unwrap();
    assert_eq!((job.state, job.record.data.get()), (Some(JobState::Waiting), "\"ada\""));
    assert_eq!(lab.store().queues().await.unwrap().len(), 1);
    assert_eq!(queue.add("welcome", &"bea").await.unwrap().as_str(), "2");
}

#[tokio::test]
async fn opening_does_no_io() {
    let lab = Lab::new();
    let _store = lab.store();
    assert!(!lab.path().exists());
}

#[tokio::test]
async fn a_database_of_somebody_elses_is_left_alone() {
    let lab = Lab::new();
    connect(&lab.path()).execute_batch("CREATE TABLE people (name TEXT)").unwrap();
    let before = std::fs::read(lab.path()).unwrap();
    let error = refused(&lab).await;
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert!(error.to_string().contains("another program"), "{error}");
    assert_eq!(std::fs::read(lab.path()).unwrap(), before);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_left_alone() {
    let lab = Lab::new();
    let text = "not a database ".repeat(100);
    std::fs::write(lab.path(), &text).unwrap();
    let error = refused(&lab).await;
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert_eq!(std::fs::read_to_string(lab.path()).unwrap(), text);
}

#[tokio::test]
async fn a_newer_layout_is_not_touched() {
    let lab = Lab::new();
    lab.queue().add("x", &1).await.unwrap();
    lab.sql().execute_batch("PRAGMA user_version = 1000").unwrap();
    let error = refused(&lab).await;
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    assert!(error.to_string().contains("layout 1000"), "{error}");
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_named_as_the_reason() {
    let lab = Lab::new();
    let store = Store::open(&format!("sqlite:{}/no/such/jobs.db", lab.folder.path().display())).unwrap();
    let error = store.ping().await.unwrap_err();
    assert!(error.to_string().contains("does its folder exist"), "{error}");
    // It may come to be: nothing of the failure is remembered.
    std::fs::create_dir_all(lab.folder.path().join("no/such")).unwrap();
    store.ping().await.unwrap();
}

#[tokio::test]
async fn under_another_boot_locks_have_lapsed() {
    let lab = Lab::new();
    let queue = lab.queue();
    let id = queue.add("x", &1).await.unwrap();
    let sql = lab.sql();
    sql.execute_batch(
        "UPDATE job SET state = 1, token = 'gone:1', lock_until = 9000000000000;
         UPDATE queue SET waiting = 0, active = 1, searched_until = 9000000000000;
         UPDATE store SET boot = 'an earlier one';",
    )
    .unwrap();
    let queue = lab.queue();
    assert_eq!(queue.job(&id).await.unwrap().unwrap().state, Some(JobState::Active));
    assert_eq!(queue.locks(10).await.unwrap()[0].left, None);
    let kept: i64 = sql.query_row("SELECT max(searched_until) FROM queue", [], |row| row.get(0)).unwrap();
    assert_eq!(kept, 0);
}
