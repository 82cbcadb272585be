-- The first layout. Times are Unix milliseconds, except those called *_until, which count on the clock of the boot
-- named in lariat_store (see clock.rs). Text that is JSON is stored as it came.

CREATE TABLE lariat_store (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    layout INTEGER NOT NULL,        -- the number of the last migration
    boot TEXT NOT NULL DEFAULT ''    -- under another boot every *_until is void
) STRICT;

-- One queue: its counters and its settings. Counts are kept, so that nothing on the way of a job has to count.
CREATE TABLE lariat_queue (
    row INTEGER PRIMARY KEY,
    prefix TEXT NOT NULL,
    name TEXT NOT NULL,
    last_number INTEGER NOT NULL DEFAULT 0,     -- the number given out last
    back INTEGER NOT NULL DEFAULT 0,            -- the place given out last to a job that goes behind others
    front INTEGER NOT NULL DEFAULT 0,           -- the same for one that goes before others; negative
    last_event INTEGER NOT NULL DEFAULT 0,
    waiting INTEGER NOT NULL DEFAULT 0,
    active INTEGER NOT NULL DEFAULT 0,
    delayed INTEGER NOT NULL DEFAULT 0,
    prioritized INTEGER NOT NULL DEFAULT 0,
    completed INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0,
    waiting_children INTEGER NOT NULL DEFAULT 0,
    paused INTEGER NOT NULL DEFAULT 0,
    concurrency INTEGER,
    rate_max INTEGER,
    rate_ms INTEGER,
    started INTEGER NOT NULL DEFAULT 0,         -- starts in the present window of the rate limit
    started_until INTEGER NOT NULL DEFAULT 0,   -- the end of that window
    searched_until INTEGER NOT NULL DEFAULT 0,  -- no search for stalled jobs before
    UNIQUE (prefix, name)
) STRICT;

-- What changes in a job's life. Its row is its number in the queue below the queue's own (number.rs).
-- State: 0 waiting, 1 active, 2 delayed, 3 prioritized, 4 completed, 5 failed, 6 waiting-children.
-- Jobs of a state run, or are listed, in the order of rank and place. Rank: of a prioritized job its priority, of a
-- delayed one when it is due, of an ended one when it ended, else 0.
CREATE TABLE lariat_job (
    row INTEGER PRIMARY KEY,
    queue INTEGER NOT NULL,
    state INTEGER NOT NULL,
    rank INTEGER NOT NULL,
    place INTEGER NOT NULL,
    token TEXT,                                 -- only of an active job
    lock_until INTEGER,
    suspect INTEGER NOT NULL DEFAULT 0,         -- a search for stalled jobs has seen it active
    priority INTEGER NOT NULL DEFAULT 0,
    delay INTEGER NOT NULL DEFAULT 0,
    made INTEGER NOT NULL DEFAULT 0,
    starts INTEGER NOT NULL DEFAULT 0,
    stalls INTEGER NOT NULL DEFAULT 0,
    pending INTEGER NOT NULL DEFAULT 0,         -- children that have not ended
    unsuccessful INTEGER NOT NULL DEFAULT 0,    -- children whose failure is to fail it
    linked INTEGER NOT NULL DEFAULT 0,          -- its end concerns others: a parent, a deduplication id
    processed_on INTEGER,
    finished_on INTEGER,
    processed_by TEXT,
    return_value TEXT,
    failed_reason TEXT,
    stacktrace TEXT,                            -- a JSON array
    progress TEXT,
    deferred_failure TEXT
) STRICT;

CREATE INDEX lariat_job_order ON lariat_job (queue, state, rank, place);

-- What a producer said of a job. Apart from the rest, so that a step of a job does not write its payload anew.
CREATE TABLE lariat_payload (
    row INTEGER PRIMARY KEY,
    custom TEXT,                                -- the id, where it is not the number
    name TEXT NOT NULL,
    data TEXT NOT NULL,
    options TEXT NOT NULL,
    timestamp INTEGER NOT NULL,
    parent_key TEXT,                            -- prefix:queue:id
    parent TEXT,                                -- JSON: id, queueKey, and what a failure means to it
    scheduler TEXT,
    deduplication TEXT
) STRICT;

CREATE TABLE lariat_custom_id (
    queue INTEGER NOT NULL,
    id TEXT NOT NULL,
    job INTEGER NOT NULL,
    PRIMARY KEY (queue, id)
) STRICT, WITHOUT ROWID;

-- What a parent knows of its children. State: 0 pending, 1 completed (value), 2 failed and passed over (reason),
-- 3 failed, and the parent with it.
CREATE TABLE lariat_child (
    parent INTEGER NOT NULL,
    child TEXT NOT NULL,                        -- prefix:queue:id
    state INTEGER NOT NULL,
    value TEXT,
    PRIMARY KEY (parent, child)
) STRICT, WITHOUT ROWID;

CREATE TABLE lariat_log (
    job INTEGER NOT NULL,
    n INTEGER NOT NULL,
    line TEXT NOT NULL,
    PRIMARY KEY (job, n)
) STRICT, WITHOUT ROWID;

-- Events of one moment, as events.rs packs them.
CREATE TABLE lariat_event (
    queue INTEGER NOT NULL,
    n INTEGER NOT NULL,                         -- the number of the last of them
    at INTEGER NOT NULL,
    packed BLOB NOT NULL,
    PRIMARY KEY (queue, n)
) STRICT, WITHOUT ROWID;

-- A lane's last call and its answer. A worker's lane says who it is: the one whose address is not null.
CREATE TABLE lariat_lane (
    queue INTEGER NOT NULL,
    base TEXT NOT NULL,
    number INTEGER NOT NULL,
    answer BLOB NOT NULL,
    kept_until INTEGER NOT NULL,
    since INTEGER NOT NULL,                     -- its first call and its last one, on the clock of locks
    seen INTEGER NOT NULL,
    name TEXT,
    address TEXT,
    PRIMARY KEY (queue, base)
) STRICT, WITHOUT ROWID;

-- Jobs that ended, by state and minute.
CREATE TABLE lariat_metric (
    queue INTEGER NOT NULL,
    state INTEGER NOT NULL,
    minute INTEGER NOT NULL,
    ended INTEGER NOT NULL,
    at INTEGER NOT NULL,                        -- the first of them
    PRIMARY KEY (queue, state, minute)
) STRICT, WITHOUT ROWID;

CREATE TABLE lariat_metric_total (
    queue INTEGER NOT NULL,
    state INTEGER NOT NULL,
    ended INTEGER NOT NULL,
    since INTEGER NOT NULL,                     -- the first minute that is known
    PRIMARY KEY (queue, state)
) STRICT, WITHOUT ROWID;
