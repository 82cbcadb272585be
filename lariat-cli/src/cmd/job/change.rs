//! `lariat job retry|promote|rm`.

use lariat::Refusal;

use super::Target;
use crate::args::{ChangeArgs, RemoveArgs, StoreArgs};
use crate::failure::Failure;

pub(super) async fn retry(store: &StoreArgs, args: &ChangeArgs) -> Result<u8, Failure> {
    let job = Target::named(store, &args.job)?;
    match job.queue.edit(&job.id).retry().await {
        Ok(()) => job.done(args.json),
        Err(error) => Err(job.refused(error, "failed or completed").await),
    }
}

pub(super) async fn promote(store: &StoreArgs, args: &ChangeArgs) -> Result<u8, Failure> {
    let job = Target::named(store, &args.job)?;
    match job.queue.edit(&job.id).promote().await {
        Ok(()) => job.done(args.json),
        Err(error) => Err(job.refused(error, "delayed").await),
    }
}

pub(super) async fn remove(store: &StoreArgs, args: &RemoveArgs) -> Result<u8, Failure> {
    let job = Target::named(store, &args.job)?;
    let edit = job.queue.edit(&job.id);
    let removed = if args.keep_children { edit.remove_keep_children().await } else { edit.remove().await };
    match removed {
        Ok(()) => job.done(args.json),
        Err(error) if error.refusal() == Some(Refusal::LockTaken) => {
            let below = if args.keep_children { "" } else { ", or one of the jobs below it" };
            Err(job.failed(&format!("is locked: a worker holds it{below}")))
        }
        Err(error) => Err(job.refused(error, "one that can be deleted").await),
    }
}
