"""What keeps an actor running: its mailbox, its workers, its start and its stop."""

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from itertools import count
from time import monotonic
from typing import Any, NoReturn

import structlog

from adiuva import clock
from adiuva.errors import AdiuvaError, DeadlineExceededError, GoingAwayError, OverloadedError, UnavailableError
from adiuva.runtime.actor import Actor, ActorContext
from adiuva.runtime.errors import HandlerCrashedError
from adiuva.runtime.mailbox import Mailbox
from adiuva.runtime.messages import Counters, State
from adiuva.runtime.request import Request
from adiuva.runtime.supervision import FATAL, pause_before, try_to_start
from adiuva.runtime.tracing import Tracing, traced

log = structlog.get_logger(__name__)


def _not_started() -> UnavailableError:
    return UnavailableError(retry_after=1)


class Cell:
    """One running actor.

    Worker tasks are made when there is more to do than workers are free, up to the actor's concurrency, and kept. A
    worker handles its messages inline, one after another. Cancelling a message is cancelling its worker's task; a
    worker that was cancelled, or whose handler left context variables behind, is not used again, so that no message can
    suffer from another.
    """

    def __init__(self, actor: Actor, *, patience: float, tracing: Tracing | None = None) -> None:
        self.actor = actor
        self.tracing = tracing
        self._receive = actor.receive if tracing is None else traced(actor, tracing)
        self.patience = patience  # seconds that a cancelled handler has to end
        self.loop = asyncio.get_running_loop()
        self.state: State = "starting"
        self.start_error: str | None = None  # the class of what the last start raised
        self._context = copy_context()
        self._mailbox: Mailbox[Request] = Mailbox()
        self._limit = actor.capacity + actor.concurrency
        self._running: set[Request] = set()
        self._workers: set[asyncio.Task[None]] = set()
        self._abandoned: set[asyncio.Task[None]] = set()  # the loop holds tasks weakly
        self._idle: list[asyncio.Future[None]] = []
        self._takes_children = True
        self._started = False
        self._stopper: asyncio.Task[None] | None = None
        self._quiet = asyncio.Event()
        self._received = self._handled = self._failed = self._refused = self._cancelled = self._expired = 0
        self._begun = 0
        self._starts_failed = 0
        self._wait_seconds = 0.0
        self._starter = self._spawn(self._start(), "start")

    @property
    def busy(self) -> bool:
        """Whether any message waits or is being handled."""
        return bool(self._running) or self._mailbox.size > 0

    def counters(self) -> Counters:
        """The counters as they are now."""
        return Counters(
            state=self.state,
            received=self._received,
            handled=self._handled,
            failed=self._failed,
            refused=self._refused,
            cancelled=self._cancelled,
            expired=self._expired,
            queued=self._mailbox.size,
            running=len(self._running),
            begun=self._begun,
            starts_failed=self._starts_failed,
            wait_seconds_total=self._wait_seconds,
        )

    # A message comes in, and leaves

    def submit(self, request: Request) -> None:
        """Queue ``request``; or raise, and it has never been here."""
        self._received += 1
        if self.state != "running":
            self._check_open(request)
        if self._mailbox.size + len(self._running) >= self._limit:
            self._refuse(OverloadedError(retry_after=1))
        deadline = request.envelope.deadline
        if deadline is not None and request.parent is None:  # a child is cancelled by its parent's
            left = deadline - clock.now().timestamp()
            if left <= 0:
                self._expired += 1
                raise DeadlineExceededError
            request.timer = self.loop.call_later(left, request.expire)
        request.queued_at = monotonic()
        self._mailbox.put(request.envelope.line, request)
        if self.state != "starting":
            self._wake()

    def _check_open(self, request: Request) -> None:
        if self.state == "starting":
            if self.start_error is not None:
                self._refuse(_not_started())
        elif self.state == "stopped" or request.parent is None or not self._takes_children:
            self._refuse(GoingAwayError())

    def _refuse(self, error: AdiuvaError) -> NoReturn:
        self._refused += 1
        raise error

    def withdraw(self, request: Request) -> None:
        """Take a request that still waits out of the mailbox."""
        self._mailbox.remove(request.envelope.line, request)

    def detach(self, request: Request) -> None:
        """Give the place of a handler that does not end to a new worker."""
        if (worker := request.worker) is not None:
            self._workers.discard(worker)
            self._abandoned.add(worker)
            worker.add_done_callback(self._abandoned.discard)
            if self._mailbox.size:
                self._wake()

    def settle(self, request: Request) -> None:
        """Count a request that has ended."""
        self._running.discard(request)
        if request.error is None:
            self._handled += 1
        elif request.reason is None:
            self._failed += 1
        elif isinstance(request.reason, DeadlineExceededError):
            self._expired += 1
        else:
            self._cancelled += 1
        if self.state == "stopping" and not self.busy:
            self._quiet.set()

    # Workers

    def _wake(self) -> None:
        """See to it that somebody takes the next message, if a worker is free or may be made."""
        while self._idle:
            waiter = self._idle.pop()
            if not waiter.done():
                waiter.set_result(None)
                return
        if len(self._workers) < self.actor.concurrency:
            self._workers.add(self._spawn(self._work(), "worker"))

    def _spawn(self, work: Coroutine[Any, Any, None], role: str) -> asyncio.Task[None]:
        return self.loop.create_task(work, name=f"{self.actor.name}:{role}", context=self._context.copy())

    async def _work(self) -> None:
        """Handle messages for as long as this task is as good as new."""
        task = asyncio.current_task()
        assert task is not None
        try:
            while self.state != "stopped":
                if (request := self._mailbox.take()) is not None:
                    await self._handle(request, task)
                    if task.cancelling() or task not in self._workers or copy_context() != self._context:
                        return
                    request = None  # an idle worker holds nobody's content
                if not self._mailbox.size:
                    waiter = self.loop.create_future()
                    self._idle.append(waiter)
                    await waiter
        finally:
            self._workers.discard(task)
            if self._mailbox.size and not self.loop.is_closed():
                self._wake()

    async def _handle(self, request: Request, task: asyncio.Task[None]) -> None:
        request.worker = task
        self._running.add(request)
        self._begun += 1
        self._wait_seconds += monotonic() - request.queued_at
        context = ActorContext(request)
        try:
            if request.told:
                value = await self._receive_told(context)
            else:
                value = await self._receive(request.envelope.payload, context)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the asker's
            request.end(error=error)
        except BaseException as error:
            request.end(error=HandlerCrashedError())
            if request.reason is None and not isinstance(error, FATAL):
                log.exception("handler crashed", actor=self.actor.name, message_id=request.envelope.id)
            if isinstance(error, (asyncio.CancelledError, *FATAL)):
                raise  # another worker takes the place of this one
        else:
            request.end(value=value)

    async def _receive_told(self, context: ActorContext) -> Any:
        try:
            return await self._receive(context.envelope.payload, context)
        except Exception as error:
            try:
                await self.actor.on_failure(context.envelope, error)
            except Exception:
                log.exception("on_failure raised", actor=self.actor.name)
            raise

    # Start and stop

    async def _start(self) -> None:
        """Call ``on_start`` until it succeeds, then let the workers at the mailbox."""
        for attempt in count(1):
            error = await try_to_start(self.actor)
            if error is None:
                break
            self._starts_failed += 1
            self.start_error = type(error).__name__
            pause = pause_before(attempt)
            log.error("actor failed to start", actor=self.actor.name, retry_in=pause, exc_info=error)
            self._empty_mailbox(_not_started)
            await asyncio.sleep(pause)
        self._started = True
        if self.state == "stopped":  # it took no notice of the stop, which took no more notice of it
            await self._stop_actor()
        elif self.state == "starting":
            self.state, self.start_error = "running", None
            for _ in range(min(self._mailbox.size, self.actor.concurrency)):
                self._wake()

    def _empty_mailbox(self, reason: Callable[[], AdiuvaError]) -> None:
        while (request := self._mailbox.take()) is not None:
            request.reason = reason()
            request.end()

    def close(self, *, takes_children: bool) -> None:
        """Take no new messages, but with ``takes_children`` those that running handlers of other actors send on."""
        self._takes_children = takes_children
        if self.state == "starting":
            self._starter.cancel()
            self.cut_off()
        elif self.state == "running":
            self.state = "stopping"

    async def quiet(self) -> None:
        """Wait until no message waits or is being handled."""
        while self.busy:
            self._quiet.clear()
            await self._quiet.wait()

    def cut_off(self) -> None:
        """Take nothing more, answer those who wait, cancel what runs."""
        if self.state != "stopped":
            self.state = "stopping"
        self._takes_children = False
        self._empty_mailbox(GoingAwayError)
        for request in tuple(self._running):
            request.cancel(GoingAwayError())

    async def finish(self) -> None:
        """After ``cut_off``: wait for the handlers to end, which they do within the patience, then stop the actor."""
        await asyncio.wait([self._starter], timeout=self.patience)
        for request in tuple(self._running):
            await request.until_ended()
        if self._started:
            await self._stop_actor()
        self.state = "stopped"
        while self._idle:
            waiter = self._idle.pop()
            if not waiter.done():
                waiter.set_result(None)
        if self._workers:
            await asyncio.wait(self._workers, timeout=self.patience)

    async def _stop_actor(self) -> None:
        if self._stopper is None:
            self._stopper = self._spawn(self._call_on_stop(), "stop")
        await asyncio.wait([self._stopper], timeout=self.patience)
        if self._stopper.cancel():
            log.warning("on_stop did not end in time", actor=self.actor.name)

    async def _call_on_stop(self) -> None:
        try:
            await self.actor.on_stop()
        except Exception:
            log.exception("on_stop raised", actor=self.actor.name)
