"""Unpacking an export that may come from anybody: every member verified, nothing but plain files of an archive."""

from __future__ import annotations

import gzip
import hashlib
import json
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from forecast.data.store import MANIFEST, OBSERVATIONS, RAW
from forecast.errors import DataError

CONTENTS = "contents.json"
FORMAT = "forecast archive 1"

_CHUNK = 2**20
# No series comes near these; an export that does is no export.
_LARGEST_MEMBER, _LARGEST_EXPORT, _MOST_MEMBERS = 2**28, 2**33, 2**18

type Contents = Mapping[str, tuple[int, str]]  # member -> size and SHA-256


class _NoExportError(DataError):
    """Why a file is no export; the name of the file is added where it is known."""


class _Bounded:
    """A stream that gives no more than an export may hold, and not much at once, whatever a header asks for."""

    def __init__(self, stream: IO[bytes] | gzip.GzipFile) -> None:
        self._stream = stream

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _CHUNK or self._stream.tell() > _LARGEST_EXPORT:
            raise _NoExportError("it unpacks to more than an export holds")
        return self._stream.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()


def unpack(file: Path, folder: Path) -> None:
    """Unpack an export, every member of it verified.

    Raises
    ------
    DataError : it is no export, or a member is missing, repeated, too large, changed, or no plain file of an archive
    """
    try:
        with _opened(file) as (tar, stream):
            _unpack(tar, folder)
            while rest := stream.read(_CHUNK):
                # Reading to the end also lets gzip compare its checksum.
                _demand(not rest.strip(b"\0"), "something follows its end")
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise DataError(f"{file.name}: damaged, or no export of an archive ({error}). Nothing was imported.") from error
    except _NoExportError as error:
        raise DataError(f"{file.name}: {error}. Nothing was imported.") from error


def _demand(fine: object, otherwise: str) -> None:
    if not fine:
        raise _NoExportError(otherwise)


@contextmanager
def _opened(file: Path) -> Iterator[tuple[tarfile.TarFile, _Bounded]]:
    with file.open("rb") as raw:
        compressed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        stream = _Bounded(gzip.GzipFile(fileobj=raw, mode="rb") if compressed else raw)
        with tarfile.open(fileobj=stream, mode="r:") as tar:  # type: ignore[call-overload]  # it needs no more than this
            yield tar, stream


def _unpack(tar: tarfile.TarFile, folder: Path) -> None:
    contents: Contents = {}
    seen: set[str] = set()
    for member in tar:
        name = member.name
        shown = repr(name[:80])
        _demand(member.isreg() and not member.issparse(), f"{shown} is no plain file")
        _demand(
            name not in seen and len(seen) <= _MOST_MEMBERS, f"{shown} is there twice, or there are too many members"
        )
        seen.add(name)
        if not contents:
            contents = _contents(tar, member)
            continue
        _demand(name in contents, f"{shown} is not in its {CONTENTS}")
        size, digest = contents[name]
        _demand(member.size == size, f"{shown} has {member.size} bytes instead of {size}")
        _demand(_copied(tar, member, folder / name) == digest, f"{shown} has been changed: its SHA-256 is another")
    _demand(contents, f"it does not begin with {CONTENTS}")
    missing = sorted(contents.keys() - seen)
    _demand(not missing, f"{len(missing)} members are missing, such as {missing[:1]}")


def _contents(tar: tarfile.TarFile, member: tarfile.TarInfo) -> Contents:
    _demand(member.name == CONTENTS, f"it does not begin with {CONTENTS}")
    _demand(member.size <= _LARGEST_MEMBER, f"its {CONTENTS} is too large")
    try:
        document = json.loads(b"".join(_chunks(tar, member)))
        _demand(document["format"] == FORMAT, f"its format is {str(document['format'])[:40]!r}, not {FORMAT!r}")
        contents = {str(name): (int(is_["size"]), str(is_["sha256"])) for name, is_ in document["members"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _NoExportError(f"its {CONTENTS} cannot be read") from error
    for name, (size, digest) in contents.items():
        shown = repr(name[:80])
        _demand(
            name == MANIFEST or RAW.fullmatch(name) or OBSERVATIONS.fullmatch(name), f"{shown} is no file of an archive"
        )
        _demand(0 <= size <= _LARGEST_MEMBER, f"{shown} is too large")
        _demand(not RAW.fullmatch(name) or name == f"raw/{digest}", f"{shown} is not named after its SHA-256")
    _demand(MANIFEST in contents, f"it has no {MANIFEST}")
    _demand(sum(size for size, _ in contents.values()) <= _LARGEST_EXPORT, "it is too large")
    return contents


def _copied(tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> str:
    """SHA-256 of a member, written to a file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with target.open("xb") as file:
        for chunk in _chunks(tar, member):
            digest.update(chunk)
            file.write(chunk)
    return digest.hexdigest()


def _chunks(tar: tarfile.TarFile, member: tarfile.TarInfo) -> Iterator[bytes]:
    source = tar.extractfile(member)
    _demand(source is not None, f"{member.name[:80]!r} is no plain file")
    while source is not None and (chunk := source.read(_CHUNK)):
        yield chunk
