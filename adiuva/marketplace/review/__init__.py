"""What admins decide about plugins, over HTTP and at the command line."""
