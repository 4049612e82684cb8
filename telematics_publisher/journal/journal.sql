-- The journal of one publisher in one workspace: SQLite, WAL, synchronous=FULL.
-- One step a statement, many rows a step: each step lets another thread take the interpreter.

-- name: schema
-- New tables join at the end: salvaging a file whose first page is lost takes their places from here.
-- Records wait here until core has them. A lane is what the records of one stream and kind share.
-- Numbers in [first, head] belong to an epoch; head is NULL while the epoch is open.
-- A report is an undeliverable record (by its sequence) and the number that it settles.
-- Dropped numbers were given up by policy; a row stays until core has a checkpoint that tells of it.
-- identity: one row. Records up to attempted_through may have been sent; later ones never were.
-- A trace is the traceparent of a record that is traced; few are, so that it is no column.
CREATE TABLE IF NOT EXISTS records (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    lane INTEGER NOT NULL,
    received INTEGER NOT NULL,
    subject TEXT,
    data BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS lanes (
    id INTEGER PRIMARY KEY,
    type TEXT NOT NULL,
    provider TEXT NOT NULL,
    source TEXT NOT NULL,
    timestamped INTEGER NOT NULL,
    UNIQUE (type, provider, source, timestamped)
);
CREATE TABLE IF NOT EXISTS epochs (
    id INTEGER PRIMARY KEY,
    epoch TEXT NOT NULL UNIQUE,
    first INTEGER NOT NULL,
    head INTEGER
);
CREATE TABLE IF NOT EXISTS reports (
    sequence INTEGER PRIMARY KEY,
    target INTEGER NOT NULL UNIQUE
);
CREATE TABLE IF NOT EXISTS identity (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    workspace TEXT NOT NULL,
    publisher TEXT NOT NULL,
    checkpoint INTEGER NOT NULL DEFAULT 0,
    attempted_through INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS dropped (
    first INTEGER PRIMARY KEY,
    last INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS traces (
    sequence INTEGER PRIMARY KEY,
    traceparent TEXT NOT NULL
);

-- name: tables
-- Which tables the file has.
SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%';

-- name: stray_records
-- Whether a record is older than every epoch, or above the highest number that was handed out.
SELECT count(*) FROM (SELECT min(sequence) AS low, max(sequence) AS high FROM records)
WHERE low < coalesce((SELECT min(first) FROM epochs), low + 1)
    OR high > coalesce((SELECT max(seq) FROM sqlite_sequence WHERE name = 'records'), 0);

-- name: remember_identity
-- The first opening says whose journal this is.
INSERT INTO identity (only_row, workspace, publisher) VALUES (1, ?, ?) ON CONFLICT DO NOTHING;

-- name: identity
-- Whose journal this is, the last checkpoint's number, and how far sending was attempted.
SELECT workspace, publisher, checkpoint, attempted_through FROM identity;

-- name: last_sequence
-- The highest number ever handed out, also of records that are long gone.
SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'records';

-- name: close_epochs
-- The epoch of the previous opening ends at the last number that it committed.
UPDATE epochs SET head = ? WHERE head IS NULL;

-- name: forget_empty_epochs
-- An epoch that handed out no number has nothing to report.
DELETE FROM epochs WHERE head < first;

-- name: open_epoch
-- Numbers from `first` on belong to this opening.
INSERT INTO epochs (epoch, first) VALUES (?, ?);

-- name: epochs
-- Every epoch that core must still hear of, the oldest first.
SELECT epoch, first, head FROM epochs ORDER BY first;

-- name: forget_epoch
-- Core has confirmed a checkpoint in which this epoch was closed and had nothing pending.
DELETE FROM epochs WHERE epoch = ?;

-- name: lanes
-- All lanes.
SELECT id, type, provider, source, timestamped FROM lanes;

-- name: add_lane
-- A stream's first record of a kind.
INSERT INTO lanes (type, provider, source, timestamped) VALUES (?, ?, ?, ?);

-- name: pending_ranges
-- The numbers that are not settled yet, as ranges (gaps and islands).
SELECT min(number), max(number)
FROM (
    SELECT number, number - row_number() OVER (ORDER BY number) AS island
    FROM (SELECT sequence AS number FROM records UNION ALL SELECT target FROM reports)
)
GROUP BY island
ORDER BY 1;

-- name: reports
-- Which undeliverable record settles which number.
SELECT sequence, target FROM reports;

-- name: take
-- The next records in order, within limits of count and bytes but at least one; as one JSON text,
-- since a step a row would hand the interpreter to other threads for each of them.
SELECT json_group_array(json_array(sequence, lane, received, subject, hex(data)))
FROM (
    SELECT *
    FROM (
        SELECT sequence, lane, received, subject, data,
            sum(length(data)) OVER (ORDER BY sequence) AS total
        FROM (SELECT * FROM records WHERE sequence > ? ORDER BY sequence LIMIT ?)
    )
    WHERE total <= ? OR total = length(data)
    ORDER BY sequence
);

-- name: add_traces
-- The traced among new records: a JSON array of [sequence, traceparent].
INSERT INTO traces (sequence, traceparent)
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(?);

-- name: traces
-- The traced among records from one number to another, as one JSON text.
SELECT json_group_array(json_array(sequence, traceparent)) FROM traces
WHERE sequence BETWEEN ? AND ?;

-- name: traced_rows
-- Likewise, of a file that may be damaged: row by row.
SELECT sequence, traceparent FROM traces WHERE sequence BETWEEN ? AND ?;

-- name: move_trace
-- A report carries on the trace of the record that it settles.
UPDATE OR REPLACE traces SET sequence = ? WHERE sequence = ?;

-- name: forget_traces
-- These records are gone.
DELETE FROM traces WHERE sequence BETWEEN ? AND ?;

-- name: traced_through
-- The highest number of a record that is traced.
SELECT coalesce(max(sequence), 0) FROM traces;

-- name: attempted
-- Committed before the first send of any record up to this number.
UPDATE identity SET attempted_through = ? WHERE attempted_through < ?;

-- name: acknowledge
-- Core has these records for good.
DELETE FROM records WHERE sequence BETWEEN ? AND ?;

-- name: oldest
-- When the first record above a number was received.
SELECT received FROM records WHERE sequence > ? ORDER BY sequence LIMIT 1;

-- name: droppable
-- The first records above a number that may be dropped: reports stay, since they settle others.
SELECT sequence, received, length(data) FROM records
WHERE sequence > ? AND sequence NOT IN (SELECT sequence FROM reports)
ORDER BY sequence LIMIT ?;

-- name: dropped
-- Numbers given up, of which core has not heard yet.
SELECT first, last FROM dropped ORDER BY first;

-- name: clear_dropped
-- Before they are written anew: they are few.
DELETE FROM dropped;

-- name: add_dropped
-- A range of numbers that were given up.
INSERT INTO dropped (first, last) VALUES (?, ?);

-- name: lookup
-- One record that is about to be set aside.
SELECT lane, subject, length(data) FROM records WHERE sequence = ?;

-- name: add_report
-- The undeliverable record `sequence` settles `target`, which stays pending until then.
INSERT INTO reports (sequence, target) VALUES (?, ?);

-- name: remove_report
-- Core has the report, and with it the target's settlement.
DELETE FROM reports WHERE sequence = ?;

-- name: checkpoint_number
-- Committed before the checkpoint is sent, so that a number is never used twice.
UPDATE identity SET checkpoint = ?;

-- name: by_lane
-- What the journal holds, by lane: records and bytes of data.
SELECT type, provider, source, count(*), sum(length(data))
FROM records JOIN lanes ON lanes.id = lane
GROUP BY type, provider, source
ORDER BY type, provider, source;

-- name: ages
-- When the oldest and the newest record were received, and how many were never attempted.
SELECT min(received), max(received),
    count(*) FILTER (WHERE sequence > (SELECT attempted_through FROM identity))
FROM records;

-- name: report_bodies
-- Undeliverable records with what they say.
SELECT sequence, data FROM records WHERE sequence IN (SELECT sequence FROM reports)
ORDER BY sequence;

-- name: records_without_lane
-- Records that cannot be sent, since nobody knows their source.
SELECT count(*) FROM records WHERE lane NOT IN (SELECT id FROM lanes);

-- name: reports_without_record
-- Numbers that would stay pending for ever.
SELECT count(*) FROM reports WHERE sequence NOT IN (SELECT sequence FROM records);

-- name: dropped_records
-- Records of numbers that count as dropped.
SELECT count(*) FROM records JOIN dropped ON sequence BETWEEN first AND last;
