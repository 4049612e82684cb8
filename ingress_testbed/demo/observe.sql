-- name: facts_stored
-- Rows of history.
SELECT count(*) FROM history h JOIN workspaces w ON w.id = h.workspace WHERE w.name = $1;

-- name: by_door
-- Settled data messages by the door through which they came first.
SELECT c.door, sum(c.settled)::int8 AS settled
FROM ledger_counts c JOIN workspaces w ON w.id = c.workspace
WHERE w.name = $1 AND c.outcome NOT IN ('control', 'dropped')
GROUP BY c.door;

-- name: age
-- Seconds between the newest stored reading's arrival at the edge and now.
SELECT extract(epoch FROM now() - max(l.received))::float8
FROM latest l JOIN workspaces w ON w.id = l.workspace WHERE w.name = $1;

-- name: newest_accepted
-- The newest appended settlement of accepted messages that the compactor has not folded yet.
SELECT s.epoch, s.first, s.numbers, s.settled
FROM settlements s JOIN workspaces w ON w.id = s.workspace
WHERE w.name = $1 AND s.publisher = $2 AND s.outcome = 'accepted'
ORDER BY s.id DESC LIMIT 1;

-- name: connection_events_before
-- How many numbers of an epoch below $4 went to connection events rather than to frames.
SELECT count(*) FROM connection_events e JOIN workspaces w ON w.id = e.workspace
WHERE w.name = $1 AND e.publisher = $2 AND e.epoch = $3 AND e.sequence < $4;

-- name: fact
-- The row of history of one vehicle's signal at one instant.
SELECT v.vehicle, h.asset, h.signal, h.observed, h.received, h.num, h.lon, h.text, h.quality
FROM history h
JOIN workspaces w ON w.id = h.workspace
JOIN assets a ON a.workspace = h.workspace AND a.id = h.asset
JOIN vehicle_assets v ON v.workspace = h.workspace AND v.asset = h.asset
JOIN signals s ON s.id = h.signal
WHERE w.name = $1 AND a.external_id = $2 AND coalesce(s.path, s.name) = $3 AND h.observed = $4;
