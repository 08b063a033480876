"""Bytes on their way in: the intent, the lease and the reservation of an upload, of records and backups alike."""
