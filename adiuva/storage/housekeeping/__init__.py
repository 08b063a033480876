"""What puts bytes and rows in agreement again after a crash, and what looks whether they are."""
