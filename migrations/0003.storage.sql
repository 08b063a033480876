-- What lets storage keep its promises: bytes and row agree whatever dies, quota is never passed, no change is missed.
-- depends: 0002.seed-plugins

-- What a user has stored, and how the changes are counted. Whoever changes what a user has stored updates this row in
-- the same transaction, and so holds its lock until the commit: the numbers of changes become visible in their order.
CREATE TABLE storage_usage (
    user_id uuid NOT NULL CONSTRAINT storage_usage_user_id_fkey REFERENCES users ON DELETE CASCADE,
    kind text NOT NULL CONSTRAINT storage_usage_kind_check CHECK (kind IN ('records', 'backups')),
    used_bytes bigint NOT NULL DEFAULT 0 CONSTRAINT storage_usage_used_bytes_check CHECK (used_bytes >= 0),
    reserved_bytes bigint NOT NULL DEFAULT 0 CONSTRAINT storage_usage_reserved_bytes_check CHECK (reserved_bytes >= 0),
    last_change bigint NOT NULL DEFAULT 0,
    CONSTRAINT storage_usage_pkey PRIMARY KEY (user_id, kind)
);

-- A blob that no row names: one whose upload is under way ('upload'), or one that has to go ('doomed'). Written before
-- the blob is. It outlives its user, so that the blobs of a deleted account are found.
CREATE TABLE storage_intents (
    id uuid CONSTRAINT storage_intents_pkey PRIMARY KEY,
    user_id uuid NOT NULL,
    kind text NOT NULL CONSTRAINT storage_intents_kind_check CHECK (kind IN ('records', 'backups')),
    state text NOT NULL CONSTRAINT storage_intents_state_check CHECK (state IN ('upload', 'doomed')),
    blob_key text NOT NULL CONSTRAINT storage_intents_blob_key_key UNIQUE,
    reserved_bytes bigint NOT NULL CONSTRAINT storage_intents_reserved_bytes_check CHECK (reserved_bytes >= 0),
    lease_until timestamptz NOT NULL, -- until then it is in the hands of whoever wrote it
    CONSTRAINT storage_intents_doomed_check CHECK (state = 'upload' OR reserved_bytes = 0)
);

CREATE INDEX storage_intents_lease_until_idx ON storage_intents (lease_until);
CREATE INDEX storage_intents_user_id_idx ON storage_intents (user_id);

-- The number of the record's last change, by which clients ask for what is new.
ALTER TABLE storage_records
    ADD COLUMN change bigint NOT NULL,
    ADD CONSTRAINT storage_records_change_key UNIQUE (user_id, change);

CREATE INDEX storage_records_newest_of_all_idx ON storage_records (user_id, created_at DESC, id);

-- Records that were deleted, for the devices that have not heard of it.
CREATE TABLE storage_tombstones (
    user_id uuid NOT NULL CONSTRAINT storage_tombstones_user_id_fkey REFERENCES users ON DELETE CASCADE,
    id uuid NOT NULL,
    table_name text NOT NULL,
    change bigint NOT NULL,
    deleted_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT storage_tombstones_pkey PRIMARY KEY (user_id, id),
    CONSTRAINT storage_tombstones_change_key UNIQUE (user_id, change)
);

-- What is left of deleted accounts outside this database, other than blobs: a line goes once it is gone there too.
CREATE TABLE account_remains (
    user_id uuid NOT NULL,
    place text NOT NULL CONSTRAINT account_remains_place_check CHECK (place ~ '^[a-z_]+$'),
    name text NOT NULL DEFAULT '', -- what the user is called there, if it is not the id
    deleted_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT account_remains_pkey PRIMARY KEY (user_id, place)
);
