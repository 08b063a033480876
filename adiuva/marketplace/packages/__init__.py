"""Packages of plugins: archives that are looked through before anybody may have them, and are never unpacked."""
