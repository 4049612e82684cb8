-- name: facts
-- Every fact of a workspace: vehicle as the provider names it, signal, epoch ms, and the value.
SELECT a.external_id, coalesce(s.path, s.name) AS signal,
    (extract(epoch FROM h.observed) * 1000)::bigint AS observed, h.num, h.lon, h.text
FROM history h
JOIN workspaces w ON w.id = h.workspace
JOIN assets a ON a.workspace = h.workspace AND a.id = h.asset
JOIN signals s ON s.id = h.signal
WHERE w.name = $1;

-- name: dead_letters
-- Why messages of a workspace were put aside, and how many for each reason.
SELECT d.reason, count(*) AS letters
FROM dead_letters d JOIN workspaces w ON w.id = d.workspace
WHERE w.name = $1 GROUP BY d.reason;
