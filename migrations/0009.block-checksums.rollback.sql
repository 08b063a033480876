ALTER TABLE backup_metadata DROP COLUMN block_checksums;
ALTER TABLE storage_records DROP COLUMN block_checksums;
