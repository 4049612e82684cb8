-- What becomes of a dead letter: it waits, is replayed, or is discarded; and the replays that it saw.
-- The generated columns rewrite the table, which is small: no other table is touched.

CREATE FUNCTION dead_letter_header(attributes jsonb, name text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN left(
        jsonb_path_query_first(
            attributes,
            'strict $.headers[*] ? (@[0] == $header)[1] ? (@.type() == "string")',
            jsonb_object(ARRAY['header', 'ce_' || name]),
            true
        ) #>> '{}',
        256
    );
COMMENT ON FUNCTION dead_letter_header IS
    'The header that stands for an attribute in a record that was no envelope, if it is text.';

CREATE FUNCTION dead_letter_claim(attributes jsonb) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN substring(
            dead_letter_header(attributes, 'publisherid') FROM '^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$'
        )
        || '/' || substring(
            lower(dead_letter_header(attributes, 'publisherepoch')) FROM '^[0-9a-f-]{32,36}$'
        )
        || '/' || substring(
            dead_letter_header(attributes, 'sequence') FROM '^(?:0|[1-9][0-9]{0,17})$'
        );
COMMENT ON FUNCTION dead_letter_claim IS
    'publisher/epoch/sequence of a record that was no envelope, if all three are legible.';

-- Of an envelope, the generated columns are plain expressions: as functions they cost ten times as
-- much, and they are written with every letter.
ALTER TABLE dead_letters
    ADD COLUMN state text COLLATE "C" NOT NULL DEFAULT 'waiting'
        CHECK (state IN ('waiting', 'replayed', 'discarded')),
    ADD COLUMN resolved timestamptz,
    ADD COLUMN outcome text COLLATE "C",
    ADD COLUMN note text,
    ADD COLUMN tries int4 NOT NULL DEFAULT 0,
    ADD COLUMN provider text COLLATE "C" GENERATED ALWAYS AS (
        CASE WHEN attributes ? 'headers' THEN dead_letter_header(attributes, 'provider')
            ELSE attributes ->> 'provider' END
    ) STORED,
    ADD COLUMN publisher text COLLATE "C" GENERATED ALWAYS AS (
        CASE WHEN attributes ? 'headers' THEN dead_letter_header(attributes, 'publisherid')
            ELSE attributes ->> 'publisherid' END
    ) STORED,
    ADD COLUMN lane text COLLATE "C" NOT NULL GENERATED ALWAYS AS (
        coalesce(
            CASE WHEN attributes ? 'headers'
                THEN regexp_replace(dead_letter_claim(attributes), '/[^/]*$', '')
                ELSE (attributes ->> 'publisherid') || '/' || (attributes ->> 'publisherepoch')
                    || left(attributes ->> 'sequence', 0)
            END,
            regexp_replace(origin, '/[^/]*$', '')
        )
    ) STORED,
    ADD COLUMN position int8 NOT NULL GENERATED ALWAYS AS (
        coalesce(
            CASE WHEN attributes ? 'headers'
                THEN substring(dead_letter_claim(attributes) FROM '[0-9]+$')::int8
                WHEN attributes ? 'publisherepoch' THEN (attributes ->> 'sequence')::int8
            END,
            substring(origin FROM '/([0-9]{1,18})$')::int8,
            0
        )
    ) STORED,
    ADD CHECK ((state = 'waiting') = (resolved IS NULL)),
    ADD CHECK ((state = 'replayed') = (outcome IS NOT NULL)),
    ADD CHECK ((state = 'discarded') = (note IS NOT NULL));
COMMENT ON TABLE dead_letters IS
    'origin is publisher/epoch/sequence or topic/partition/offset; index -1 is the whole envelope, '
    'others are one reading of it. attributes are the envelope''s, data the provider''s bytes. Of one '
    'that is resolved, outcome is what the replay made of its message, note why it was discarded. '
    'lane and position order the messages of a stream.';
CREATE INDEX dead_letters_by_time ON dead_letters (workspace, dead_lettered, origin, index);
CREATE INDEX dead_letters_waiting ON dead_letters (workspace, lane, position, origin)
    WHERE state = 'waiting';

CREATE TABLE dead_letter_replays (
    workspace int4 NOT NULL REFERENCES workspaces,
    origin text COLLATE "C" NOT NULL,
    try int4 NOT NULL,
    replayed timestamptz NOT NULL DEFAULT now(),
    outcome text COLLATE "C" NOT NULL,
    reason text COLLATE "C",
    detail text,
    PRIMARY KEY (workspace, origin, try)
);
COMMENT ON TABLE dead_letter_replays IS
    'Every replay of a message, written in its transaction. All dead letters of one origin are one replay.';

CREATE TABLE dead_letter_runs (
    workspace int4 NOT NULL REFERENCES workspaces,
    filters text COLLATE "C" NOT NULL,
    started timestamptz NOT NULL,
    handled int8 NOT NULL,
    lane text COLLATE "C" NOT NULL,
    position int8 NOT NULL,
    origin text COLLATE "C" NOT NULL,
    PRIMARY KEY (workspace, filters)
);
COMMENT ON TABLE dead_letter_runs IS
    'How far a replay has come that has not ended: written in the transaction of each batch, so that '
    'the same command goes on where it was interrupted.';
