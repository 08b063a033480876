DROP TABLE account_remains;
DROP TABLE storage_tombstones;
DROP INDEX storage_records_newest_of_all_idx;
ALTER TABLE storage_records
    DROP CONSTRAINT storage_records_change_key,
    DROP COLUMN change;
DROP TABLE storage_intents;
DROP TABLE storage_usage;
