"""Server-sent events, parsed as their bytes come in."""

from attrs import define, field

_LARGEST = 4 * 2**20


class SseTooLargeError(Exception):
    """An event grew over 4 MiB without coming to its end."""


@define
class SseParser:
    """Gives the data of each event that has come to its end. Types, ids and comments are of no interest here."""

    _rest: bytes = field(default=b"", init=False)  # a line that is not whole yet
    _data: list[bytes] = field(factory=list, init=False)  # of an event that is not whole yet
    _size: int = field(default=0, init=False)

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take in the next bytes, cut anywhere.

        Raises:
            SseTooLargeError: an event does not end.
        """
        lines = self._lines(chunk)
        events = []
        for line in lines:
            if not line:
                if self._data:
                    events.append(self._take())
            elif line.startswith(b"data:"):
                value = line[6:] if line.startswith(b"data: ") else line[5:]
                self._data.append(value)
                self._size += len(value) + 1  # empty lines take room as well
        if self._size + len(self._rest) > _LARGEST:
            raise SseTooLargeError
        return events

    def end(self) -> list[bytes]:
        """What is left when the bytes end: servers forget the last empty line."""
        return self.feed(b"\n\n") if self._rest or self._data else []

    def _lines(self, chunk: bytes) -> list[bytes]:
        text = self._rest + chunk
        if b"\r" in text:
            # A \r at the end may be half of \r\n: it waits for what comes next.
            held = b"\r" if text.endswith(b"\r") else b""
            text = text[: len(text) - len(held)].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        else:
            held = b""
        *lines, rest = text.split(b"\n")
        self._rest = rest + held
        return lines

    def _take(self) -> bytes:
        data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
        self._data.clear()
        self._size = 0
        return data
