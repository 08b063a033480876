-- Versions and ratings of plugins, counters that the database keeps, and the log of what admins did.
-- depends: 0005.billing

-- 'withdrawn' by its author, or with the author's account; 'suspended' by an admin. Neither serves anybody.
ALTER TYPE plugin_status ADD VALUE 'withdrawn';
ALTER TYPE plugin_status ADD VALUE 'suspended';

-- What an author has submitted. The row in plugins shows the version that users get; one that was never approved shows
-- the last that was submitted. Versions rise, so the order of submission is the order of versions.
CREATE TABLE plugin_versions (
    plugin_id text NOT NULL CONSTRAINT plugin_versions_plugin_id_fkey REFERENCES plugins ON DELETE CASCADE,
    position integer NOT NULL,
    version text NOT NULL,
    name text NOT NULL,
    description text NOT NULL,
    category text NOT NULL,
    price_cents integer NOT NULL CONSTRAINT plugin_versions_price_cents_check CHECK (price_cents >= 0),
    permissions text[] NOT NULL,
    status text NOT NULL DEFAULT 'pending_review' CONSTRAINT plugin_versions_status_check CHECK (
        status IN ('pending_review', 'approved', 'rejected', 'withdrawn', 'superseded')
    ),
    submitted_at timestamptz NOT NULL DEFAULT now(),
    package_key text CONSTRAINT plugin_versions_package_key_key UNIQUE,
    package_checksum text CONSTRAINT plugin_versions_package_checksum_check CHECK (package_checksum ~ '^[0-9a-f]{64}$'),
    package_size_bytes bigint CONSTRAINT plugin_versions_package_size_bytes_check CHECK (package_size_bytes > 0),
    package_uploaded_at timestamptz,
    package_approved boolean NOT NULL DEFAULT false, -- false: it waits for an admin, and only its author may have it
    CONSTRAINT plugin_versions_pkey PRIMARY KEY (plugin_id, position),
    CONSTRAINT plugin_versions_version_key UNIQUE (plugin_id, version),
    CONSTRAINT plugin_versions_package_check CHECK (
        num_nulls(package_key, package_checksum, package_size_bytes, package_uploaded_at) IN (0, 4)
        AND (package_key IS NOT NULL OR NOT package_approved)
    )
);

CREATE UNIQUE INDEX plugin_versions_pending_key ON plugin_versions (plugin_id) WHERE status = 'pending_review';

INSERT INTO plugin_versions
    (plugin_id, position, version, name, description, category, price_cents, permissions, status, submitted_at)
SELECT id, 1, version, name, description, category, price_cents, permissions, status::text, created_at FROM plugins;

-- What waits for a review: new versions, and packages that came after their version was approved.
CREATE VIEW plugin_versions_waiting AS
SELECT
    version.plugin_id, version.position, version.version, version.name, version.description, version.category,
    version.price_cents, version.permissions, version.status, version.submitted_at, version.package_checksum,
    version.package_size_bytes
FROM plugin_versions AS version
JOIN plugins ON plugins.id = version.plugin_id
WHERE version.status = 'pending_review' OR (
    plugins.status = 'approved' AND version.status = 'approved'
    AND version.package_key IS NOT NULL AND NOT version.package_approved
);

-- What a plugin begins with is its first version.
CREATE FUNCTION insert_first_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO plugin_versions
        (plugin_id, position, version, name, description, category, price_cents, permissions, status)
    VALUES (
        NEW.id, 1, NEW.version, NEW.name, NEW.description, NEW.category, NEW.price_cents, NEW.permissions,
        CASE NEW.status::text WHEN 'suspended' THEN 'approved' ELSE NEW.status::text END
    );
    RETURN NULL;
END
$$;

CREATE TRIGGER plugins_first_version AFTER INSERT ON plugins
FOR EACH ROW EXECUTE FUNCTION insert_first_version();

-- Packages are kept as records and backups are: written down before their bytes come. They have no quota.
ALTER TABLE storage_usage
    DROP CONSTRAINT storage_usage_kind_check,
    ADD CONSTRAINT storage_usage_kind_check CHECK (kind IN ('records', 'backups', 'packages'));
ALTER TABLE storage_intents
    DROP CONSTRAINT storage_intents_kind_check,
    ADD CONSTRAINT storage_intents_kind_check CHECK (kind IN ('records', 'backups', 'packages'));

CREATE TABLE plugin_ratings (
    user_id uuid NOT NULL CONSTRAINT plugin_ratings_user_id_fkey REFERENCES users ON DELETE CASCADE,
    plugin_id text NOT NULL CONSTRAINT plugin_ratings_plugin_id_fkey REFERENCES plugins ON DELETE CASCADE,
    stars smallint NOT NULL CONSTRAINT plugin_ratings_stars_check CHECK (stars BETWEEN 1 AND 5),
    rated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT plugin_ratings_pkey PRIMARY KEY (user_id, plugin_id)
);

CREATE INDEX plugin_ratings_plugin_id_idx ON plugin_ratings (plugin_id);

ALTER TABLE plugins
    ADD COLUMN rating_sum bigint NOT NULL DEFAULT 0,
    ADD COLUMN rating_count integer NOT NULL DEFAULT 0,
    ADD CONSTRAINT plugins_rating_check CHECK (rating_count >= 0 AND rating_sum BETWEEN rating_count AND 5 * rating_count);

UPDATE plugins SET install_count = (SELECT count(*) FROM plugin_installations WHERE plugin_id = plugins.id);

-- Whoever changes the rows, the counters follow in the same transaction. Statements that do so lock the plugin first,
-- so that none waits for another in a circle.
CREATE FUNCTION count_plugin_installation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE plugins SET install_count = install_count + CASE TG_OP WHEN 'INSERT' THEN 1 ELSE -1 END
    WHERE id = coalesce(NEW.plugin_id, OLD.plugin_id);
    RETURN NULL;
END
$$;

CREATE TRIGGER plugin_installations_count AFTER INSERT OR DELETE ON plugin_installations
FOR EACH ROW EXECUTE FUNCTION count_plugin_installation();

CREATE FUNCTION count_plugin_rating() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE plugins SET
        rating_sum = rating_sum + coalesce(NEW.stars, 0) - coalesce(OLD.stars, 0),
        rating_count = rating_count + CASE TG_OP WHEN 'INSERT' THEN 1 WHEN 'DELETE' THEN -1 ELSE 0 END
    WHERE id = coalesce(NEW.plugin_id, OLD.plugin_id);
    RETURN NULL;
END
$$;

CREATE TRIGGER plugin_ratings_count AFTER INSERT OR DELETE OR UPDATE OF stars ON plugin_ratings
FOR EACH ROW EXECUTE FUNCTION count_plugin_rating();

-- Nobody looks after the plugins of an account that is gone, so they stop serving; the lines in the books stay.
CREATE FUNCTION withdraw_plugins_of_user() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM plugins WHERE author_id = OLD.id ORDER BY id FOR NO KEY UPDATE;
    INSERT INTO storage_intents (id, user_id, kind, state, blob_key, reserved_bytes, lease_until)
    SELECT gen_random_uuid(), OLD.id, 'packages', 'doomed', package_key, 0, now()
    FROM plugin_versions JOIN plugins ON plugins.id = plugin_versions.plugin_id
    WHERE plugins.author_id = OLD.id AND package_key IS NOT NULL;
    UPDATE plugin_versions SET
        status = CASE plugin_versions.status WHEN 'pending_review' THEN 'withdrawn' ELSE plugin_versions.status END,
        package_key = NULL, package_checksum = NULL, package_size_bytes = NULL, package_uploaded_at = NULL,
        package_approved = false
    FROM plugins
    WHERE plugins.author_id = OLD.id AND plugin_versions.plugin_id = plugins.id;
    UPDATE plugins SET status = 'withdrawn', updated_at = now() WHERE author_id = OLD.id;
    RETURN OLD;
END
$$;

CREATE TRIGGER users_withdraw_plugins BEFORE DELETE ON users
FOR EACH ROW EXECUTE FUNCTION withdraw_plugins_of_user();

-- Who did what, to what, and when. It outlives the accounts that it names, and can only grow.
CREATE TABLE audit_log (
    id uuid CONSTRAINT audit_log_pkey PRIMARY KEY,
    position bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT audit_log_position_key UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now(),
    actor_id uuid, -- null: whoever was at the command line
    actor text NOT NULL CONSTRAINT audit_log_actor_check CHECK (length(actor) BETWEEN 1 AND 320),
    action text NOT NULL CONSTRAINT audit_log_action_check CHECK (action ~ '^[a-z_]+\.[a-z_]+$'),
    target text NOT NULL,
    details jsonb NOT NULL DEFAULT '{}'
);

CREATE FUNCTION refuse_audit_log_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit_log can only grow' USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_log_change();
