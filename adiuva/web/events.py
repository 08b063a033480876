"""Server-sent events on their way out."""

from aiohttp import hdrs, web

_HEADERS = {
    hdrs.CONTENT_TYPE: "text/event-stream; charset=utf-8",
    hdrs.CACHE_CONTROL: "no-cache",
    "X-Accel-Buffering": "no",  # nginx holds answers back otherwise
}


class EventStream:
    """One answer of events. Its status and headers go out with the first: until then it may become an error."""

    def __init__(self, request: web.Request) -> None:
        """``request`` is what it answers."""
        self._request = request
        self._response = web.StreamResponse(headers=_HEADERS)
        self.begun = False

    async def send(self, data: bytes) -> None:
        """Send one event; ``data`` has no line breaks, as JSON has none.

        Raises:
            ConnectionError: the client has gone.
        """
        if not self.begun:
            self.begun = True
            await self._response.prepare(self._request)
        await self._response.write(b"data: " + data + b"\n\n")

    async def end(self) -> web.StreamResponse:
        """The answer, whole."""
        await self._response.write_eof()
        return self._response
