//! What stores do not have in common.

/// What differs between stores, where a program may have to know. All that is not named here is the same on all of them.
///
/// Got from [`Store::capabilities`](crate::Store::capabilities); it goes by the store's URL, without any I/O.
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
