"""Proxies for what the server calls."""

from urllib.request import getproxies


def in_use() -> bool:
    """Whether the environment names a proxy, which aiohttp's ``trust_env`` then looks up for each call.

    That takes longer than the call itself; ``NO_PROXY`` alone, which many machines have, names none.
    """
    return bool(getproxies().keys() - {"no"})
