"""Where blobs are kept: one protocol, and two stores that pass one contract test, files and S3."""
