"""Calls to one bucket: aiobotocore's client, made when it is first needed, and the direct lane beside it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from functools import cache
from typing import Any, Final

import aiohttp
import structlog
from attrs import define, field, frozen

from adiuva.blobs.s3_lane import DirectLane
from adiuva.errors import BlobStoreUnavailableError

log = structlog.get_logger(__name__)

_RETRY_SECONDS: Final = 5.0
_ATTEMPTS: Final = 3
_CONNECT_SECONDS: Final = 3.0


@frozen(kw_only=True)
class Bucket:
    """Which bucket, and where; empty texts are left to AWS's own variables and files."""

    name: str
    region: str = ""
    endpoint_url: str = ""
    create: bool = False  # when it is missing

    @property
    def path_style(self) -> bool:
        """Whether its name is no part of the host's: MinIO and its like, or a dot that no certificate covers."""
        return bool(self.endpoint_url) or "." in self.name


@frozen(kw_only=True)
class _Opened:
    client: Any
    lane: DirectLane | None


@define(kw_only=True)
class Calls:
    """Calls to ``bucket``, of which each ends within ``patience`` seconds."""

    bucket: Bucket
    patience: float
    _opened: _Opened | None = field(default=None, init=False)
    _opening: asyncio.Lock = field(factory=asyncio.Lock, init=False)
    _resources: AsyncExitStack = field(factory=AsyncExitStack, init=False)

    async def call(self, operation: str, /, **params: Any) -> Any:
        """What ``operation`` (``put_object``) of aiobotocore's client answers.

        Raises:
            botocore.exceptions.ClientError: S3 refuses.
        """
        client = (await self._open()).client
        return await getattr(client, operation)(Bucket=self.bucket.name, **params)

    async def direct(self, method: str, key: str, **request: Any) -> aiohttp.ClientResponse | None:
        """See ``DirectLane.request``; nothing where there is no such lane."""
        lane = (await self._open()).lane
        return await lane.request(method, key, **request) if lane else None

    @asynccontextmanager
    async def guarded(self, operation: str) -> AsyncIterator[None]:
        """Around calls: a limit of time, and failures as in ``translated``."""
        with self.translated(operation):
            async with asyncio.timeout(self.patience):
                yield

    @contextmanager
    def translated(self, operation: str) -> Iterator[None]:
        """Any failure as a ``BlobStoreUnavailableError``, with a line in the log."""
        try:
            yield
        except (aiohttp.ClientError, OSError) as error:
            raise self._unavailable(operation, error) from error
        except Exception as error:
            from botocore.exceptions import BotoCoreError, ClientError

            if not isinstance(error, BotoCoreError | ClientError):
                raise
            raise self._unavailable(operation, error) from error

    def _unavailable(self, operation: str, error: Exception) -> BlobStoreUnavailableError:
        log.warning("the blob store failed", bucket=self.bucket.name, operation=operation, reason=_reason(error))
        return BlobStoreUnavailableError(retry_after=_RETRY_SECONDS)

    async def close(self) -> None:
        """Close all connections."""
        await self._resources.aclose()

    async def _open(self) -> _Opened:
        if self._opened is None:
            async with self._opening:
                if self._opened is None:
                    async with AsyncExitStack() as resources:
                        self._opened = await self._connect(resources)
                        self._resources = resources.pop_all()
        return self._opened

    async def _connect(self, resources: AsyncExitStack) -> _Opened:
        session, config = await asyncio.to_thread(_session, self.patience / 2)
        client = await resources.enter_async_context(
            session.create_client(
                "s3",
                region_name=self.bucket.region or (None if session.get_config_variable("region") else "us-east-1"),
                endpoint_url=self.bucket.endpoint_url or None,
                # Without TLS there is nothing to verify, and no need to load a hundred certificates.
                verify=False if self.bucket.endpoint_url.startswith("http://") else None,
                config=config(path_style=self.bucket.path_style),
            )
        )
        if self.bucket.create:
            await _create_missing(client, self.bucket.name)
        timeout = aiohttp.ClientTimeout(sock_connect=_CONNECT_SECONDS, sock_read=self.patience / 2)
        lane = await DirectLane.open(session, client, self.bucket.name, timeout)
        if lane:
            resources.push_async_callback(lane.close)
        return _Opened(client=client, lane=lane)


def _session(read_seconds: float) -> tuple[Any, Any]:
    """The session and how to configure a client; imports take a moment, so this runs in a thread."""
    from aiobotocore.config import AioConfig
    from aiobotocore.session import get_session

    def config(*, path_style: bool) -> Any:
        return AioConfig(
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=read_seconds,
            retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
            max_pool_connections=0,  # no limit: slow readers would use it up
            # Bodies have a checksum of their own; a second one would cost as much again.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            s3={"payload_signing_enabled": False, "addressing_style": "path" if path_style else "virtual"},
            warm_up_loader_caches=True,
        )

    session = get_session()
    session.register_component("data_loader", _loader())
    return session, config


@cache
def _loader() -> Any:
    """What botocore knows of S3, read once for all clients of this process; it takes a fifth of a second."""
    from botocore.loaders import create_loader

    return create_loader()


async def _create_missing(client: Any, bucket: str) -> None:
    from botocore.exceptions import ClientError

    try:
        await client.head_bucket(Bucket=bucket)
    except ClientError as error:
        if status_of(error) != 404:
            raise
        region = client.meta.region_name
        where = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        try:
            await client.create_bucket(Bucket=bucket, **where)
        except client.exceptions.BucketAlreadyOwnedByYou:  # by another process, just now
            return
        log.info("the bucket was missing, and has been created", bucket=bucket)


def status_of(error: Any) -> int:
    """The HTTP status of a botocore ``ClientError``."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _reason(error: Exception) -> str:
    """A few words that hold neither address nor signature."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        return f"{response.get('Error', {}).get('Code', '')} {status_of(error)}"
    return type(error).__name__
