"""What has changed since a device last asked, and a word to it when something has."""
