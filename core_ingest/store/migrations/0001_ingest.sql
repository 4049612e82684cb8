-- Canonical state, its history, the ledger of settlements, dead letters and API keys.
-- Every key leads with the workspace, so that tables can be distributed by it.

CREATE TABLE ingest_limits (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    skew_seconds float8 NOT NULL DEFAULT 300 CHECK (skew_seconds >= 0)
);
COMMENT ON TABLE ingest_limits IS 'One row: limits on which all processes must agree.';
INSERT INTO ingest_limits DEFAULT VALUES;

CREATE TABLE workspaces (
    id int4 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text COLLATE "C" NOT NULL UNIQUE,
    created timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE assets (
    workspace int4 NOT NULL REFERENCES workspaces,
    id int4 GENERATED ALWAYS AS IDENTITY,
    provider text COLLATE "C" NOT NULL,
    external_id text COLLATE "C" NOT NULL,
    revision int8 NOT NULL DEFAULT 0,
    created timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace, id),
    UNIQUE (workspace, provider, external_id)
) WITH (fillfactor = 50);
COMMENT ON TABLE assets IS 'What a provider calls a vehicle. The revision rises when its latest values change.';

CREATE TABLE vehicle_assets (
    workspace int4 NOT NULL,
    asset int4 NOT NULL,
    vehicle uuid NOT NULL,
    PRIMARY KEY (workspace, asset),
    FOREIGN KEY (workspace, asset) REFERENCES assets
);
CREATE INDEX vehicle_assets_by_vehicle ON vehicle_assets (workspace, vehicle, asset);
COMMENT ON TABLE vehicle_assets IS 'Which vehicle an asset belongs to: the only thing that linking changes.';

CREATE TABLE signals (
    id int4 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text COLLATE "C" NOT NULL UNIQUE,
    provider text COLLATE "C",
    path text COLLATE "C"
);
COMMENT ON TABLE signals IS
    'name is a VSS path, or {provider}.{label} for a label that no catalogue knew when it first came; '
    'path is filled when such a label is catalogued later, the id stays.';

CREATE TABLE history (
    observed timestamptz NOT NULL,
    received timestamptz NOT NULL,
    num float8 NOT NULL,
    lon float8 NOT NULL,
    workspace int4 NOT NULL,
    asset int4 NOT NULL,
    signal int4 NOT NULL,
    quality int2 NOT NULL,
    text text COLLATE "C" NOT NULL,
    PRIMARY KEY (workspace, asset, signal, observed, num, lon, text)
) PARTITION BY RANGE (observed);
COMMENT ON TABLE history IS
    'The set of admitted facts. A number is (x, NaN, ''''), a position (lat, lon, ''''), a text (NaN, NaN, text).';
CREATE TABLE history_before_2015 PARTITION OF history
    FOR VALUES FROM (MINVALUE) TO ('2015-01-01 00:00:00+00');

CREATE TABLE latest (
    observed timestamptz NOT NULL,
    received timestamptz NOT NULL,
    num float8 NOT NULL,
    lon float8 NOT NULL,
    significant_num float8 NOT NULL,
    significant_lon float8 NOT NULL,
    workspace int4 NOT NULL,
    asset int4 NOT NULL,
    signal int4 NOT NULL,
    quality int2 NOT NULL,
    text text COLLATE "C" NOT NULL,
    significant_text text COLLATE "C" NOT NULL,
    PRIMARY KEY (workspace, asset, signal)
) WITH (fillfactor = 50);
COMMENT ON TABLE latest IS
    'The greatest fact by (observed, value) of each asset and signal, and its last significant value.';

CREATE TABLE connection_events (
    workspace int4 NOT NULL REFERENCES workspaces,
    publisher text COLLATE "C" NOT NULL,
    epoch uuid NOT NULL,
    sequence int8 NOT NULL,
    provider text COLLATE "C" NOT NULL,
    stream text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL,
    at timestamptz NOT NULL,
    received timestamptz NOT NULL,
    reason text,
    PRIMARY KEY (workspace, publisher, epoch, sequence)
);
CREATE INDEX connection_events_by_stream ON connection_events (workspace, stream, at);

CREATE TABLE dead_letters (
    workspace int4 NOT NULL REFERENCES workspaces,
    origin text COLLATE "C" NOT NULL,
    index int4 NOT NULL,
    reason text COLLATE "C" NOT NULL,
    detail text NOT NULL,
    door text COLLATE "C" NOT NULL,
    attributes jsonb NOT NULL,
    data bytea NOT NULL,
    dead_lettered timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace, origin, index)
);
COMMENT ON TABLE dead_letters IS
    'origin is publisher/epoch/sequence or topic/partition/offset; index -1 is the whole envelope, '
    'others are one reading of it. attributes are the envelope''s, data the provider''s bytes.';

CREATE TABLE settlements (
    id int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    settled timestamptz NOT NULL DEFAULT now(),
    workspace int4 NOT NULL,
    publisher text COLLATE "C" NOT NULL,
    epoch uuid NOT NULL,
    door text COLLATE "C" NOT NULL,
    outcome text COLLATE "C" NOT NULL,
    first int8 NOT NULL,
    last int8,
    numbers bytea NOT NULL,
    delays int4[] NOT NULL
);
COMMENT ON TABLE settlements IS
    'Appended by the handler, folded and removed by the compactor. Bit i of numbers (little-endian) '
    'is sequence first + i; with last, the row is every number from first to last. delays counts receivedtime -> commit by the bounds of core_ingest.ledger.';

CREATE TABLE ledger_epochs (
    workspace int4 NOT NULL REFERENCES workspaces,
    publisher text COLLATE "C" NOT NULL,
    epoch uuid NOT NULL,
    settled int8multirange NOT NULL DEFAULT '{}',
    lowest int8,
    highest int8,
    first int8,
    head int8,
    pending int8multirange NOT NULL DEFAULT '{}',
    closed boolean NOT NULL DEFAULT false,
    reported timestamptz,
    PRIMARY KEY (workspace, publisher, epoch)
);
COMMENT ON TABLE ledger_epochs IS
    'settled are full blocks of 65,536 numbers; lowest and highest bound all settled ones. first, head, '
    'pending and closed are what the newest checkpoint that counts says, reported is when it arrived.';

CREATE TABLE ledger_blocks (
    workspace int4 NOT NULL,
    publisher text COLLATE "C" NOT NULL,
    epoch uuid NOT NULL,
    block int8 NOT NULL,
    numbers bytea NOT NULL,
    PRIMARY KEY (workspace, publisher, epoch, block)
);
COMMENT ON TABLE ledger_blocks IS 'Settled numbers of a block that is not full: bit i is block * 65,536 + i.';

CREATE TABLE ledger_counts (
    workspace int4 NOT NULL,
    publisher text COLLATE "C" NOT NULL,
    epoch uuid NOT NULL,
    door text COLLATE "C" NOT NULL,
    outcome text COLLATE "C" NOT NULL,
    settled int8 NOT NULL,
    redelivered int8 NOT NULL,
    delays int8[] NOT NULL,
    PRIMARY KEY (workspace, publisher, epoch, door, outcome)
);
COMMENT ON TABLE ledger_counts IS 'First settlements of a number, and later copies of it, by door and outcome.';

CREATE TABLE checkpoints (
    workspace int4 NOT NULL REFERENCES workspaces,
    publisher text COLLATE "C" NOT NULL,
    number int8 NOT NULL,
    body jsonb NOT NULL,
    arrived timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace, publisher, number)
);
CREATE TABLE checkpoint_arrivals (
    workspace int4 NOT NULL REFERENCES workspaces,
    publisher text COLLATE "C" NOT NULL,
    route text COLLATE "C" NOT NULL,
    number int8 NOT NULL,
    arrived timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace, publisher, route)
);
COMMENT ON TABLE checkpoint_arrivals IS 'The greatest checkpoint number by route: http, or kafka/topic/partition.';

CREATE TABLE api_keys (
    id text COLLATE "C" PRIMARY KEY,
    workspace int4 REFERENCES workspaces,
    role text COLLATE "C" NOT NULL CHECK (role IN ('ingest', 'read', 'admin')),
    publisher text COLLATE "C",
    digest bytea NOT NULL,
    created timestamptz NOT NULL DEFAULT now(),
    revoked timestamptz,
    CHECK (workspace IS NOT NULL OR role = 'admin'),
    CHECK ((publisher IS NOT NULL) = (role = 'ingest'))
);
COMMENT ON TABLE api_keys IS 'digest is SHA-256 of the secret; an ingest key is bound to one publisher id.';
