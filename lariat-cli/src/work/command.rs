//! Runs the command for one job, from its spawn to what its end means.

use std::ffi::OsString;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use lariat::{CancelReason, Job, JobError, Outcome};
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::gate::Gate;
use super::group::{Group, Pipes};
use super::joblog::JobLog;
use super::pipes::{self, LastWords, TooMuch};
use super::reaper::Reaper;
use super::report::Report;
use super::strays::Strays;
use super::{environment, verdict};

/// How long a command may take to end after TERM.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);
/// How long after a command's end its pipes may stay silent: something it left behind may hold them open for ever.
const LAST_WORDS_WITHIN: Duration = Duration::from_secs(1);
/// How long a finished command's last log lines may take on their way to the store.
const LOG_WITHIN: Duration = Duration::from_secs(5);
/// The same for a command that was stopped: its job has to be decided about soon.
const LOG_OF_STOPPED_WITHIN: Duration = Duration::from_millis(500);

/// What every run has in common.
pub(crate) struct Runner {
    pub(crate) command: Vec<OsString>,
    pub(crate) store: String,
    pub(crate) prefix: String,
    /// How much longer a lock lives than it is trusted.
    pub(crate) margin: Duration,
    pub(crate) reaper: Reaper,
    pub(crate) strays: Strays,
    pub(crate) gate: Arc<Gate>,
    pub(crate) report: Arc<Report>,
}

/// How a run ended.
enum End {
    Own(ExitStatus),
    Stopped(CancelReason),
    TooMuch,
    Lost(io::Error),
}

impl Runner {
    /// Runs the command for a job.
    pub(crate) async fn run(&self, job: Job) -> Result<Outcome, JobError> {
        let mut command = self.prepare(&job).map_err(JobError::fail)?;
        let (mut group, pipes) = match Group::spawn(&mut command, self.reaper.announce(job.token())) {
            Ok(spawned) => spawned,
            Err(error) => return self.not_spawned(&job, &error),
        };
        self.gate.spawned();
        let (rows, log) = JobLog::open(job.clone(), Arc::clone(&self.report));
        let (mut printed, mut words) = (Vec::with_capacity(4096), LastWords::default());
        let end = {
            let talk = pin!(talk(pipes, job.record().data.get(), &mut printed, &mut words, rows));
            self.watch(&job, &mut group, talk).await
        };
        let stopped = matches!(end, End::Stopped(_));
        log.close(if stopped { LOG_OF_STOPPED_WITHIN } else { LOG_WITHIN }).await;
        match end {
            End::Own(status) => verdict::verdict(status, &printed, &words.text(), job.next_backoff()),
            End::TooMuch => Err(JobError::retry(format!(
                "the command printed more than {} KiB to stdout and was killed",
                pipes::MOST_PRINTED / 1024
            ))),
            End::Lost(error) => Err(JobError::retry(format!("the command's end could not be learned: {error}"))),
            // Also after an exit status of 0: nobody knows whether it had finished.
            End::Stopped(CancelReason::Closing) => Ok(Outcome::PutBack),
            // The worker knows what this means for the job; the words are for its log only.
            End::Stopped(reason) => Err(JobError::retry(reason.to_string())),
        }
    }

    fn prepare(&self, job: &Job) -> Result<Command, String> {
        let (program, arguments) = self.command.split_first().ok_or("there is no command")?;
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        for (name, value) in environment::of(job, &self.store, &self.prefix)? {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        Ok(command)
    }

    /// The job goes back unspent; this worker takes no other for a while, but others may.
    fn not_spawned(&self, job: &Job, error: &io::Error) -> Result<Outcome, JobError> {
        if error.kind() == io::ErrorKind::ArgumentListTooLong {
            return Err(JobError::fail("its name or id is too long for the environment of a command"));
        }
        let pause = self.gate.trouble();
        self.report.trouble("spawn", |unsaid| {
            let (queue, id) = (job.queue(), job.id().as_str());
            let error = error.to_string();
            tracing::error!(target: "work", queue, job = id, error, ?pause, unsaid, "cannot run the command; the job was put back");
        });
        Ok(Outcome::PutBack)
    }

    /// Waits for the command's own end, or for a reason to end it, and sees that it has ended.
    async fn watch(
        &self,
        job: &Job,
        group: &mut Group,
        mut talk: Pin<&mut impl Future<Output = Result<(), TooMuch>>>,
    ) -> End {
        let mut talking = true;
        let end = loop {
            tokio::select! {
                biased;
                status = group.ended() => break status.map_or_else(End::Lost, End::Own),
                reason = job.cancelled() => break End::Stopped(reason),
                said = &mut talk, if talking => match said {
                    Ok(()) => talking = false,
                    Err(TooMuch) => break End::TooMuch,
                },
            }
        };
        match end {
            End::Own(_) => {
                if talking && matches!(timeout(LAST_WORDS_WITHIN, talk).await, Ok(Err(TooMuch))) {
                    return End::TooMuch;
                }
            }
            End::Stopped(_) => {
                self.end(group, patience(job.lock_left(), self.margin), talk, talking).await;
            }
            End::TooMuch | End::Lost(_) => group.stop(Duration::ZERO, &self.strays).await,
        }
        end
    }

    /// Ends the command, and reads on meanwhile: a pipe that nobody reads might keep it from ending.
    async fn end(
        &self,
        group: &mut Group,
        patience: Duration,
        mut talk: Pin<&mut impl Future<Output = Result<(), TooMuch>>>,
        mut talking: bool,
    ) {
        let mut stopped = pin!(group.stop(patience, &self.strays));
        loop {
            tokio::select! {
                biased;
                () = &mut stopped => return,
                _ = &mut talk, if talking => talking = false,
            }
        }
    }
}

/// How long a command that was told to end may take, when its lock is trusted for so long and lives for `margin` more.
/// The lock must not lapse before the command is gone, for then another worker may start the job; a fifth of its life
/// is left for the killing.
fn patience(trusted: Duration, margin: Duration) -> Duration {
    (trusted + margin).mul_f64(0.8).min(PATIENCE)
}

/// Gives the command its input and takes in what it says, all at the same time.
async fn talk(
    pipes: Pipes,
    input: &str,
    printed: &mut Vec<u8>,
    words: &mut LastWords,
    rows: mpsc::UnboundedSender<String>,
) -> Result<(), TooMuch> {
    let feed = async {
        pipes::feed(pipes.stdin, input.as_bytes()).await;
        Ok(())
    };
    let listen = async {
        pipes::listen(pipes.stderr, words, rows).await;
        Ok(())
    };
    tokio::try_join!(feed, pipes::collect(pipes.stdout, printed), listen).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::crew::margin;

    #[test]
    fn a_command_is_gone_before_its_lock_lapses() {
        for (lock, trusted, expected) in [(30, 27.0, 2.0), (30, 0.0, 2.0), (2, 0.0, 0.4), (1, 0.0, 0.2), (1, 0.75, 0.8)]
        {
            let lock = Duration::from_secs(lock);
            let patience = patience(Duration::from_secs_f64(trusted), margin(lock));
            assert_eq!(patience, Duration::from_secs_f64(expected), "{lock:?}, trusted for {trusted} s");
        }
    }
}
