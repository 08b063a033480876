"""What an archive has to be: a plain ZIP file (PKWARE, APPNOTE.TXT 6.3) such as a wheel, that all readers read alike.

Anything that two readers could take for different things is refused: a second file of the same name, a header that
contradicts the directory, bytes that belong to no file. The bytes of the files pass through memory in pieces.
"""

import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from typing import Final

from adiuva.marketplace.packages.names import HEAD_BYTES, check_file, check_names
from adiuva.marketplace.packages.refusal import RefusedError

MAX_ENTRIES: Final = 2000
MAX_DIRECTORY_BYTES: Final = 2**20
MAX_UNPACKED_BYTES: Final = 64 * 2**20
MAX_RATIO: Final = 50
RATIO_COUNTS_FROM: Final = 64 * 2**10  # bytes; what is smaller harms nobody, and empty lines shrink well

_END: Final = struct.Struct("<4s4H2LH")
_CENTRAL: Final = struct.Struct("<4s6H3L5H2L")
_LOCAL: Final = struct.Struct("<4s5H3L2H")
_LOCATOR_BYTES: Final = 20
_PIECE: Final = 64 * 2**10
_ENCRYPTED, _DESCRIPTOR, _PATCH, _STRONG, _UTF8, _MASKED = 0x1, 0x8, 0x20, 0x40, 0x800, 0x2000
_DESCRIPTOR_SIGNATURE: Final = b"PK\x07\x08"
_OTHER_NAMES: Final = 0x7075  # an extra field with a second name, which some readers prefer


def inspect(data: bytes | bytearray) -> None:
    """Look through a whole archive.

    Raises:
        RefusedError: it is none that may be kept; the message says why.
    """
    directory_at = _find_directory(data)
    entries = _read_directory(data)
    check_names([entry.orig_filename for entry in entries])
    for entry in entries:
        _check_entry(entry)
    _check_sizes(entries)
    for entry, start in _laid_out(data, entries, directory_at):
        _check_content(data, entry, start)


def _find_directory(data: bytes | bytearray) -> int:
    """Where the directory begins: it ends where the record of its end begins, and that one ends the archive."""
    at = len(data) - _END.size
    if at < 0 or data[at : at + 4] != b"PK\x05\x06":
        raise RefusedError("is no ZIP archive, or has something behind its end")
    _, disk, directory_disk, on_disk, count, size, offset, comment = _END.unpack_from(data, at)
    # A record of ZIP64 before this one could name another directory, which only some readers would follow.
    zip64 = data[max(at - _LOCATOR_BYTES, 0) : at].startswith(b"PK\x06\x07")
    if zip64 or (disk, directory_disk, comment) != (0, 0, 0) or on_disk != count:
        raise RefusedError("must be one plain ZIP file, without a comment")
    if count > MAX_ENTRIES or size > MAX_DIRECTORY_BYTES:
        raise RefusedError(f"must not have more than {MAX_ENTRIES} entries")
    if count == 0:
        raise RefusedError("is empty")
    if offset + size != at or not _is_directory(data, offset, at, count):
        raise RefusedError("has bytes that belong to no file")
    return int(offset)


def _is_directory(data: bytes | bytearray, at: int, end: int, count: int) -> bool:
    """Whether there are ``count`` records of entries from ``at`` to ``end`` and nothing else."""
    for _ in range(count):
        if at + _CENTRAL.size > end:
            return False
        signature, *_, name, extra, comment, _, _, _, _ = _CENTRAL.unpack_from(data, at)
        if signature != b"PK\x01\x02":
            return False
        at += _CENTRAL.size + name + extra + comment
    return at == end


def _read_directory(data: bytes | bytearray) -> list[zipfile.ZipInfo]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, struct.error, OverflowError) as error:
        raise RefusedError("is no valid ZIP archive") from error
    if len(entries) != _END.unpack_from(data, len(data) - _END.size)[4]:
        raise RefusedError("has another number of entries than it says")
    return entries


def _check_entry(entry: zipfile.ZipInfo) -> None:
    if entry.flag_bits & (_ENCRYPTED | _STRONG | _MASKED):
        raise RefusedError("must not have encrypted entries")
    if entry.flag_bits & _PATCH or entry.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise RefusedError("must have entries that are stored or deflated only")
    if not entry.orig_filename.isascii() and not entry.flag_bits & _UTF8:
        raise RefusedError("must have names in UTF-8")
    kind = stat.S_IFMT(entry.external_attr >> 16)  # 0 where the archive was made on a system without such
    if kind not in {0, stat.S_IFDIR if entry.is_dir() else stat.S_IFREG}:
        raise RefusedError("must have plain files and folders only, no links or devices")
    if entry.is_dir() and (entry.file_size or entry.compress_size > 2):
        raise RefusedError("has a folder with content")
    if any(field == _OTHER_NAMES for field in _extra_fields(entry.extra)):
        raise RefusedError("must not give its entries a second name")


def _extra_fields(extra: bytes | bytearray) -> Iterator[int]:
    while len(extra) >= 4:
        field, size = struct.unpack_from("<HH", extra)
        yield field
        extra = extra[4 + size :]


def _check_sizes(entries: Sequence[zipfile.ZipInfo]) -> None:
    if sum(entry.file_size for entry in entries) > MAX_UNPACKED_BYTES:
        raise RefusedError(f"must not have more than {MAX_UNPACKED_BYTES // 2**20} MiB when unpacked")
    for entry in entries:
        if entry.file_size > RATIO_COUNTS_FROM and entry.file_size > MAX_RATIO * entry.compress_size:
            raise RefusedError(f"must not have entries that are compressed to less than 1/{MAX_RATIO}")


def _laid_out(
    data: bytes | bytearray, entries: Sequence[zipfile.ZipInfo], directory_at: int
) -> Iterator[tuple[zipfile.ZipInfo, int]]:
    """Each entry and where its bytes begin. Together they fill the archive up to its directory, and none overlaps."""
    end = 0
    for entry in sorted(entries, key=lambda entry: entry.header_offset):
        if entry.header_offset != end:
            raise RefusedError("has entries that overlap, or bytes that belong to none")
        start = _read_local_header(data, entry)
        yield entry, start
        end = start + entry.compress_size
        if entry.flag_bits & _DESCRIPTOR:
            end += _descriptor_size(data, end, entry)
    if end != directory_at:
        raise RefusedError("has bytes that belong to no file")


def _read_local_header(data: bytes | bytearray, entry: zipfile.ZipInfo) -> int:
    """Where the bytes of an entry begin; its own header has to say what the directory says."""
    at = entry.header_offset
    if at + _LOCAL.size > len(data) or data[at : at + 4] != b"PK\x03\x04":
        raise RefusedError("has an entry without a header")
    _, _, flags, method, _, _, crc, packed, size, name_length, extra_length = _LOCAL.unpack_from(data, at)
    name_at = at + _LOCAL.size
    name = entry.orig_filename.encode("utf-8" if entry.flag_bits & _UTF8 else "cp437")
    extra = data[name_at + name_length : name_at + name_length + extra_length]
    told = (flags, method, data[name_at : name_at + name_length])
    if told != (entry.flag_bits, entry.compress_type, name) or _OTHER_NAMES in _extra_fields(extra):
        raise RefusedError("has an entry whose header contradicts the directory")
    if (crc, packed, size) not in _sizes_told(entry):
        raise RefusedError("has an entry that lies about its size")
    return int(name_at + name_length + extra_length)


def _sizes_told(entry: zipfile.ZipInfo) -> set[tuple[int, int, int]]:
    """What a header may say of checksum and sizes: it may leave them to the record behind the bytes."""
    whole = (entry.CRC, entry.compress_size, entry.file_size)
    return {whole, (0, 0, 0)} if entry.flag_bits & _DESCRIPTOR else {whole}


def _descriptor_size(data: bytes | bytearray, at: int, entry: zipfile.ZipInfo) -> int:
    record = struct.pack("<3L", entry.CRC, entry.compress_size, entry.file_size)
    for descriptor in (_DESCRIPTOR_SIGNATURE + record, record):
        if data[at : at + len(descriptor)] == descriptor:
            return len(descriptor)
    raise RefusedError("has an entry that lies about its size")


def _check_content(data: bytes | bytearray, entry: zipfile.ZipInfo, start: int) -> None:
    """Unpack an entry piece by piece, and see that it is what its header says and nothing that is refused."""
    packed = memoryview(data)[start : start + entry.compress_size]
    crc, size, head = 0, 0, bytearray()
    for piece in _unpacked(packed, entry):
        head += piece[: HEAD_BYTES - len(head)]  # the first piece may be a single byte
        size += len(piece)
        if size > entry.file_size:
            raise RefusedError("has an entry that lies about its size")
        crc = zlib.crc32(piece, crc)
    if (size, crc) != (entry.file_size, entry.CRC):
        raise RefusedError("has an entry that lies about its size or checksum")
    if not entry.is_dir():
        check_file(entry.orig_filename, bytes(head))


def _unpacked(packed: memoryview, entry: zipfile.ZipInfo) -> Iterator[bytes]:
    if entry.compress_type == zipfile.ZIP_STORED:
        for at in range(0, len(packed), _PIECE):
            yield bytes(packed[at : at + _PIECE])
        return
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        for at in range(0, len(packed), _PIECE):
            rest = bytes(packed[at : at + _PIECE])
            while rest and not inflater.eof:
                yield inflater.decompress(rest, _PIECE)
                rest = inflater.unconsumed_tail
            if inflater.eof and (inflater.unused_data or at + _PIECE < len(packed)):
                raise RefusedError("has an entry with bytes behind its end")
        while not inflater.eof:
            piece = inflater.decompress(b"", _PIECE)
            if not piece:
                raise RefusedError("has an entry that breaks off")
            yield piece
    except zlib.error as error:
        raise RefusedError("has an entry that cannot be unpacked") from error
