//! What stores do not have in common.

/// What differs between stores, where a program may have to know. All that is not named here is the same on all of them: the
/// tests of the library and of the command run on both, and go by these fields.
///
/// Got from [`Store::capabilities`](crate::Store::capabilities); it goes by the store's URL, without any I/O.
///
/// Smaller things, which no field says, since nothing should depend on them:
///
/// - **Put back.** Among jobs of one priority that are put back, Redis goes by their ids, a file by the order in which they
///   come back.
/// - **Raw events.** `removed` says on Redis from which of BullMQ's lists (`prev=wait`), on a file from which state
///   (`prev=waiting`).
/// - **Away.** A server that does not answer answers nothing; a file that somebody else keeps busy can still be read. A change
///   without an answer is in doubt on Redis ([`Unknown`](crate::ErrorKind::Unknown)); on a file it has not been made, unless
///   the disk fails. A file that is deleted, moved or replaced fails one call ([`Store`](crate::ErrorKind::Store)), and what
///   is there then is opened by the next.
/// - **Slow or not.** [`Store::queues`](crate::Store::queues) walks through all keys of a Redis database, in small steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
#[allow(clippy::struct_excessive_bools, reason = "facts that do not depend on each other")]
pub struct Capabilities {
    /// Jobs can be added and completed in a transaction of your own, together with your own rows
    /// (`Queue::add_in`, `Job::complete_in`). A SQLite file only: one in memory has no second connection.
    pub transactions: bool,
    /// Several processes can work on the same jobs. All but `sqlite::memory:`.
    pub processes: bool,
    /// And they can be on several machines. Redis only.
    pub machines: bool,
    /// BullMQ clients of other languages can add and work the same jobs, in BullMQ's own layout. Redis only. Here
    /// [`Queue::workers`](crate::Queue::workers) lists who is connected, elsewhere who has been heard of lately or holds a job.
    pub bullmq: bool,
    /// What a job outlives that was added, or a result that was handed in, once the call has been answered.
    pub outlives: Outlives,
}

/// What an answered call outlives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outlives {
    /// Nothing: all is gone with the last handle of the store (`sqlite::memory:`).
    Nothing,
    /// The end of every process, by `KILL` too, but not a power cut: that may undo the last moments, never half of a call
    /// (a file with `?durability=normal`).
    Processes,
    /// A power cut too, as far as the disk keeps what it says it has written (a file).
    PowerCuts,
    /// What the server is set to outlive: on Redis `appendonly`, `appendfsync`, `save`, and the replicas at a failover.
    AsTheServerIsSet,
}
