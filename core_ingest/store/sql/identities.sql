-- name: workspaces
-- Numbers of workspaces by name.
SELECT name, id FROM workspaces WHERE name = ANY ($1::text[]);

-- name: add_workspaces
-- Create workspaces that are not there yet.
INSERT INTO workspaces (name) SELECT unnest($1::text[]) ORDER BY 1 ON CONFLICT DO NOTHING;

-- name: assets
-- Numbers of assets by what their provider calls them.
SELECT k.workspace, k.provider, k.external_id, a.id
FROM unnest($1::int4[], $2::text[], $3::text[]) AS k (workspace, provider, external_id)
CROSS JOIN LATERAL (
    SELECT id FROM assets
    WHERE workspace = k.workspace AND provider = k.provider AND external_id = k.external_id
    OFFSET 0
) AS a;

-- name: add_assets
-- Create assets that are not there yet, in key order.
INSERT INTO assets (workspace, provider, external_id)
SELECT * FROM unnest($1::int4[], $2::text[], $3::text[]) AS k (workspace, provider, external_id)
ORDER BY workspace, provider, external_id
ON CONFLICT DO NOTHING;

-- name: add_vehicles
-- Give each new asset its vehicle; linking may change that later.
INSERT INTO vehicle_assets (workspace, asset, vehicle)
SELECT * FROM unnest($1::int4[], $2::int4[], $3::uuid[]) AS v (workspace, asset, vehicle)
ORDER BY workspace, asset
ON CONFLICT DO NOTHING;

-- name: signal
-- The number of a signal of a provider: an identity from before it was catalogued comes first.
SELECT id FROM signals
WHERE name = $1 OR (provider = $2 AND name = ANY ($3::text[]))
ORDER BY name = $1, name LIMIT 1;

-- name: add_signal
-- Create a signal that is not there yet; provider is null for a path of the catalogue.
INSERT INTO signals (name, provider) VALUES ($1, $2) ON CONFLICT DO NOTHING;

-- name: catalogue_signal
-- A label that was uncatalogued when it first came has a path now; its number stays.
UPDATE signals SET path = $2 WHERE id = $1 AND name <> $2 AND path IS DISTINCT FROM $2;

-- name: months
-- The names of the history's partitions.
SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'history'::regclass;

-- name: horizon
-- When (µs) the newest fact may be: an edge may be ahead by the skew, its readings by another.
SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::int8
    + ((86400 + 2 * skew_seconds) * 1000000)::int8 AS horizon
FROM ingest_limits;

-- name: lock_partitions
-- One process at a time makes partitions; nobody waits for long.
SELECT set_config('lock_timeout', '10s', true), pg_advisory_xact_lock(7236002);
