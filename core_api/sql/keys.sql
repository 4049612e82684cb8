-- name: find_key
-- The key with this id and the name of its workspace, to authenticate a request.
SELECT k.id, k.role, w.name AS workspace, k.publisher, k.digest, k.revoked
FROM api_keys k
LEFT JOIN workspaces w ON w.id = k.workspace
WHERE k.id = $1;

-- name: create_workspace
-- The workspace of a new key comes to be with it.
INSERT INTO workspaces (name) VALUES ($1) ON CONFLICT (name) DO NOTHING;

-- name: create_key
-- A new key; without a workspace it is an admin's over all of them.
INSERT INTO api_keys (id, workspace, role, publisher, digest)
VALUES ($1, (SELECT id FROM workspaces WHERE name = $2), $3, $4, $5);

-- name: list_keys
-- All keys, or those of one workspace, oldest first.
SELECT k.id, k.role, w.name AS workspace, k.publisher, k.created, k.revoked
FROM api_keys k
LEFT JOIN workspaces w ON w.id = k.workspace
WHERE $1::text IS NULL OR w.name = $1
ORDER BY k.created, k.id;

-- name: revoke_key
-- The first revocation stands; a second one changes nothing.
UPDATE api_keys SET revoked = coalesce(revoked, now()) WHERE id = $1 RETURNING revoked;
