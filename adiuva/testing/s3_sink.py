"""An S3 for figures: takes and gives any number of bytes fast, and remembers of an object a MiB and its length.

``python -m adiuva.testing.s3_sink PORT``. What it gives repeats that MiB: right for bodies that do so, too.
"""

import asyncio
import sys

from aiohttp import web
from attrs import define, field

MIB = 2**20


@define
class Kept:
    """The beginning and the length of an object or a part."""

    beginning: bytearray = field(factory=bytearray)
    size: int = 0

    async def take(self, request: web.Request) -> None:
        """Read the body of ``request``."""
        async for chunk in request.content.iter_any():
            self.size += len(chunk)
            if len(self.beginning) < MIB:
                self.beginning += chunk[: MIB - len(self.beginning)]


@define
class Sink:
    """The handlers, and what they remember."""

    objects: dict[str, list[Kept]] = field(factory=dict)

    async def put(self, request: web.Request) -> web.Response:
        """An object, or a part of one."""
        kept = Kept()
        await kept.take(request)
        if number := request.query.get("partNumber"):
            parts = self.objects.setdefault(request.path + "?", [])
            parts[int(number) - 1 :] = [kept]
        else:
            self.objects[request.path] = [kept]
        return web.Response(headers={"ETag": '"tag"'})

    async def post(self, request: web.Request) -> web.Response:
        """Parts begin, or are complete."""
        result = "InitiateMultipartUploadResult" if "uploads" in request.query else "CompleteMultipartUploadResult"
        if "uploadId" in request.query:
            await request.read()
            self.objects[request.path] = self.objects.pop(request.path + "?")
        return web.Response(text=f"<{result}><UploadId>1</UploadId></{result}>", content_type="application/xml")

    async def get(self, request: web.Request) -> web.StreamResponse:
        """An object as a whole."""
        if request.path not in self.objects:
            return web.Response()
        parts = self.objects[request.path]
        answer = web.StreamResponse(headers={"ETag": '"tag"'})
        answer.content_length = left = sum(part.size for part in parts)
        block = bytes(parts[0].beginning)
        await answer.prepare(request)
        while left:
            await answer.write(block[:left])
            left -= min(left, len(block))
        return answer

    async def head(self, _: web.Request) -> web.Response:
        """The bucket is there."""
        return web.Response()

    async def delete(self, request: web.Request) -> web.Response:
        """Forget an object."""
        self.objects.pop(request.path, None)
        return web.Response(status=204)


async def serve(port: int) -> None:
    """Listen until the process ends."""
    sink, app = Sink(), web.Application(client_max_size=0)
    for method in ("put", "post", "get", "head", "delete"):
        app.router.add_route(method, "/{key:.*}", getattr(sink, method))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    import uvloop

    uvloop.run(serve(int(sys.argv[1])))
