"""Names that users would confuse: by letters that look the same, or by one that is missing or wrong.

After Unicode's confusable detection (UTS 39, sections 4 and 5.1), with a table of our own: the letters of other scripts
that pass for Latin ones in a list of plugins.
"""

import re
import unicodedata
from functools import lru_cache
from typing import Final

SHORT: Final = 6  # characters; of shorter names one letter makes another word

# Greek, Cyrillic, Armenian, Cherokee; then Latin beyond ASCII. A capital may look like another letter than its small
# form does: the Greek letter nu is N and v.
# fmt: off
_CAPITALS: Final = str.maketrans(
    "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧ"
    "АВЕЅІЈКМНОРСТУХҮԌԚԜҺ"
    "ՕՍԼՏ"
    "ᎪᏴᏟᎠᎬᏀᎻᎥᎫᏦᏞᎷᏢᎡᏚᎢᏙᏔᎩᏃ",
    "abezhikmnoptyx" "abesijkmhopctyxygqwh" "ouls" "abcdeghijklmprstvwyz",
)
_SMALL: Final = str.maketrans(
    "αβγεηικμνορςτυχωϲ"
    "авгекмнопрстуфхьѕіјѡүһԁԛԝӏ"
    "օոսցհքզ"
    "ıɑɡɩɪʀʏʟɴøłđħŧßþæœ",
    "abyenikmvopctuxwc" "abrekmhonpctyoxbsijwyhdqwl" "onughpq" "iagiirylnoldhtbpao",
)
# fmt: on
# What is read as one and the same.
_SAME: Final = str.maketrans({"0": "o", "1": "l", "i": "l", "|": "l", "!": "l", "5": "s", "$": "s", "@": "a", "3": "e"})
_DIGITS: Final = re.compile(r"[0-9]+")
# Scripts that are written together (UTS 39, "highly restrictive").
_TOGETHER: Final = frozenset({"LATIN", "CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO"})


def are_alike(name: str, other: str) -> bool:
    """Whether users would confuse the two.

    They do where the names look the same, or differ by one letter that is missing, wrong or swapped with its neighbour.
    Two names that count (``Garden 1`` and ``Garden 2``) are told apart.
    """
    mine, others = _letters(name), _letters(other)
    if not mine or not others:
        return False
    if _outline(mine) == _outline(others):
        return True
    if min(len(mine), len(others)) < SHORT or abs(len(mine) - len(others)) > 1:
        return False
    numbers = _DIGITS.findall(mine), _DIGITS.findall(others)
    if all(numbers) and numbers[0] != numbers[1]:
        return False
    return _is_one_slip(_outline(mine), _outline(others))


def mixes_scripts(name: str) -> bool:
    """Whether ``name`` has letters of scripts that nobody writes together, such as Latin and Cyrillic."""
    scripts = {
        unicodedata.name(character, "").partition(" ")[0]
        for character in unicodedata.normalize("NFKC", name)
        if character.isalpha()
    }
    return len(scripts) > 1 and not scripts <= _TOGETHER


@lru_cache(maxsize=2**15)
def _letters(name: str) -> str:
    """The letters and digits of ``name`` in their plainest form."""
    text = unicodedata.normalize("NFKD", name).translate(_CAPITALS).casefold().translate(_SMALL)
    return "".join(character for character in text if character.isalnum() or character in "|!$@")


@lru_cache(maxsize=2**15)
def _outline(letters: str) -> str:
    return letters.translate(_SAME).replace("rn", "m").replace("vv", "w")


def _is_one_slip(left: str, right: str) -> bool:
    """Whether one insertion, deletion, substitution or swap of neighbours makes one of the other."""
    start = next((i for i, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right)))
    a, b = left[start:], right[start:]
    return a[1:] == b[1:] or a[1:] == b or a == b[1:] or (a[:2] == b[1::-1] and a[2:] == b[2:])
