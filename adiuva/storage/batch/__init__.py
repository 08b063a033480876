"""Many small records in one request and one transaction."""
