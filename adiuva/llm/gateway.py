"""The gateway: retries, fallbacks, timeouts and errors, the same for every lane to a provider."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from time import monotonic

import attrs
import stamina
import structlog
from attrs import define, field

from adiuva.llm.faults import ProviderFault
from adiuva.llm.lane import Lane, TurnBuilder
from adiuva.llm.protocol import ModelCall, ModelTurn, OnText, Usage
from adiuva.llm.reports import CallReport, OnReport, Outcome
from adiuva.llm.silence import SilenceLimit

log = structlog.get_logger(__name__)

LONGEST_RETRY_AFTER = 20.0
"""Seconds. A provider that asks for a longer pause is given up for this call, and the next fallback is asked."""


@define(kw_only=True, eq=False)
class Gateway:
    """A model behind lanes to providers.

    A call that fails for a passing reason (429, 5xx, connection) is retried with growing pauses, or after the pause
    that the provider asks for; then each fallback model is asked in turn. Nothing is retried once text was passed on,
    and a model that stays silent for ``timeout`` seconds is not asked twice.
    """

    lane_of: Callable[[str], Lane]  # the lane for a model's name
    fallback_models: Sequence[str] = ()
    timeout: float = 60.0  # seconds between two deltas when streaming, for the whole answer when not
    attempts: int = 3
    wait_initial: float = 0.5
    wait_max: float = 8.0
    on_report: OnReport | None = None  # told of every attempt
    _lanes: list[Lane] = field(factory=list, init=False)

    async def warm_up(self, model: str) -> None:
        """Get the lane of ``model`` ready, which otherwise its first call waits for."""
        await self._ready_lane(model)

    async def close(self) -> None:
        """Close the lanes' idle connections."""
        for lane in self._lanes:
            await lane.close()
        self._lanes.clear()

    async def run(self, call: ModelCall, on_text: OnText | None = None) -> ModelTurn:
        """Answer ``call``, as ``Model.run`` promises."""
        failed: tuple[ProviderFault, str] | None = None
        for model in dict.fromkeys((call.model, *self.fallback_models)):
            asked = call if model == call.model else attrs.evolve(call, model=model)
            attempt = _Attempt(call=asked, on_text=on_text, timeout=self.timeout)
            try:
                return await self._retried(attempt)
            except ProviderFault as fault:
                log.warning("model call failed", model=model, kind=fault.kind, status=fault.status, code=fault.code)
                if attempt.spoke:
                    failed = fault, model
                    break
                failed = failed or (fault, model)
        assert failed is not None
        # Raised outside of the except block: no traceback drags the provider's words along.
        raise failed[0].error(failed[1])

    async def _retried(self, attempt: "_Attempt") -> ModelTurn:
        lane = await self._ready_lane(attempt.call.model)
        failed: list[ProviderFault] = []
        try:
            return await self._reported(attempt, lane, retry=False)
        except ProviderFault as fault:
            failed.append(fault)

        def backoff(error: Exception) -> bool | float:
            if not isinstance(error, ProviderFault) or not error.passing or attempt.spoke:
                return False
            if error.retry_after is None:
                return True
            return error.retry_after <= LONGEST_RETRY_AFTER and max(error.retry_after, 0.01)

        # Only now, since setting this up takes as long as a third of a call: its first attempt is the one that failed.
        async for retry in stamina.retry_context(
            on=backoff,
            attempts=self.attempts,
            timeout=None,
            wait_initial=self.wait_initial,
            wait_max=self.wait_max,
            wait_jitter=self.wait_initial,
        ):
            with retry:
                if failed:
                    raise failed.pop()
                return await self._reported(attempt, lane, retry=True)
        raise AssertionError  # stamina gives the result or the last error

    async def _reported(self, attempt: "_Attempt", lane: Lane, *, retry: bool) -> ModelTurn:
        if self.on_report is None:
            return await attempt.run(lane)
        outcome: Outcome = "error"
        usage: Usage | None = None
        started = monotonic()
        try:
            turn = await attempt.run(lane)
            outcome, usage = "ok", turn.usage
        except ProviderFault as fault:
            outcome = fault.kind
            raise
        except asyncio.CancelledError:
            outcome = "cancelled"
            raise
        else:
            return turn
        finally:
            self.on_report(
                CallReport(
                    model=attempt.call.model,
                    lane=lane.name,
                    outcome=outcome,
                    retry=retry,
                    seconds=monotonic() - started,
                    first_text_seconds=attempt.spoke_at - started if attempt.spoke else None,
                    usage=usage,
                )
            )

    async def _ready_lane(self, model: str) -> Lane:
        lane = self.lane_of(model)
        if lane not in self._lanes:
            self._lanes.append(lane)
        await lane.start()
        return lane


@define(kw_only=True)
class _Attempt:
    call: ModelCall
    on_text: OnText | None
    timeout: float
    spoke: bool = False  # text was passed on: from here there is no way back
    spoke_at: float = 0.0  # monotonic

    async def run(self, lane: Lane) -> ModelTurn:
        builder = TurnBuilder(model=self.call.model)
        limit = SilenceLimit(self.timeout)
        fault: ProviderFault | None = None
        try:
            async with limit:
                if self.on_text is None:
                    builder.add(await lane.complete(self.call))
                else:
                    await self._stream(lane, builder, limit, self.on_text)
        except TimeoutError:
            if not limit.expired():
                raise  # the listener's own
            fault = ProviderFault("timeout")
        except ProviderFault as error:
            fault = error
        if builder.finished:  # what goes wrong after its end takes nothing from an answer
            return builder.turn()
        raise fault or ProviderFault("broken")

    async def _stream(self, lane: Lane, builder: TurnBuilder, limit: SilenceLimit, on_text: OnText) -> None:
        async with aclosing(lane.stream(self.call)) as deltas:
            async for delta in deltas:
                builder.add(delta)
                if delta.text:
                    if not self.spoke:
                        self.spoke, self.spoke_at = True, monotonic()
                    limit.paused = True  # a slow listener is no silent model
                    await on_text(delta.text)
                    limit.paused = False
                limit.heard()
