-- name: lock_ledger
-- One process folds at a time.
SELECT pg_advisory_xact_lock(7236003);

-- name: checkpoints
-- Checkpoints that have not been applied yet, oldest first.
SELECT workspace, publisher, number, body, arrived FROM checkpoints ORDER BY number;

-- name: arrivals
-- How far each route of each publisher has come.
SELECT workspace, publisher, route, number FROM checkpoint_arrivals;

-- name: take_settlements
-- Remove the oldest appended rows and return them, in no particular order.
DELETE FROM settlements
WHERE id IN (SELECT id FROM settlements ORDER BY id LIMIT $1)
RETURNING id, settled, workspace, publisher, epoch, door, outcome, first, last, numbers, delays;

-- name: epoch
-- What is known of an epoch's numbers.
SELECT settled, lowest, highest FROM ledger_epochs
WHERE workspace = $1 AND publisher = $2 AND epoch = $3;

-- name: blocks
-- The blocks of an epoch that are not full.
SELECT block, numbers FROM ledger_blocks
WHERE workspace = $1 AND publisher = $2 AND epoch = $3;

-- name: save_epoch
-- Store full blocks and bounds.
INSERT INTO ledger_epochs AS e (workspace, publisher, epoch, settled, lowest, highest)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (workspace, publisher, epoch)
DO UPDATE SET settled = excluded.settled, lowest = excluded.lowest, highest = excluded.highest;

-- name: save_block
-- Store the bitmap of a block that is not full.
INSERT INTO ledger_blocks (workspace, publisher, epoch, block, numbers) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (workspace, publisher, epoch, block) DO UPDATE SET numbers = excluded.numbers;

-- name: drop_blocks
-- Blocks that became full are in the epoch's ranges now.
DELETE FROM ledger_blocks
WHERE workspace = $1 AND publisher = $2 AND epoch = $3 AND block = ANY ($4::int8[]);

-- name: add_counts
-- Add first settlements, copies and delays to an account; an int8 at its end stays there.
INSERT INTO ledger_counts AS c (
    workspace, publisher, epoch, door, outcome, settled, redelivered, delays
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (workspace, publisher, epoch, door, outcome) DO UPDATE SET
    settled = least(c.settled::numeric + excluded.settled, 9223372036854775807)::int8,
    redelivered = c.redelivered + excluded.redelivered,
    delays = (
        SELECT array_agg(a + b ORDER BY i)
        FROM unnest(c.delays, excluded.delays) WITH ORDINALITY AS d (a, b, i)
    );

-- name: report_epoch
-- What a checkpoint that counts says of an epoch. A head that falls is a journal that was damaged:
-- the numbers were handed out all the same.
INSERT INTO ledger_epochs AS e (workspace, publisher, epoch, first, head, pending, closed, reported)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (workspace, publisher, epoch) DO UPDATE SET
    first = excluded.first, head = greatest(e.head, excluded.head), pending = excluded.pending,
    closed = excluded.closed, reported = excluded.reported;

-- name: forget_checkpoints
-- Checkpoints up to this number have been applied or overtaken.
DELETE FROM checkpoints WHERE workspace = $1 AND publisher = $2 AND number <= $3;

-- name: accounts
-- Epochs of a workspace; without one, those of all workspaces of which some number is not settled:
-- the counts tell which those are, so that no bitmap is read to find out. With how long their
-- publisher has not reported them: it may report others and have lost the journal that knew this one.
-- A checkpoint that has not come by all its routes is a report too, else a queue that is away would
-- make its publishers silent. NULL is the silence of one that reports nothing.
WITH told AS (
    SELECT workspace, publisher, (epoch ->> 'epoch')::uuid AS epoch, max(arrived) AS arrived
    FROM checkpoints, jsonb_array_elements(body -> 'epochs') AS epoch
    GROUP BY 1, 2, 3
), reporting AS (
    SELECT workspace, publisher FROM ledger_epochs WHERE reported IS NOT NULL
    UNION SELECT workspace, publisher FROM told
)
SELECT e.workspace, e.publisher, e.epoch, e.lowest, e.highest, e.first, e.head, e.pending, e.settled,
    e.reported,
    CASE WHEN r.publisher IS NOT NULL
        THEN now() - coalesce(greatest(e.reported, t.arrived), e.known)
    END AS silence
FROM ledger_epochs e JOIN workspaces w ON w.id = e.workspace
LEFT JOIN told t USING (workspace, publisher, epoch)
LEFT JOIN reporting r USING (workspace, publisher)
CROSS JOIN LATERAL (SELECT coalesce(least(e.first, e.lowest), 0)::numeric) AS bottom (number)
WHERE CASE WHEN $1::text IS NOT NULL THEN w.name = $1
    ELSE greatest(e.head, e.highest, bottom.number - 1) - bottom.number + 1 > coalesce((
        SELECT sum(c.settled) FROM ledger_counts c
        WHERE (c.workspace, c.publisher, c.epoch) = (e.workspace, e.publisher, e.epoch)
    ), 0)
END
ORDER BY e.publisher, e.epoch;

-- name: blocks_of
-- The blocks that are not full of several epochs; `place` is that of the epoch among them.
SELECT o.place, b.block, b.numbers
FROM unnest($1::int4[], $2::text[], $3::uuid[]) WITH ORDINALITY
    AS o (workspace, publisher, epoch, place)
JOIN ledger_blocks b USING (workspace, publisher, epoch);

-- name: settlements_waiting
-- How many rows the compactor has not folded, up to a limit.
SELECT count(*) FROM (SELECT FROM settlements LIMIT $1) AS waiting;

-- name: counts
-- Counts of a workspace by publisher, epoch, door and outcome.
SELECT c.publisher, c.epoch, c.door, c.outcome, c.settled, c.redelivered
FROM ledger_counts c JOIN workspaces w ON w.id = c.workspace
WHERE w.name = $1;
