-- name: workspaces
-- The workspace of this name, or all of them.
SELECT id, name FROM workspaces WHERE $1::text IS NULL OR name = $1;

-- name: clock
-- The database's clock.
SELECT clock_timestamp();

-- name: page
-- Letters in the order in which they came to be, after a given one.
SELECT w.name AS workspace, d.workspace AS number, d.origin, d.index, d.reason, d.detail, d.door,
    d.provider, d.publisher, d.dead_lettered, d.state, d.resolved, d.outcome, d.note, d.tries,
    octet_length(d.data) AS bytes
FROM dead_letters d JOIN workspaces w ON w.id = d.workspace
WHERE d.workspace = ANY ($1::int4[])
  AND ($2::text IS NULL OR d.reason = $2) AND ($3::text IS NULL OR d.provider = $3)
  AND ($4::text IS NULL OR d.publisher = $4) AND ($5::text IS NULL OR d.door = $5)
  AND ($6::text IS NULL OR d.origin = $6) AND ($7::text IS NULL OR d.state = $7)
  AND ($8::timestamptz IS NULL OR d.dead_lettered >= $8)
  AND ($9::timestamptz IS NULL OR d.dead_lettered < $9)
  AND (d.dead_lettered, d.workspace, d.origin, d.index) > ($10, $11, $12, $13)
ORDER BY d.dead_lettered, d.workspace, d.origin, d.index
LIMIT $14;

-- name: counts
-- How many letters there are of each reason, provider, publisher, door or state; most first.
SELECT c.value, count(*) AS letters, min(d.dead_lettered) AS oldest, max(d.dead_lettered) AS newest
FROM dead_letters d
CROSS JOIN LATERAL (
    SELECT CASE $10::text
        WHEN 'reason' THEN d.reason WHEN 'provider' THEN d.provider
        WHEN 'publisher' THEN d.publisher WHEN 'door' THEN d.door WHEN 'state' THEN d.state
    END AS value
) AS c
WHERE d.workspace = ANY ($1::int4[])
  AND ($2::text IS NULL OR d.reason = $2) AND ($3::text IS NULL OR d.provider = $3)
  AND ($4::text IS NULL OR d.publisher = $4) AND ($5::text IS NULL OR d.door = $5)
  AND ($6::text IS NULL OR d.origin = $6) AND ($7::text IS NULL OR d.state = $7)
  AND ($8::timestamptz IS NULL OR d.dead_lettered >= $8)
  AND ($9::timestamptz IS NULL OR d.dead_lettered < $9)
GROUP BY c.value
ORDER BY letters DESC, c.value;

-- name: waiting
-- How many letters wait, by reason, of all workspaces; most first.
SELECT reason, count(*) AS letters FROM dead_letters WHERE state = 'waiting'
GROUP BY reason
ORDER BY letters DESC, reason;

-- name: letters
-- All letters of one message, whole.
SELECT w.name AS workspace, d.origin, d.index, d.reason, d.detail, d.door, d.provider, d.publisher,
    d.dead_lettered, d.state, d.resolved, d.outcome, d.note, d.tries,
    octet_length(d.data) AS bytes, d.attributes, d.data
FROM dead_letters d JOIN workspaces w ON w.id = d.workspace
WHERE d.workspace = ANY ($1::int4[]) AND d.origin = $2
ORDER BY d.workspace, d.index;

-- name: replays
-- The replays that one message saw, in order.
SELECT try, replayed, outcome, reason, detail FROM dead_letter_replays
WHERE workspace = ANY ($1::int4[]) AND origin = $2
ORDER BY workspace, try;

-- name: lock_workspace
-- One replay or discard at a time in a workspace, for as long as the session lasts: so the order of
-- each vehicle is kept, and no letter is done twice.
SELECT pg_try_advisory_lock(7236004, $1);

-- name: messages
-- The next messages of which letters wait, in the order of their streams. As many as weigh at most
-- so many bytes, and at least one.
WITH chosen AS (
    SELECT d.lane, d.position, d.origin, max(octet_length(d.data)) AS size
    FROM dead_letters d
    WHERE d.workspace = $1
      AND ($2::text IS NULL OR d.reason = $2) AND ($3::text IS NULL OR d.provider = $3)
      AND ($4::text IS NULL OR d.publisher = $4) AND ($5::text IS NULL OR d.door = $5)
      AND ($6::text IS NULL OR d.origin = $6) AND d.state = 'waiting' AND d.state = $7
      AND ($8::timestamptz IS NULL OR d.dead_lettered >= $8)
      AND ($9::timestamptz IS NULL OR d.dead_lettered < $9)
      AND d.dead_lettered < $10
      AND (d.lane, d.position, d.origin) > ($11, $12, $13)
    GROUP BY d.lane, d.position, d.origin
    ORDER BY d.lane, d.position, d.origin
    LIMIT $14
), weighed AS (
    SELECT *, sum(size) OVER (ORDER BY lane, position, origin) - size AS before FROM chosen
)
SELECT c.lane, c.position, c.origin, s.indexes, d.door, d.attributes, d.data
FROM weighed c
CROSS JOIN LATERAL (
    SELECT array_agg(index ORDER BY index) AS indexes, min(index) AS first FROM dead_letters
    WHERE workspace = $1 AND origin = c.origin AND state = 'waiting'
    OFFSET 0
) AS s
JOIN dead_letters d
    ON d.workspace = $1 AND d.origin = c.origin AND d.index = s.first
WHERE c.before < $15
ORDER BY c.lane, c.position, c.origin;

-- name: remaining
-- How many messages, and letters of them, wait beyond a given place.
SELECT count(DISTINCT d.origin) AS messages, count(*) AS letters
FROM dead_letters d
WHERE d.workspace = $1
  AND ($2::text IS NULL OR d.reason = $2) AND ($3::text IS NULL OR d.provider = $3)
  AND ($4::text IS NULL OR d.publisher = $4) AND ($5::text IS NULL OR d.door = $5)
  AND ($6::text IS NULL OR d.origin = $6) AND d.state = 'waiting' AND d.state = $7
  AND ($8::timestamptz IS NULL OR d.dead_lettered >= $8)
  AND ($9::timestamptz IS NULL OR d.dead_lettered < $9)
  AND d.dead_lettered < $10
  AND (d.lane, d.position, d.origin) > ($11, $12, $13);

-- name: resolve
-- What a replay made of letters: they are resolved, or wait on with the reason of now.
UPDATE dead_letters AS d SET
    tries = d.tries + 1,
    state = CASE WHEN r.waits THEN 'waiting' ELSE 'replayed' END,
    resolved = CASE WHEN r.waits THEN NULL ELSE now() END,
    outcome = CASE WHEN r.waits THEN NULL ELSE r.outcome END,
    reason = CASE WHEN r.waits THEN r.reason ELSE d.reason END,
    detail = CASE WHEN r.waits THEN r.detail ELSE d.detail END
FROM unnest($2::text[], $3::int4[], $4::bool[], $5::text[], $6::text[], $7::text[])
    AS r (origin, index, waits, outcome, reason, detail)
WHERE d.workspace = $1 AND d.origin = r.origin AND d.index = r.index AND d.state = 'waiting';

-- name: add_replays
-- Note each message's replay.
INSERT INTO dead_letter_replays (workspace, origin, try, outcome, reason, detail)
SELECT $1, r.origin, 1 + count(p.try), r.outcome, r.reason, r.detail
FROM unnest($2::text[], $3::text[], $4::text[], $5::text[]) AS r (origin, outcome, reason, detail)
LEFT JOIN dead_letter_replays p ON p.workspace = $1 AND p.origin = r.origin
GROUP BY r.origin, r.outcome, r.reason, r.detail
ORDER BY r.origin;

-- name: run
-- How far an interrupted replay with these filters has come.
SELECT started, handled, lane, position, origin FROM dead_letter_runs
WHERE workspace = $1 AND filters = $2;

-- name: save_run
-- A replay has come so far.
INSERT INTO dead_letter_runs (workspace, filters, started, handled, lane, position, origin)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (workspace, filters) DO UPDATE SET
    started = excluded.started, handled = excluded.handled, lane = excluded.lane,
    position = excluded.position, origin = excluded.origin;

-- name: end_run
-- A replay has come to its end, or is to begin anew.
DELETE FROM dead_letter_runs WHERE workspace = $1 AND filters = $2;

-- name: discard
-- Give up messages: all their waiting letters, with the reason why. Nothing is deleted.
UPDATE dead_letters AS d SET state = 'discarded', resolved = now(), note = $10
WHERE d.workspace = $1 AND d.state = 'waiting' AND d.origin IN (
    SELECT o.origin FROM dead_letters o
    WHERE o.workspace = $1
      AND ($2::text IS NULL OR o.reason = $2) AND ($3::text IS NULL OR o.provider = $3)
      AND ($4::text IS NULL OR o.publisher = $4) AND ($5::text IS NULL OR o.door = $5)
      AND ($6::text IS NULL OR o.origin = $6) AND o.state = 'waiting' AND o.state = $7
      AND ($8::timestamptz IS NULL OR o.dead_lettered >= $8)
      AND ($9::timestamptz IS NULL OR o.dead_lettered < $9)
)
RETURNING d.origin;
