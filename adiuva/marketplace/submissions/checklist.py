"""The security checklist: what no manifest may have. What its fields have to be stands on `Submission`."""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Final

from adiuva.errors import ValidationFailedError
from adiuva.marketplace.models import Known, Submission
from adiuva.marketplace.submissions.likeness import are_alike, mixes_scripts

MAX_BASE64_RUN: Final = 1024  # characters

# The API has calls of these names where a plugin's id would stand.
RESERVED_IDS: Final = frozenset({"earnings", "installed", "mine", "pending"})
# RFC 2397: a media type, a parameter or the data follows at once.
_DATA_URL: Final = re.compile(r"\bdata:(?:[\w.+-]+/[\w.+*-]+|;|,)", re.IGNORECASE)
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")
_SHORTEST_LINE: Final = 24  # of base64 that is broken into lines; longer than most words
# These turn the direction of writing, so that a text is not what is shown: Unicode Standard Annex 9.
_DIRECTIONS: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

Finding = tuple[str, str]
"""A field of the manifest, and what is wrong with it."""


def check(submission: Submission, known: Iterable[Known]) -> None:
    """Hold a manifest against the checklist; ``known`` are the approved plugins of other authors.

    Raises:
        ValidationFailedError: with everything that was found.
    """
    findings = [*_of_the_id(submission.id), *_of_the_name(submission.name)]
    findings += [("description", fault) for fault in _of_a_text(submission.description)]
    findings += _of_the_permissions(submission)
    findings += confusions(submission.id, submission.name, known)
    if findings:
        raise ValidationFailedError(findings, "The manifest does not pass the security checklist.")


def confusions(plugin_id: str, name: str, known: Iterable[Known]) -> Iterator[Finding]:
    """For the id and the name: the first plugin among ``known`` that users would take for this one."""
    others = [other for other in known if other.id != plugin_id]
    for field, text in (("id", plugin_id), ("name", name)):
        for other in others:
            if are_alike(text, other.id) or are_alike(text, other.name):
                yield field, f"is confusingly like that of the plugin {other.id}"
                break


def _of_the_id(plugin_id: str) -> Iterator[Finding]:
    if plugin_id in RESERVED_IDS:
        yield "id", "is reserved"


def _of_the_name(name: str) -> Iterator[Finding]:
    if not name.isprintable():
        yield "name", "must not have control, line or invisible characters"
    if name != name.strip():
        yield "name", "must not begin or end with a space"
    if not any(character.isalnum() for character in name):
        yield "name", "must have a letter or a digit"
    if unicodedata.normalize("NFC", name) != name:
        yield "name", "must be in Unicode's normal form C"
    if mixes_scripts(name):
        yield "name", "must not mix the letters of several alphabets"
    if _DATA_URL.search(name):
        yield "name", "must not have a data: URL"


def _of_a_text(text: str) -> Iterator[str]:
    if any(unicodedata.category(character) == "Cc" and character not in "\n\t" for character in text):
        yield "must not have control characters other than newline and tab"
    if not _DIRECTIONS.isdisjoint(text):
        yield "must not have characters that turn the direction of writing"
    if _DATA_URL.search(text):
        yield "must not have a data: URL"
    if _longest_base64(text) > MAX_BASE64_RUN:
        yield f"must not have binary data: there is a run of base64 over {MAX_BASE64_RUN} characters"


def _longest_base64(text: str) -> int:
    """The characters of the longest run of base64, in one piece or broken into lines."""
    longest = run = 0
    for word in text.split():
        is_line = len(word) >= _SHORTEST_LINE and _BASE64.fullmatch(word)
        run = run + len(word) if is_line else 0
        longest = max(longest, run, *(len(match) for match in _BASE64.findall(word)))
    return longest


def _of_the_permissions(submission: Submission) -> Iterator[Finding]:
    seen = set()
    for index, permission in enumerate(submission.permissions):
        if permission in seen:
            yield f"permissions[{index}]", "is there twice"
        seen.add(permission)
