-- name: find_key
-- The key with this id and the name of its workspace, to authenticate a request. Whether it has
-- ended is for this clock to say, the same for every process.
SELECT k.id, k.role, w.name AS workspace, k.publisher, k.digest,
       coalesce(k.revoked, CASE WHEN k.expires <= now() THEN k.expires END) AS ended,
       k.revoked IS NOT NULL AS revoked, k.expires
FROM api_keys k
LEFT JOIN workspaces w ON w.id = k.workspace
WHERE k.id = $1;

-- name: create_workspace
-- The workspace of a new key comes to be with it; its id is returned where it is new.
INSERT INTO workspaces (name) VALUES ($1) ON CONFLICT (name) DO NOTHING RETURNING id;

-- name: create_key
-- A new key; without a workspace it is an admin's over all of them.
INSERT INTO api_keys (id, workspace, role, publisher, digest)
VALUES ($1, (SELECT id FROM workspaces WHERE name = $2), $3, $4, $5);

-- name: list_keys
-- All keys, or those of one workspace, oldest first.
SELECT k.id, k.role, w.name AS workspace, k.publisher, k.created, k.revoked, k.expires,
       k.revoked IS NULL AND (k.expires IS NULL OR k.expires > now()) AS valid
FROM api_keys k
LEFT JOIN workspaces w ON w.id = k.workspace
WHERE $1::text IS NULL OR w.name = $1
ORDER BY k.created, k.id;

-- name: revoke_key
-- The first revocation stands; a second one changes nothing.
UPDATE api_keys SET revoked = coalesce(revoked, now()) WHERE id = $1 RETURNING revoked;

-- name: lock_key
-- The key to rotate, held so that two rotations at once do not see the same state of it.
SELECT k.revoked IS NULL AND (k.expires IS NULL OR k.expires > now()) AS valid
FROM api_keys k WHERE k.id = $1
FOR UPDATE;

-- name: succeed_key
-- A new key that may do what key $1 may.
INSERT INTO api_keys (id, workspace, role, publisher, digest)
SELECT $2, workspace, role, publisher, $3 FROM api_keys WHERE id = $1
RETURNING role, (SELECT name FROM workspaces WHERE workspaces.id = workspace) AS workspace, publisher;

-- name: expire_key
-- Let a key end after a while; an end that was set before and comes sooner stands.
UPDATE api_keys SET expires = least(expires, now() + $2::interval) WHERE id = $1 RETURNING expires;
