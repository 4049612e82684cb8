-- name: find_workspace
-- The id of a workspace by its name.
SELECT id FROM workspaces WHERE name = $1;

-- name: vehicle_page
-- The ids of the vehicles after $2, in order.
SELECT DISTINCT vehicle
FROM vehicle_assets
WHERE workspace = $1 AND vehicle > $2
ORDER BY vehicle
LIMIT $3;

-- name: vehicle_page_of
-- The ids of the vehicles after $2 that some provider knows by one of the external ids $4, in order.
SELECT DISTINCT va.vehicle
FROM assets a
JOIN vehicle_assets va ON va.workspace = a.workspace AND va.asset = a.id
WHERE a.workspace = $1 AND a.external_id = ANY ($4::text[]) AND va.vehicle > $2
ORDER BY va.vehicle
LIMIT $3;

-- name: snapshots
-- The assets of some vehicles with their latest values: one statement, so all of one moment.
-- A row for each asset and signal; an asset without values has one row without a signal.
SELECT va.vehicle, a.provider, a.external_id, a.revision,
       coalesce(s.path, s.name) AS signal,
       l.observed, l.received, l.num, l.lon, l.text, l.quality
FROM vehicle_assets va
JOIN assets a ON a.workspace = va.workspace AND a.id = va.asset
LEFT JOIN latest l ON l.workspace = va.workspace AND l.asset = va.asset
LEFT JOIN signals s ON s.id = l.signal
WHERE va.workspace = $1 AND va.vehicle = ANY ($2::uuid[])
ORDER BY va.vehicle, a.provider, a.external_id, signal;

-- name: vehicle_exists
-- Whether a workspace has a vehicle.
SELECT EXISTS (SELECT FROM vehicle_assets WHERE workspace = $1 AND vehicle = $2);

-- name: signal_exists
-- Whether anybody has ever sent a signal of this name.
SELECT EXISTS (SELECT FROM signals WHERE coalesce(path, name) = $1);

-- name: history_page
-- One value an instant of a vehicle's signal over [$4, $5), oldest first: of several values at one
-- instant the greatest by the fixed order (number < text < position, each by its own order), then
-- by provider and external id. First the page's instants, which come in the key's order from each
-- asset's history; then the values at them. So a page costs a page, however long the range is and
-- whatever the planner knows of a young partition. In a number only lon is NaN, in a text num and
-- lon are, in a position neither (Postgres holds NaN equal to itself).
WITH parts AS (
    SELECT va.asset, s.id AS signal, a.provider, a.external_id
    FROM vehicle_assets va
    JOIN assets a ON a.workspace = va.workspace AND a.id = va.asset
    CROSS JOIN signals s
    WHERE va.workspace = $1 AND va.vehicle = $2 AND coalesce(s.path, s.name) = $3
), instants AS MATERIALIZED (
    SELECT DISTINCT h.observed
    FROM parts p
    CROSS JOIN LATERAL (
        SELECT DISTINCT observed
        FROM history
        WHERE workspace = $1 AND asset = p.asset AND signal = p.signal
          AND observed >= $4 AND observed < $5
        ORDER BY observed
        LIMIT $6
    ) h
    ORDER BY h.observed
    LIMIT $6
)
SELECT DISTINCT ON (h.observed)
       h.observed, h.received, h.num, h.lon, h.text, h.quality, p.provider, p.external_id
FROM parts p
JOIN history h ON h.workspace = $1 AND h.asset = p.asset AND h.signal = p.signal
              AND h.observed >= (SELECT min(observed) FROM instants)
              AND h.observed <= (SELECT max(observed) FROM instants)
ORDER BY h.observed,
         CASE WHEN h.lon <> 'NaN' THEN 2 WHEN h.num = 'NaN' THEN 1 ELSE 0 END DESC,
         h.num DESC, h.lon DESC, h.text DESC, p.provider DESC, p.external_id DESC;
