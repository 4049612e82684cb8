-- name: limits
-- The database's clock (µs) and the skew (s): on these all processes agree.
SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::int8 AS now, skew_seconds
FROM ingest_limits;

-- name: lock_assets
-- Lock the batch's assets in key order, before anything of theirs is read.
SELECT count(*) FROM (
    SELECT a.id
    FROM unnest($1::text::int4[], $2::text::int4[]) AS k (workspace, id)
    JOIN assets a ON a.workspace = k.workspace AND a.id = k.id
    ORDER BY a.workspace, a.id
    FOR NO KEY UPDATE OF a
) AS locked;

-- name: marks
-- The newest facts of the batch's signals, each with its key's place among those asked for.
SELECT
    k.place, (extract(epoch FROM l.observed) * 1000000)::int8 AS observed,
    l.num, l.lon, l.text, l.significant_num, l.significant_lon, l.significant_text
FROM unnest($1::text::int4[], $2::text::int4[], $3::text::int4[])
    WITH ORDINALITY AS k (workspace, asset, signal, place)
CROSS JOIN LATERAL (
    SELECT observed, num, lon, text, significant_num, significant_lon, significant_text FROM latest
    WHERE workspace = k.workspace AND asset = k.asset AND signal = k.signal
    OFFSET 0
) AS l;

-- name: stored
-- The facts at given instants. The lateral keeps this on the index at every batch size.
SELECT k.workspace, k.asset, k.signal, k.observed, h.num, h.lon, h.text
FROM unnest(
    $1::text::int4[], $2::text::int4[], $3::text::int4[], $4::text::int8[]
) AS k (workspace, asset, signal, observed)
CROSS JOIN LATERAL (
    SELECT num, lon, text FROM history
    WHERE workspace = k.workspace AND asset = k.asset AND signal = k.signal
      AND observed = 'epoch'::timestamptz
        + (k.observed / 1000000) * interval '1 second'
        + (k.observed % 1000000) * interval '1 microsecond'
    OFFSET 0
) AS h;

-- name: raise_numbers
-- New maxima, all numbers, of keys that have one that is a number or less; only where greater.
UPDATE latest AS l SET
    observed = f.at, received = 'epoch'::timestamptz + f.received * interval '1 microsecond',
    num = f.num, lon = 'NaN', quality = f.quality, text = '',
    significant_num = f.significant, significant_lon = 'NaN', significant_text = ''
FROM (
    SELECT f.*, 'epoch'::timestamptz
        + (f.observed / 1000000) * interval '1 second'
        + (f.observed % 1000000) * interval '1 microsecond' AS at
    FROM unnest(
        $1::text::int4[], $2::text::int4[], $3::text::int4[], $4::text::int8[], $5::text::int8[],
        $6::text::int2[], $7::float8[], $8::float8[]
    ) AS f (workspace, asset, signal, observed, received, quality, num, significant)
) AS f
WHERE l.workspace = f.workspace AND l.asset = f.asset AND l.signal = f.signal
  AND (l.observed < f.at OR (l.observed = f.at AND l.lon = 'NaN' AND l.num < f.num));

-- name: raise_values
-- New maxima of any kind, of keys that have one; only where greater by (observed, value).
UPDATE latest AS l SET
    observed = f.at, received = 'epoch'::timestamptz + f.received * interval '1 microsecond',
    num = f.num, lon = f.lon, quality = f.quality, text = f.text,
    significant_num = f.significant_num, significant_lon = f.significant_lon,
    significant_text = f.significant_text
FROM (
    SELECT f.*, 'epoch'::timestamptz
        + (f.observed / 1000000) * interval '1 second'
        + (f.observed % 1000000) * interval '1 microsecond' AS at
    FROM unnest(
        $1::text::int4[], $2::text::int4[], $3::text::int4[], $4::text::int8[], $5::text::int8[],
        $6::text::int2[], $7::float8[], $8::float8[], $9::text[],
        $10::float8[], $11::float8[], $12::text[]
    ) AS f (
        workspace, asset, signal, observed, received, quality, num, lon, text,
        significant_num, significant_lon, significant_text
    )
) AS f
WHERE l.workspace = f.workspace AND l.asset = f.asset AND l.signal = f.signal
  AND (
    l.observed,
    CASE WHEN l.lon <> 'NaN' THEN 2 WHEN l.num = 'NaN' THEN 1 ELSE 0 END,
    l.num, l.lon, l.text
  ) < (
    f.at,
    CASE WHEN f.lon <> 'NaN' THEN 2 WHEN f.num = 'NaN' THEN 1 ELSE 0 END,
    f.num, f.lon, f.text
  );

-- name: add_latest
-- The first maxima of their keys. Under the locks of their assets no other can be there.
INSERT INTO latest (
    workspace, asset, signal, observed, received, quality, num, lon, text,
    significant_num, significant_lon, significant_text
)
SELECT
    workspace, asset, signal,
    'epoch'::timestamptz
        + (f.observed / 1000000) * interval '1 second'
        + (f.observed % 1000000) * interval '1 microsecond',
    'epoch'::timestamptz + received * interval '1 microsecond',
    quality, num, lon, text, significant_num, significant_lon, significant_text
FROM unnest(
    $1::text::int4[], $2::text::int4[], $3::text::int4[], $4::text::int8[], $5::text::int8[],
    $6::text::int2[], $7::float8[], $8::float8[], $9::text[],
    $10::float8[], $11::float8[], $12::text[]
) AS f (
    workspace, asset, signal, observed, received, quality, num, lon, text,
    significant_num, significant_lon, significant_text
)
ORDER BY workspace, asset, signal;

-- name: raise_revisions
-- Count one more change of these assets.
UPDATE assets AS a SET revision = a.revision + 1
FROM unnest($1::text::int4[], $2::text::int4[]) AS k (workspace, id)
WHERE a.workspace = k.workspace AND a.id = k.id;

-- name: add_connection_events
-- A stream connected, subscribed or disconnected.
INSERT INTO connection_events (
    workspace, publisher, epoch, sequence, provider, stream, state, at, received, reason
)
SELECT * FROM unnest(
    $1::int4[], $2::text[], $3::uuid[], $4::int8[], $5::text[],
    $6::text[], $7::text[], $8::timestamptz[], $9::timestamptz[], $10::text[]
) AS e (workspace, publisher, epoch, sequence, provider, stream, state, at, received, reason)
ORDER BY workspace, publisher, epoch, sequence
ON CONFLICT DO NOTHING;

-- name: add_dead_letters
-- What could not become facts, whole, with its reason.
INSERT INTO dead_letters (workspace, origin, index, reason, detail, door, attributes, data)
SELECT * FROM unnest(
    $1::int4[], $2::text[], $3::int4[], $4::text[], $5::text[], $6::text[], $7::jsonb[], $8::bytea[]
) AS d (workspace, origin, index, reason, detail, door, attributes, data)
ORDER BY workspace, origin, index
ON CONFLICT DO NOTHING;

-- name: append_settlements
-- Numbers that this transaction settles. Appended only: a row that all batches updated would queue them.
INSERT INTO settlements (workspace, publisher, epoch, door, outcome, first, last, numbers, delays)
SELECT workspace, publisher, epoch, door, outcome, first, last, numbers, delays::int4[]
FROM unnest(
    $1::int4[], $2::text[], $3::uuid[], $4::text[], $5::text[],
    $6::int8[], $7::int8[], $8::bytea[], $9::text[]
) AS s (workspace, publisher, epoch, door, outcome, first, last, numbers, delays);

-- name: add_checkpoint
-- A publisher's checkpoint, kept until it counts; a copy that comes after a later one is past it.
INSERT INTO checkpoints (workspace, publisher, number, body)
SELECT $1, $2, $4, $5
WHERE NOT EXISTS (
    SELECT FROM checkpoint_arrivals
    WHERE workspace = $1 AND publisher = $2 AND route = $3 AND number >= $4
)
ON CONFLICT DO NOTHING;

-- name: arrive_checkpoint
-- By this route everything before this number has arrived.
INSERT INTO checkpoint_arrivals AS a (workspace, publisher, route, number) VALUES ($1, $2, $3, $4)
ON CONFLICT (workspace, publisher, route)
DO UPDATE SET number = excluded.number, arrived = now() WHERE a.number < excluded.number;
