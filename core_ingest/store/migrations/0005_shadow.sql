-- What the shadow report reads: for a window, which numbers came by which door, of publishers whose
-- checkpoints name copies. Others have no rows here.

CREATE TABLE shadow_publishers (
    workspace int4 NOT NULL REFERENCES workspaces,
    publisher text COLLATE "C" NOT NULL,
    copying timestamptz NOT NULL,
    barrier timestamptz,
    kept_from timestamptz NOT NULL,
    PRIMARY KEY (workspace, publisher)
);
COMMENT ON TABLE shadow_publishers IS
    'copying is when the newest checkpoint that names copies came by all its routes, barrier when the '
    'newest did that has come by the copies too. Of what was settled before kept_from not all is kept.';

CREATE TABLE shadow_checkpoints (
    workspace int4 NOT NULL REFERENCES workspaces,
    publisher text COLLATE "C" NOT NULL,
    number int8 NOT NULL,
    body jsonb NOT NULL,
    arrived timestamptz NOT NULL,
    PRIMARY KEY (workspace, publisher, number)
);
COMMENT ON TABLE shadow_checkpoints IS
    'Checkpoints that count and whose copies are still under way; arrived is when they came first.';

CREATE TABLE shadow_epochs (
    workspace int4 NOT NULL REFERENCES workspaces,
    publisher text COLLATE "C" NOT NULL,
    epoch uuid NOT NULL,
    copied int8multirange NOT NULL DEFAULT '{}',
    apart int8multirange NOT NULL DEFAULT '{}',
    judged int8multirange NOT NULL DEFAULT '{}',
    touched timestamptz NOT NULL,
    PRIMARY KEY (workspace, publisher, epoch)
);
COMMENT ON TABLE shadow_epochs IS
    'Acknowledged numbers: copied are those first reported by a checkpoint that names copies, apart by '
    'one that names none, judged are those of copied whose checkpoint has come by the copies too.';

CREATE TABLE shadow_arrivals (
    workspace int4 NOT NULL REFERENCES workspaces,
    publisher text COLLATE "C" NOT NULL,
    slot timestamptz NOT NULL,
    epoch uuid NOT NULL,
    door text COLLATE "C" NOT NULL,
    block int8 NOT NULL,
    numbers bytea NOT NULL,
    firsts bytea NOT NULL,
    dead bytea NOT NULL,
    delays int8[] NOT NULL,
    PRIMARY KEY (workspace, publisher, slot, epoch, door, block)
);
COMMENT ON TABLE shadow_arrivals IS
    'Numbers that a door settled within five minutes from slot on: bit i (little-endian) is '
    'block * 65,536 + i. firsts are those that no door had settled before, dead those dead-lettered. '
    'delays counts as in settlements, in the row of the first block of each.';
