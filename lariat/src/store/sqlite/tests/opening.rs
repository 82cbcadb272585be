//! What a file has to be, and what is said when it is not.

use rusqlite::Connection;

use super::{Lab, connect};
use crate::{Error, ErrorKind, JobState, Queue, Store};

async fn refused(lab: &Lab) -> Error {
    let error = Store::connect(&lab.url()).await.unwrap_err();
    let file = lab.path().display().to_string();
    assert!(error.to_string().contains(&file), "{file} is not named in {error}");
    error
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
    for words in ["another program (it has the tables people)", "?adopt=true"] {
        assert!(error.to_string().contains(words), "{error}");
    }
    assert_eq!(std::fs::read(lab.path()).unwrap(), before);
}

#[tokio::test]
async fn a_file_marked_by_another_program_is_left_alone_though_it_is_empty() {
    let lab = Lab::new();
    connect(&lab.path()).execute_batch("PRAGMA application_id = 7").unwrap();
    let before = std::fs::read(lab.path()).unwrap();
    let error = refused(&lab).await;
    assert!(error.to_string().contains("another program: name"), "{error}");
    assert_eq!(std::fs::read(lab.path()).unwrap(), before);
}

/// Numbers that another program may keep in the header of its file.
fn header(db: &Connection) -> [i32; 2] {
    ["user_version", "application_id"].map(|name| db.pragma_query_value(None, name, |row| row.get(0)).unwrap())
}

#[tokio::test]
async fn a_database_that_is_to_be_shared_keeps_what_it_has() {
    let lab = Lab::new();
    let db = connect(&lab.path());
    db.execute_batch(
        "PRAGMA user_version = 12; PRAGMA application_id = 34;
         CREATE TABLE job (title TEXT); INSERT INTO job VALUES ('baker'); CREATE INDEX job_order ON job (title);",
    )
    .unwrap();
    let adopting = Store::connect(&format!("{}?adopt=true", lab.url())).await.unwrap();
    let id = Queue::new(&adopting, "mail").unwrap().add("welcome", &"ada").await.unwrap();
    assert_eq!(header(&db), [12, 34]);
    let titles: String = db.query_row("SELECT group_concat(title) FROM job", [], |row| row.get(0)).unwrap();
    assert_eq!(titles, "baker");
    let named = "SELECT count(*) FROM sqlite_schema WHERE name NOT LIKE 'lariat@_%' ESCAPE '@' AND name NOT LIKE 'sqlite@_%' ESCAPE '@'";
    let theirs: i64 = db.query_row(named, [], |row| row.get(0)).unwrap();
    assert_eq!(theirs, 2, "all that we made has our name before it");

    // From then on it is opened as any other, and the owner's next migration is none of ours.
    drop(adopting);
    db.execute_batch("PRAGMA user_version = 13; ALTER TABLE job ADD COLUMN wage INTEGER").unwrap();
    let queue = lab.queue();
    assert_eq!(queue.job(&id).await.unwrap().unwrap().record.data.get(), "\"ada\"");
    queue.add("welcome", &"bea").await.unwrap();
    assert_eq!(header(&db), [13, 34]);
}

#[tokio::test]
async fn a_file_of_ours_alone_says_so_in_its_header() {
    let lab = Lab::new();
    lab.store().ping().await.unwrap();
    assert_eq!(header(&lab.sql()), [0, 0x4c41_5254]);
    let lab = Lab::new();
    connect(&lab.path()).execute_batch("VACUUM").unwrap();
    Store::connect(&lab.url()).await.unwrap();
    assert_eq!(header(&lab.sql()), [0, 0x4c41_5254], "an empty file is made ours");
}

/// The owner's first start may come after ours, and goes by what it finds.
#[tokio::test]
async fn a_file_that_is_to_be_shared_is_not_marked_as_ours_though_it_is_empty() {
    let lab = Lab::new();
    let adopting = Store::connect(&format!("{}?adopt=true", lab.url())).await.unwrap();
    Queue::new(&adopting, "mail").unwrap().add("welcome", &"ada").await.unwrap();
    assert_eq!(header(&lab.sql()), [0, 0]);
    drop(adopting);
    lab.store().ping().await.unwrap();
    assert_eq!(header(&lab.sql()), [0, 0], "nor later, by one that does not know");
}

/// It has our mark, but not the table that every version has.
#[tokio::test]
async fn a_file_from_before_the_first_version_is_refused_with_adopt_too() {
    for sql in ["CREATE TABLE job (id TEXT)", "CREATE TABLE lariat_job (id TEXT)", ""] {
        let lab = Lab::new();
        connect(&lab.path()).execute_batch(&format!("PRAGMA application_id = 0x4c415254; {sql}")).unwrap();
        let before = std::fs::read(lab.path()).unwrap();
        for options in ["", "?adopt=true"] {
            let error = Store::connect(&format!("{}{options}", lab.url())).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{sql} {options}: {error}");
            assert!(error.to_string().contains("before 0.1.0"), "{sql} {options}: {error}");
        }
        assert_eq!(std::fs::read(lab.path()).unwrap(), before, "{sql}");
    }
}

/// A table of the owner's that has the name of one of ours: nothing is changed.
#[tokio::test]
async fn a_name_that_is_taken_is_said_and_nothing_is_written() {
    let lab = Lab::new();
    let db = connect(&lab.path());
    db.execute_batch("CREATE TABLE lariat_job (title TEXT)").unwrap();
    let error = Store::connect(&format!("{}?adopt=true", lab.url())).await.unwrap_err();
    assert!(error.to_string().contains("lariat_job in this database is not Lariat's"), "{error}");
    let tables: i64 = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).unwrap();
    assert_eq!(tables, 1);
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
    lab.sql().execute_batch("UPDATE lariat_store SET layout = 1000").unwrap();
    let error = refused(&lab).await;
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    assert!(error.to_string().contains("layout 1000"), "{error}");
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_named_as_the_reason() {
    let lab = Lab::new();
    let store = Store::open(&format!("sqlite:{}/no/such/jobs.db", lab.folder.path().display())).unwrap();
    let error = store.ping().await.unwrap_err();
    assert!(error.is_unreachable() && error.to_string().contains("no/such does not exist"), "{error}");
    // It may come to be: nothing of the failure is remembered.
    std::fs::create_dir_all(lab.folder.path().join("no/such")).unwrap();
    store.ping().await.unwrap();
}

#[tokio::test]
async fn a_folder_and_what_else_is_no_file_are_refused() {
    let lab = Lab::new();
    std::fs::create_dir(lab.path()).unwrap();
    let error = refused(&lab).await;
    assert!(error.kind() == ErrorKind::Invalid && error.to_string().contains("is a folder"), "{error}");
    let error = Store::connect("sqlite:/dev/null").await.unwrap_err();
    assert!(error.kind() == ErrorKind::Invalid && error.to_string().contains("no regular file"), "{error}");
}

#[tokio::test]
async fn a_layout_that_becomes_newer_while_the_file_is_open_is_not_touched() {
    let lab = Lab::new();
    let queue = lab.queue();
    queue.add("x", &1).await.unwrap();
    lab.sql().execute_batch("UPDATE lariat_store SET layout = 1000").unwrap();
    for error in [queue.add("x", &2).await.unwrap_err(), queue.overview().await.unwrap_err()] {
        assert!(error.kind() == ErrorKind::Unsupported && error.to_string().contains("layout 1000"), "{error}");
        assert!(error.to_string().contains("jobs.db"), "{error}");
    }
    lab.sql().execute_batch("UPDATE lariat_store SET layout = 1").unwrap();
    assert_eq!(queue.add("x", &2).await.unwrap().as_str(), "2");
    assert_eq!(queue.overview().await.unwrap().counts.waiting, 2);
}

/// Whatever takes the file away: the next call says so, and the one after it opens what is there then.
#[tokio::test]
async fn a_file_that_is_taken_away_is_said_and_left() {
    for replaced in [false, true] {
        let lab = Lab::new();
        let queue = lab.queue();
        queue.add("x", &1).await.unwrap();
        assert_eq!(queue.overview().await.unwrap().counts.waiting, 1);
        let [old, wal, shm] = ["", "-wal", "-shm"].map(|end| format!("{}{end}", lab.path().display()));
        if replaced {
            std::fs::rename(&old, lab.folder.path().join("kept.db")).unwrap();
            std::fs::rename(&wal, lab.folder.path().join("kept.db-wal")).unwrap();
            std::fs::remove_file(&shm).unwrap();
            let other = lab.queue();
            other.add("theirs", &1).await.unwrap();
            other.add("theirs", &2).await.unwrap();
        } else {
            std::fs::remove_file(&old).unwrap();
        }
        let error = queue.add("x", &2).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Store, "{error}");
        assert!(error.to_string().contains("jobs.db") && error.to_string().contains("deleted, moved"), "{error}");
        queue.add("x", &3).await.unwrap();
        let waiting = if replaced { 3 } else { 1 };
        assert_eq!(queue.overview().await.unwrap().counts.waiting, waiting);
        assert_eq!(lab.queue().overview().await.unwrap().counts.waiting, waiting, "for others, too");
        if replaced {
            let kept = connect(&lab.folder.path().join("kept.db"));
            let jobs: i64 = kept.query_row("SELECT count(*) FROM lariat_job", [], |row| row.get(0)).unwrap();
            assert_eq!(jobs, 1, "what was moved away has what it had");
        }
    }
}

#[tokio::test]
async fn a_reader_sees_that_the_file_was_taken_away() {
    let lab = Lab::new();
    let queue = lab.queue();
    queue.add("x", &1).await.unwrap();
    assert_eq!(queue.overview().await.unwrap().counts.waiting, 1);
    std::fs::remove_file(lab.path()).unwrap();
    let error = queue.overview().await.unwrap_err();
    assert!(error.to_string().contains("deleted, moved"), "{error}");
    assert_eq!(queue.overview().await.unwrap().counts.waiting, 0);
}

/// Nothing is ever written by it, so no file is open for that.
#[tokio::test]
async fn a_store_that_only_reads_sees_that_the_file_was_taken_away() {
    let lab = Lab::new();
    lab.queue().add("x", &1).await.unwrap();
    let queue = lab.queue();
    assert_eq!(queue.overview().await.unwrap().counts.waiting, 1);
    std::fs::remove_file(lab.path()).unwrap();
    let error = queue.overview().await.unwrap_err();
    assert!(error.to_string().contains("jobs.db") && error.to_string().contains("deleted, moved"), "{error}");
    assert_eq!(queue.overview().await.unwrap().counts.waiting, 0);
}

#[tokio::test]
async fn one_file_by_any_name_is_one_store() {
    let lab = Lab::new();
    let folder = lab.folder.path();
    std::fs::create_dir(folder.join("sub")).unwrap();
    std::os::unix::fs::symlink(folder, folder.join("link")).unwrap();
    std::os::unix::fs::symlink(lab.path(), folder.join("other.db")).unwrap();
    let names = ["jobs.db", "sub/../jobs.db", "link/jobs.db", "./jobs.db", "other.db"];
    lab.queue().add("first", &0).await.unwrap();
    let mut adds = tokio::task::JoinSet::new();
    for name in names {
        let store = Store::open(&format!("sqlite:{}", folder.join(name).display())).unwrap();
        let queue = crate::Queue::new(&store, "mail").unwrap();
        for n in 0..20 {
            let queue = queue.clone();
            adds.spawn(async move { queue.add("x", &n).await.unwrap() });
        }
    }
    let ids: std::collections::HashSet<_> = adds.join_all().await.into_iter().collect();
    assert_eq!(ids.len(), 100);
    assert_eq!(lab.queue().overview().await.unwrap().counts.waiting, 101);
}

#[tokio::test]
async fn under_another_boot_locks_have_lapsed() {
    let lab = Lab::new();
    let queue = lab.queue();
    let id = queue.add("x", &1).await.unwrap();
    let sql = lab.sql();
    sql.execute_batch(
        "UPDATE lariat_job SET state = 1, token = 'gone:1', lock_until = 9000000000000;
         UPDATE lariat_queue SET waiting = 0, active = 1, searched_until = 9000000000000;
         UPDATE lariat_store SET boot = 'an earlier one';",
    )
    .unwrap();
    let queue = lab.queue();
    assert_eq!(queue.job(&id).await.unwrap().unwrap().state, Some(JobState::Active));
    assert_eq!(queue.locks(10).await.unwrap()[0].left, None);
    let kept: i64 = sql.query_row("SELECT max(searched_until) FROM lariat_queue", [], |row| row.get(0)).unwrap();
    assert_eq!(kept, 0);
}
