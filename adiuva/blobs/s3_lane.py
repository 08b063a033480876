"""The direct lane to S3: a signed request over aiohttp, without the millisecond that aiobotocore takes for a call.

It knows plain success only. For anything else the caller turns to aiobotocore, which retries, follows a bucket to its
region, and tells errors apart.
"""

import asyncio
import ssl
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from typing import Any, Final, Self
from urllib.parse import urlencode, urlsplit

import aiohttp
from aiohttp import hdrs
from attrs import define, field
from yarl import URL

from adiuva import proxies
from adiuva.blobs.chunks import Body

UNSIGNED: Final = "UNSIGNED-PAYLOAD"
_SUCCESS: Final = {200, 204, 206}


@define(kw_only=True)
class DirectLane:
    """Requests for objects below ``base``, the bucket's own address."""

    base: str
    region: str
    credentials: Any
    http: aiohttp.ClientSession
    _usual: Mapping[str, str] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._usual = {"Accept-Encoding": "identity", "Host": urlsplit(self.base).netloc}

    @classmethod
    async def open(cls, session: Any, client: Any, bucket: str, limits: aiohttp.ClientTimeout) -> Self | None:
        """The lane to where ``client`` would go; none where requests go unsigned."""
        credentials = await session.get_credentials()
        if credentials is None:
            return None
        # The address as botocore finds it: endpoint, path style or not, partition.
        address = await client.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"})
        base = address.partition("?")[0].removesuffix("k")
        ca_bundle = session.get_config_variable("ca_bundle")
        tls = await asyncio.to_thread(_tls, ca_bundle) if base.startswith("https:") else True
        http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=tls),
            timeout=limits,
            auto_decompress=False,
            skip_auto_headers={hdrs.CONTENT_TYPE, hdrs.ACCEPT_ENCODING},
            trust_env=proxies.in_use(),
        )
        return cls(base=base, region=client.meta.region_name, credentials=credentials, http=http)

    async def request(
        self,
        method: str,
        key: str,
        *,
        query: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
        sha256: str = UNSIGNED,
    ) -> aiohttp.ClientResponse | None:
        """The answer, still to be read and released, if it is success; with ``sha256`` S3 checks the body it gets."""
        from botocore.awsrequest import AWSRequest

        url = self.base + key + (f"?{urlencode(query)}" if query else "")
        request = AWSRequest(method=method, url=url, headers={**self._usual, **(headers or {})})
        request.context["payload_sha256"] = sha256
        credentials = await self.credentials.get_frozen_credentials()
        _signer()(credentials, "s3", self.region).add_auth(request)
        signed = dict(request.headers.items())
        data: Any = None
        if body is not None:
            signed[hdrs.CONTENT_LENGTH] = str(len(body))
            data = body.pieces[0] if len(body.pieces) == 1 else body
        with suppress(aiohttp.ClientError, TimeoutError, OSError):
            answer = await self.http.request(
                method, URL(url, encoded=True), headers=signed, data=data, allow_redirects=False
            )
            if answer.status in _SUCCESS:
                return answer
            answer.close()
        return None

    async def close(self) -> None:
        """Close the connections."""
        await self.http.close()


def _tls(ca_bundle: str | None) -> ssl.SSLContext:
    from botocore.httpsession import get_cert_path

    return ssl.create_default_context(cafile=ca_bundle or get_cert_path(verify=True))


@cache
def _signer() -> Any:
    from botocore.auth import S3SigV4Auth

    class Signer(S3SigV4Auth):  # type: ignore[misc]
        """Signs with the checksum that is known already, instead of taking it once more."""

        def payload(self, request: Any) -> Any:
            return request.context["payload_sha256"]

    return Signer
