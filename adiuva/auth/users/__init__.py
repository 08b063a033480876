"""What admins see of accounts and do to them, over HTTP and at the command line."""
