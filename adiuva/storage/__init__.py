"""Encrypted storage: records, their quota, and what keeps bytes and rows in agreement."""
