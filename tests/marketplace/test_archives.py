"""Which archives are taken for packages; the whole road is in test_packages."""

import io
import os
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adiuva.marketplace.packages.archives import inspect
from adiuva.marketplace.packages.refusal import RefusedError
from tests.marketplace.packages import HOSTILE, archive

NAMES = st.text("abcdefgh_äé", min_size=1, max_size=8)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_is_refused(name: str) -> None:
    data = HOSTILE[name]()
    with pytest.raises(RefusedError) as refused:
        inspect(data)
    assert refused.value.errors[0][0] == "package"


def test_what_it_is_refused_for_is_said() -> None:
    for name, words in {
        "traversal": "leads out of", "a symbolic link": "no links", "a duplicate": "two entries of one name",
        "10,000 entries": "2000 entries", "a ratio over 50": "1/50", "an archive in it": "archives in it",
        "a lying size": "lies about its size", "an encrypted entry": "encrypted", "overlapping entries": "overlap",
        "two names": "contradicts", "compiled code": "compiled", "compiled code that begins late": "compiled",
    }.items():  # fmt: skip
        with pytest.raises(RefusedError) as refused:
            inspect(HOSTILE[name]())
        assert words in refused.value.errors[0][1]


@given(st.dictionaries(st.lists(NAMES, min_size=2, max_size=3).map("/".join), st.binary(max_size=300), min_size=1))
@settings(max_examples=50, deadline=None)
def test_an_ordinary_archive_is_taken(files: dict[str, bytes]) -> None:
    # Random bytes may begin like an archive: that they are refused is shown above.
    inspect(archive({f"{name}.py": b"#" + content for name, content in files.items()}))


def test_an_archive_is_taken_as_several_programs_make_it() -> None:
    class Unseekable(io.RawIOBase):
        """Then sizes come in a record behind each file."""

        def __init__(self) -> None:
            self.written = bytearray()

        def writable(self) -> bool:
            return True

        def write(self, data: bytes) -> int:  # type: ignore[override]
            self.written += data
            return len(data)

    stream = Unseekable()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("adiuva_garden/__init__.py", b"x = 1\n" * 100)
        zipped.writestr("adiuva_garden/empty.py", b"")
    inspect(stream.written)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as zipped:
        zipped.mkdir("adiuva_garden")
        zipped.writestr("adiuva_garden/__init__.py", os.urandom(200_000))
    inspect(buffer.getvalue())


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_an_archive_that_is_damaged_is_refused_or_sound_and_never_breaks_the_server(data: st.DataObject) -> None:
    whole = archive({"adiuva_garden/__init__.py": b"x = 1\n" * 30, "adiuva_garden/other.py": b"y = 2\n"})
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        inspect(damaged)
    except RefusedError:
        return
    with zipfile.ZipFile(io.BytesIO(damaged)) as taken:  # then other readers find it sound as well
        assert taken.testzip() is None
