"""The ids of plans: derived from what a plan is and whose it is, so that no node has to ask another about one.

An id is a UUID of version 8. Its first 60 free bits are five tags of 12 bits, each short for the template of one llm
step; the other 60 are a digest of the owner and all steps. The tags tell a node that never saw the plan which agents to
build it from again; the digest tells whether what it has built is that plan, and that user's.
"""

import hashlib
import re
from collections.abc import Iterable
from typing import Final

import orjson

from adiuva.chat.plans.models import Step, wire_step

MAX_TAGS: Final = 5
_NO_TAG: Final = "000"
_ID: Final = re.compile(r"([0-9a-f]{8})-([0-9a-f]{4})-8([0-9a-f]{3})-8[0-9a-f]{3}-[0-9a-f]{12}")


def plan_id(steps: Iterable[Step], owner: str) -> str:
    """The id of ``owner``'s plan of these steps: the same on every node, at any time."""
    structure = [wire_step(step) for step in steps]
    tags = "".join(tag(step["template_id"]) for step in structure if step["kind"] == "llm")[: 3 * MAX_TAGS]
    tags = tags.ljust(3 * MAX_TAGS, "0")
    digest = hashlib.sha256(orjson.dumps([owner, structure], option=orjson.OPT_SORT_KEYS)).hexdigest()
    return f"{tags[:8]}-{tags[8:12]}-8{tags[12:]}-8{digest[:3]}-{digest[3:15]}"


def tag(template_id: str) -> str:
    """Three hexadecimal digits that are short for a template; two templates may share one."""
    digits = hashlib.sha256(template_id.encode()).hexdigest()[:3]
    return "001" if digits == _NO_TAG else digits


def tags_in(text: str) -> list[str]:
    """The tags of the llm steps of the plan that has this id; empty where ``text`` is no such id."""
    found = _ID.fullmatch(text)
    if found is None:
        return []
    digits = "".join(found.groups())
    tags = [digits[at : at + 3] for at in range(0, 3 * MAX_TAGS, 3)]
    return tags[: tags.index(_NO_TAG)] if _NO_TAG in tags else tags
