"""What storage puts into the application."""

from aiohttp import web

from adiuva.blobs.protocol import BlobStore
from adiuva.storage.uploads.service import Uploads

BLOBS: web.AppKey[BlobStore] = web.AppKey("blobs")
UPLOADS = web.AppKey("uploads", Uploads)
