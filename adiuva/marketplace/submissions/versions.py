"""Versions of plugins, by Semantic Versioning 2.0.0 (https://semver.org)."""

import re
from typing import Final

VERSION: Final = (
    r"(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)"
    r"(?:-((?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)(?:\.(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*))*))?"
    r"(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?"
)

Precedence = tuple[int, int, int, bool, tuple[tuple[bool, int, str], ...]]


def precedence(version: str) -> Precedence:
    """What versions are compared by (section 11): a pre-release comes before its release, build data counts nothing.

    Raises:
        ValueError: ``version`` is none.
    """
    match = re.fullmatch(VERSION, version)
    if match is None:
        raise ValueError(f"no semantic version: {version!r}")
    major, minor, patch, pre_release = match.groups()
    identifiers = tuple(
        (False, int(part), "") if part.isdigit() else (True, 0, part) for part in (pre_release or "").split(".") if part
    )
    return int(major), int(minor), int(patch), pre_release is None, identifiers


def is_above(version: str, other: str) -> bool:
    """Whether ``version`` comes after ``other``; anything comes after what is no version."""
    try:
        return precedence(version) > precedence(other)
    except ValueError:
        return True
