"""The aiohttp plumbing that all domains share."""
