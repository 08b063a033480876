"""Read tools that run at the client, on data which the server never had."""

import asyncio
from types import TracebackType
from typing import Any, Final, Self

from adiuva import clock
from adiuva.chat.messages import ToolCallRequested
from adiuva.runtime import ActorContext
from adiuva.sdk import Tool, ToolError

ANSWER_SECONDS: Final = 30.0


class ClientTools:
    """Asks the client of one request to run tools; several may be under way at once. An async context manager."""

    def __init__(self, ctx: ActorContext) -> None:
        """``ctx`` is the way to the client: calls go out as events, answers come in through its session."""
        self._ctx = ctx
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._reader: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Nothing to do until the first call."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop to listen."""
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.wait([self._reader])

    async def call(self, tool: Tool, arguments: dict[str, Any]) -> Any:
        """What the client answers, as it is.

        Raises:
            ToolArgumentsError: the arguments are not what the tool takes; the client is not asked.
            ToolError: the client did not answer in time, or with an error.
        """
        tool.check(arguments)
        request = ToolCallRequested(id=str(clock.new_id()), action=tool.name, params=arguments)
        answer = self._waiting[request.id] = asyncio.get_running_loop().create_future()
        if self._reader is None:
            self._reader = asyncio.create_task(self._read(), name="client tools")
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._ctx.emit(request)
                frame = await answer
        except TimeoutError:
            raise ToolError("The user's device did not answer in time.") from None
        finally:
            del self._waiting[request.id]
        if "error" in frame:
            raise ToolError(f"The user's device could not do that: {frame['error']}")
        return frame["result"]

    async def _read(self) -> None:
        while True:
            frame = await self._ctx.read()
            answer = self._waiting.get(frame["id"])  # one that is late is of no use any more
            if answer is not None and not answer.done():
                answer.set_result(frame)
