//! What a request works with: the connection within a transaction, and the rows of the queues that it touches.

use std::collections::HashMap;
use std::collections::btree_map::{BTreeMap, Entry};

use rusqlite::{CachedStatement, Connection, OptionalExtension, Params, Row, params};

use super::events::Unwritten;
use super::fault::Fault;
use super::queue::{self, QueueKey, QueueState};

/// What the writer remembers of the file between batches. It is forgotten when somebody else has written.
#[derive(Default)]
pub(super) struct Memory {
    rows: HashMap<QueueKey, i64>,
    queues: BTreeMap<i64, Slot>,
    /// Queues that the present request has changed.
    touched: Vec<i64>,
    version: Option<i64>,
    /// The version that the last transaction began with.
    begun_at: Option<i64>,
}

struct Slot {
    state: QueueState,
    events: Unwritten,
    /// As it was before the present request, and how many events there were.
    before: Option<(QueueState, usize)>,
    /// Changed since it was written.
    dirty: bool,
}

impl Memory {
    /// A transaction has begun. Whether somebody else may have written since the last one that was begun.
    pub(super) fn begin(&mut self, connection: &Connection) -> rusqlite::Result<bool> {
        let version = data_version(connection)?;
        if self.version != Some(version) {
            self.forget();
            self.version = Some(version);
        }
        Ok(self.begun_at.replace(version) != Some(version))
    }

    /// Outside of a transaction: whether somebody else has written since.
    pub(super) fn renew(&mut self, version: i64) -> bool {
        let renewed = self.version != Some(version);
        if renewed {
            self.forget();
        }
        self.version = Some(version);
        renewed
    }

    /// Somebody else has written, or what was remembered has not come to be.
    pub(super) fn forget(&mut self) {
        *self = Memory::default();
    }

    /// A request begins; what it changes can be undone.
    pub(super) fn mark(&mut self) {
        for queue in self.touched.drain(..) {
            if let Some(slot) = self.queues.get_mut(&queue) {
                slot.before = None;
            }
        }
    }

    /// The present request is undone. A queue that it made is not there any more.
    pub(super) fn undo(&mut self) {
        for queue in self.touched.drain(..) {
            if let Some(slot) = self.queues.get_mut(&queue)
                && let Some((before, events)) = slot.before.take()
            {
                slot.state = before;
                slot.events.truncate(events);
            }
        }
        self.rows.clear();
    }

    /// Writes the queues that have changed, and what happened in them.
    pub(super) fn write(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        self.mark();
        for (queue, slot) in &mut self.queues {
            if slot.dirty {
                slot.state.write(connection, *queue)?;
                slot.events.write(connection, *queue, slot.state.last_event)?;
                slot.dirty = false;
            }
        }
        Ok(())
    }

    /// A queue as it is now, where it exists.
    pub(super) fn look(
        &mut self,
        connection: &Connection,
        key: &QueueKey,
    ) -> rusqlite::Result<Option<(i64, QueueState)>> {
        let Some(queue) = self.find(connection, key)? else { return Ok(None) };
        Ok(load(&mut self.queues, connection, queue)?.map(|slot| (queue, slot.state.clone())))
    }

    fn find(&mut self, connection: &Connection, key: &QueueKey) -> rusqlite::Result<Option<i64>> {
        if let Some(row) = self.rows.get(key) {
            return Ok(Some(*row));
        }
        let found = queue::find(connection, key)?;
        if let Some(row) = found {
            self.rows.insert(key.clone(), row);
        }
        Ok(found)
    }
}

fn load<'a>(
    queues: &'a mut BTreeMap<i64, Slot>,
    connection: &Connection,
    queue: i64,
) -> rusqlite::Result<Option<&'a mut Slot>> {
    Ok(match queues.entry(queue) {
        Entry::Occupied(known) => Some(known.into_mut()),
        Entry::Vacant(place) => QueueState::read(connection, queue)?
            .map(|state| place.insert(Slot { state, events: Unwritten::default(), before: None, dirty: false })),
    })
}

/// Grows with every commit of somebody else's.
pub(super) fn data_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))
}

/// A request's view of the file. What it writes is undone where it ends in an error.
pub(super) struct Tx<'a> {
    pub connection: &'a Connection,
    memory: &'a mut Memory,
    /// The wall clock when the batch began, for the ids of events.
    pub wall: i64,
    /// The clock of locks when the batch began.
    pub boot: i64,
}

impl<'a> Tx<'a> {
    pub(super) fn new(connection: &'a Connection, memory: &'a mut Memory, wall: i64, boot: i64) -> Tx<'a> {
        Tx { connection, memory, wall, boot }
    }

    /// The connection, with all that has been changed so far written.
    pub(super) fn written(&mut self) -> Result<&Connection, Fault> {
        self.memory.write(self.connection)?;
        Ok(self.connection)
    }

    /// The row of a queue, which is made where there is none.
    pub(super) fn queue(&mut self, key: &QueueKey) -> Result<i64, Fault> {
        if let Some(row) = self.memory.find(self.connection, key)? {
            return Ok(row);
        }
        self.run("INSERT INTO lariat_queue (prefix, name) VALUES (?1, ?2)", params![key.prefix, key.name])?;
        let row = self.connection.last_insert_rowid();
        self.memory.rows.insert(key.clone(), row);
        Ok(row)
    }

    /// The row of a queue, where it has one.
    pub(super) fn find_queue(&mut self, key: &QueueKey) -> Result<Option<i64>, Fault> {
        Ok(self.memory.find(self.connection, key)?)
    }

    /// Deletes a queue's row.
    pub(super) fn forget_queue(&mut self, key: &QueueKey, row: i64) -> Result<(), Fault> {
        self.run("DELETE FROM lariat_queue WHERE row = ?1", [row])?;
        self.memory.rows.remove(key);
        self.memory.queues.remove(&row);
        Ok(())
    }

    /// A queue's counters and settings.
    pub(super) fn state(&mut self, queue: i64) -> Result<&QueueState, Fault> {
        let slot = load(&mut self.memory.queues, self.connection, queue)?;
        slot.map(|slot| &slot.state).ok_or(Fault::Sql(rusqlite::Error::QueryReturnedNoRows))
    }

    /// The same, to be changed; written with the batch.
    pub(super) fn edit(&mut self, queue: i64) -> Result<&mut QueueState, Fault> {
        self.edit_with_events(queue).map(|(state, _)| state)
    }

    /// The same, with its events that are to be written with it.
    pub(super) fn edit_with_events(&mut self, queue: i64) -> Result<(&mut QueueState, &mut Unwritten), Fault> {
        let Memory { queues, touched, .. } = &mut *self.memory;
        let slot = load(queues, self.connection, queue)?.ok_or(Fault::Sql(rusqlite::Error::QueryReturnedNoRows))?;
        slot.dirty = true;
        if slot.before.is_none() {
            slot.before = Some((slot.state.clone(), slot.events.len()));
            touched.push(queue);
        }
        Ok((&mut slot.state, &mut slot.events))
    }

    /// One statement, to be run many times.
    pub(super) fn prepare(&self, sql: &str) -> Result<CachedStatement<'a>, Fault> {
        Ok(self.connection.prepare_cached(sql)?)
    }

    /// Runs one statement; returns how many rows it changed.
    pub(super) fn run(&self, sql: &str, params: impl Params) -> Result<usize, Fault> {
        Ok(self.connection.prepare_cached(sql)?.execute(params)?)
    }

    /// The first row, where there is one.
    pub(super) fn one<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, Fault> {
        Ok(self.connection.prepare_cached(sql)?.query_row(params, read).optional()?)
    }

    /// All rows.
    pub(super) fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, Fault> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map(params, read)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}
