//! What is left in the file of jobs that are gone: nothing. And what only the file's own way to number jobs could do.

use rusqlite::params;

use super::Lab;
use crate::job::JobOptions;
use crate::store::change::{Add, AddJob};
use crate::store::exchange::LaneCall;
use crate::time::Timestamp;
use crate::{JobId, Keep, Manual};

fn rows(lab: &Lab, table: &str) -> i64 {
    lab.sql().query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn nothing_is_left_of_jobs_that_are_gone() {
    let lab = Lab::new();
    let queue = lab.queue();
    let jobs = Manual::builder(&lab.store(), "mail").start().unwrap();
    for how in ["removed", "not kept", "retired"] {
        let keep = if how == "not kept" { Keep::NONE } else { Keep::ALL };
        let id = queue.add("n", &1).id(format!("the-{how}")).remove_on_complete(keep).await.unwrap();
        queue.edit(&id).log(vec!["a row".into()], None).await.unwrap();
        let parent: i64 = lab.sql().query_row("SELECT max(row) FROM lariat_job", [], |row| row.get(0)).unwrap();
        let sql = "INSERT INTO lariat_child (parent, child, state) VALUES (?1, 'bull:mail:gone', 1)";
        lab.sql().execute(sql, params![parent]).unwrap();
        if how == "removed" {
            queue.edit(&id).remove().await.unwrap();
        } else {
            jobs.take().await.unwrap().unwrap().complete(&1).await.unwrap();
        }
        if how == "retired" {
            queue.add("n", &1).remove_on_complete(Keep::last(1)).await.unwrap();
            jobs.take().await.unwrap().unwrap().complete(&1).await.unwrap();
            // It is the last one.
            queue.edit(&JobId::existing("4").unwrap()).remove().await.unwrap();
        }
        for table in ["lariat_job", "lariat_payload", "lariat_custom_id", "lariat_log", "lariat_child"] {
            assert_eq!(rows(&lab, table), 0, "{table}, {how}");
        }
    }
}

/// Users cannot give a job a number for an id; the seam can.
#[tokio::test]
async fn who_chooses_a_number_has_chosen_the_queues_next_one() {
    let lab = Lab::new();
    let queue = lab.queue();
    assert_eq!(queue.add("n", &1).await.unwrap().as_str(), "1");
    let job = |id: Option<&str>, data: &i32| AddJob {
        name: "n".into(),
        data: serde_json::value::to_raw_value(data).unwrap(),
        options: JobOptions { id: id.map(JobId::stored), ..JobOptions::default() }.into(),
        timestamp: Timestamp::now(),
    };
    let jobs = [job(Some("7"), &1), job(Some("7"), &2), job(None, &1)].into();
    let add = Add { call: LaneCall { base: "adds".into(), number: 1 }, jobs };
    let added = lab.store().queue(queue.name(), None).unwrap().add(&add).await.unwrap();
    let added: Vec<_> = added.into_iter().map(|id| id.unwrap().to_string()).collect();
    assert_eq!(added, ["7", "7", "9"]);
    assert_eq!(queue.overview().await.unwrap().counts.waiting, 3);
    assert_eq!(queue.job(&JobId::stored("7")).await.unwrap().unwrap().record.data.get(), "1");
}
