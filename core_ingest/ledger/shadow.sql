-- name: publishers
-- Publishers that have ever named copies and of which something is kept; recorded are those whose
-- copies may still come.
SELECT p.workspace, p.publisher,
    p.copying > now() - $1::interval OR EXISTS (
        SELECT FROM shadow_checkpoints c
        WHERE c.workspace = p.workspace AND c.publisher = p.publisher
    ) AS recorded
FROM shadow_publishers p;

-- name: copying
-- A checkpoint that names copies counts.
INSERT INTO shadow_publishers AS p (workspace, publisher, copying, kept_from)
VALUES ($1, $2, $3, $3)
ON CONFLICT (workspace, publisher) DO UPDATE SET copying = greatest(p.copying, excluded.copying);

-- name: add_copied
-- Numbers that were acknowledged while copies were sent: the span of an epoch without what is pending
-- and dropped.
INSERT INTO shadow_epochs AS e (workspace, publisher, epoch, copied, touched)
VALUES ($1, $2, $3, $4::int8multirange - $5::int8multirange, now())
ON CONFLICT (workspace, publisher, epoch) DO UPDATE SET
    copied = e.copied + (excluded.copied - e.apart), touched = excluded.touched;

-- name: add_apart
-- Numbers that were acknowledged while no copies were sent.
INSERT INTO shadow_epochs AS e (workspace, publisher, epoch, apart, touched)
VALUES ($1, $2, $3, $4::int8multirange - $5::int8multirange, now())
ON CONFLICT (workspace, publisher, epoch) DO UPDATE SET
    apart = e.apart + (excluded.apart - e.copied), touched = excluded.touched;

-- name: add_checkpoint
-- Wait for the copies of a checkpoint, unless as many are awaited as may: the oldest come first.
INSERT INTO shadow_checkpoints (workspace, publisher, number, body, arrived)
SELECT $1, $2, $3, $4, $5
WHERE (SELECT count(*) FROM shadow_checkpoints WHERE workspace = $1 AND publisher = $2) < $6
ON CONFLICT DO NOTHING;

-- name: awaited
-- Checkpoints whose copies are under way, with the ways that these take, oldest first.
SELECT workspace, publisher, number, body -> 'copies' AS copies, arrived
FROM shadow_checkpoints ORDER BY workspace, publisher, number;

-- name: body
-- A checkpoint whose copies have come.
SELECT body FROM shadow_checkpoints WHERE workspace = $1 AND publisher = $2 AND number = $3;

-- name: judge
-- A checkpoint came by its copies too: what was copied before it must have come.
UPDATE shadow_epochs
SET judged = judged + ($4::int8multirange - $5::int8multirange - apart), touched = now()
WHERE workspace = $1 AND publisher = $2 AND epoch = $3;

-- name: raise_barrier
-- The newest checkpoint that came by its copies too.
UPDATE shadow_publishers SET barrier = greatest(barrier, $3) WHERE workspace = $1 AND publisher = $2;

-- name: forget_checkpoints
-- Checkpoints up to this number have come, or were overtaken.
DELETE FROM shadow_checkpoints WHERE workspace = $1 AND publisher = $2 AND number <= $3;

-- name: arrivals
-- What is kept of some blocks of an epoch.
SELECT slot, door, block, numbers, firsts, dead, delays FROM shadow_arrivals
WHERE workspace = $1 AND publisher = $2 AND epoch = $3
  AND slot = ANY ($4::timestamptz[]) AND block = ANY ($5::int8[]);

-- name: save_arrivals
-- Store a block as it is after the latest settlements.
INSERT INTO shadow_arrivals (
    workspace, publisher, epoch, slot, door, block, numbers, firsts, dead, delays
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (workspace, publisher, slot, epoch, door, block) DO UPDATE SET
    numbers = excluded.numbers, firsts = excluded.firsts, dead = excluded.dead,
    delays = excluded.delays;

-- name: end_window
-- From here on everything is kept; nothing where that is so already.
UPDATE shadow_publishers SET kept_from = now() - $1::interval + $2::interval
WHERE kept_from < now() - $1::interval + $2::interval;

-- name: drop_arrivals
-- Remove some of what was settled before the window.
WITH old AS (
    SELECT a.workspace, a.publisher, a.slot, a.epoch, a.door, a.block
    FROM shadow_publishers p
    JOIN shadow_arrivals a ON a.workspace = p.workspace AND a.publisher = p.publisher
    WHERE a.slot < now() - $1::interval
    LIMIT $2
)
DELETE FROM shadow_arrivals a USING old
WHERE a.workspace = old.workspace AND a.publisher = old.publisher AND a.slot = old.slot
  AND a.epoch = old.epoch AND a.door = old.door AND a.block = old.block;

-- name: drop_checkpoints
-- Copies that did not come within the window are awaited no more.
DELETE FROM shadow_checkpoints WHERE arrived < now() - $1::interval;

-- name: drop_epochs
-- Remove some epochs that no checkpoint has named within the window.
WITH old AS (
    SELECT workspace, publisher, epoch FROM shadow_epochs
    WHERE touched < now() - $1::interval LIMIT $2
)
DELETE FROM shadow_epochs e USING old
WHERE e.workspace = old.workspace AND e.publisher = old.publisher AND e.epoch = old.epoch;

-- name: drop_publishers
-- Forget publishers of which nothing is left.
DELETE FROM shadow_publishers p
WHERE p.copying < now() - $1::interval
  AND NOT EXISTS (
    SELECT FROM shadow_arrivals a WHERE a.workspace = p.workspace AND a.publisher = p.publisher
  )
  AND NOT EXISTS (
    SELECT FROM shadow_epochs e WHERE e.workspace = p.workspace AND e.publisher = p.publisher
  );

-- name: workspaces
-- Workspaces whose publishers send copies, or the one of this name.
SELECT id, name FROM workspaces w
WHERE CASE WHEN $1::text IS NOT NULL THEN name = $1
    ELSE EXISTS (SELECT FROM shadow_publishers p WHERE p.workspace = w.id) END
ORDER BY name;

-- name: reported
-- Publishers of a workspace, or the one of this name.
SELECT publisher, copying, barrier, kept_from FROM shadow_publishers
WHERE workspace = $1 AND ($2::text IS NULL OR publisher = $2)
ORDER BY publisher;

-- name: judged
-- The numbers of each epoch that can be judged.
SELECT epoch, judged FROM shadow_epochs
WHERE workspace = $1 AND publisher = $2 AND judged <> '{}'::int8multirange;

-- name: since
-- What came from an instant on.
SELECT slot, epoch, door, block, numbers, firsts, dead, delays FROM shadow_arrivals
WHERE workspace = $1 AND publisher = $2 AND slot >= $3
ORDER BY slot;
