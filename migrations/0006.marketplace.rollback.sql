DROP TABLE audit_log;
DROP FUNCTION refuse_audit_log_change();
DROP TRIGGER users_withdraw_plugins ON users;
DROP FUNCTION withdraw_plugins_of_user();
DROP TABLE plugin_ratings;
DROP FUNCTION count_plugin_rating();
DROP TRIGGER plugin_installations_count ON plugin_installations;
DROP FUNCTION count_plugin_installation();
ALTER TABLE plugins DROP CONSTRAINT plugins_rating_check, DROP COLUMN rating_sum, DROP COLUMN rating_count;
DROP TRIGGER plugins_first_version ON plugins;
DROP FUNCTION insert_first_version();
DROP VIEW plugin_versions_waiting;
DROP TABLE plugin_versions;
-- What is left of packages in the blob store is then known to nobody, and housekeeping deletes it.
DELETE FROM storage_usage WHERE kind = 'packages';
DELETE FROM storage_intents WHERE kind = 'packages';
ALTER TABLE storage_usage
    DROP CONSTRAINT storage_usage_kind_check,
    ADD CONSTRAINT storage_usage_kind_check CHECK (kind IN ('records', 'backups'));
ALTER TABLE storage_intents
    DROP CONSTRAINT storage_intents_kind_check,
    ADD CONSTRAINT storage_intents_kind_check CHECK (kind IN ('records', 'backups'));
-- A value cannot be taken out of an enum: the type is made anew.
ALTER TYPE plugin_status RENAME TO plugin_status_with_more;
CREATE TYPE plugin_status AS ENUM ('pending_review', 'approved', 'rejected');
ALTER TABLE plugins ALTER COLUMN status DROP DEFAULT;
ALTER TABLE plugins ALTER COLUMN status TYPE plugin_status USING (
    CASE WHEN status::text IN ('withdrawn', 'suspended') THEN 'rejected' ELSE status::text END
)::plugin_status;
ALTER TABLE plugins ALTER COLUMN status SET DEFAULT 'pending_review';
DROP TYPE plugin_status_with_more;
