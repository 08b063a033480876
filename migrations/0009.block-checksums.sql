-- A checksum of each MiB of a blob, so that any part of it can be checked before it is sent: XXH3-128, 16 bytes a block,
-- one after the other. A small blob has none, since its SHA-256 is as good; nor has one that is older than this.
-- depends: 0008.check-reports

ALTER TABLE storage_records
    ADD COLUMN block_checksums bytea,
    ADD CONSTRAINT storage_records_block_checksums_check CHECK (
        octet_length(block_checksums) = 16 * ((size_bytes + 1048575) / 1048576)
    ),
    ALTER COLUMN block_checksums SET STORAGE EXTERNAL; -- what cannot be compressed is not tried to be

ALTER TABLE backup_metadata
    ADD COLUMN block_checksums bytea,
    ADD CONSTRAINT backup_metadata_block_checksums_check CHECK (
        octet_length(block_checksums) = 16 * ((size_bytes + 1048575) / 1048576)
    ),
    ALTER COLUMN block_checksums SET STORAGE EXTERNAL;
