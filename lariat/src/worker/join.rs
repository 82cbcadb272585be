//! A run that is completed in a transaction of its handler's. From the call until commit or rollback it is settling: the lock
//! is renewed (as far as the transaction lets others write), and not reported lost, since the store has judged.

use lariat_lock::LossReason;
use rusqlite::Transaction;
use serde_json::value::RawValue;

use super::hold::Hold;
use super::lease::{Cancel, Lease, Stage};
use crate::error::{Error, ErrorKind, Refusal};
use crate::job::{CancelReason, Keep};
use crate::store::exchange::{Settle, SettleIn, Transition};

impl Lease {
    /// Has the store complete the job in the transaction.
    pub(super) fn complete_in(
        &self,
        tx: &Transaction<'_>,
        value: Box<RawValue>,
        keep: Option<Keep>,
    ) -> Result<(), Error> {
        let store = self.backend.join().map_err(|e| e.for_job(&self.id))?;
        self.begin_joined()?;
        let to = Transition::Complete { value, keep: keep.unwrap_or(self.ends.keep) };
        let settle = Settle { id: self.id.clone(), token: self.shared_token(), to };
        let settle_in = SettleIn { settle: &settle, now: self.now(), metrics: self.ends.metrics };
        store.settle_in(tx, &settle_in).map_err(|error| {
            self.end_joined();
            if let Some(refusal) = error.refusal().filter(|refusal| refusal.is_lost_lock()) {
                let taken = refusal == Refusal::LockTaken;
                let reason = if taken { LossReason::Taken } else { LossReason::Missing };
                self.cancel(CancelReason::LockLost(reason));
            }
            error.for_job(&self.id)
        })
    }

    /// Commits the transaction, unless the handler was told to stop: then whoever told it may rely on that.
    pub(super) fn commit_joined(&self, tx: Transaction<'_>) -> Result<(), Error> {
        {
            let mut cancel = self.cancel_state();
            self.check_not_stopped(&cancel)?;
            if *cancel == Cancel::NotYet {
                *cancel = Cancel::TooLate;
            }
        }
        let store = self.backend.join().map_err(|e| e.for_job(&self.id))?;
        {
            // Kept during the commit: whoever is told by the store that the job has ended is to know by whom.
            let mut stage = self.stage();
            store.commit(tx).map_err(|e| e.for_job(&self.id))?;
            *stage = Stage::Committed;
        }
        self.release();
        Ok(())
    }

    /// The transaction was not committed: the run goes on as if the job had not been completed in it.
    pub(super) fn end_joined(&self) {
        // Kept until the lock is tracked anew, or an outcome that is handed in just now would not be settling.
        let mut stage = self.stage();
        if *stage != Stage::Joined {
            return;
        }
        *stage = Stage::Open;
        {
            let mut cancel = self.cancel_state();
            if *cancel == Cancel::TooLate {
                *cancel = Cancel::NotYet;
            }
        }
        if !self.retake() {
            self.cancel(CancelReason::LockLost(LossReason::Expired));
        }
    }

    fn begin_joined(&self) -> Result<(), Error> {
        let closed = |words: String| Err(Error::new(ErrorKind::Closed, words).for_job(&self.id));
        let mut stage = self.stage();
        match *stage {
            Stage::Open => {}
            Stage::Joined => return closed("the job is being completed in another transaction".to_owned()),
            Stage::Committed | Stage::HandedIn => return closed("the job has ended: nothing was written".to_owned()),
        }
        self.check_not_stopped(&self.cancel_state())?;
        match self.hold().as_ref().map(Hold::settle) {
            Some(Ok(())) => {}
            Some(Err(reason)) => return closed(format!("the job's lock is lost ({reason}): nothing was written")),
            None => return closed("the job has ended: nothing was written".to_owned()),
        }
        *stage = Stage::Joined;
        Ok(())
    }

    fn check_not_stopped(&self, cancel: &Cancel) -> Result<(), Error> {
        match cancel {
            // A worker that closes believes a handler that still comes to its end.
            Cancel::NotYet | Cancel::TooLate | Cancel::Told(CancelReason::Closing) => Ok(()),
            Cancel::Told(reason) => {
                let words = format!("the handler was told to stop ({reason}): nothing was written");
                Err(Error::new(ErrorKind::Closed, words).for_job(&self.id))
            }
        }
    }
}
