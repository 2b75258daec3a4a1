"""What a file really is, by its first bytes: its name may say something else."""

from __future__ import annotations

import codecs
import re
from pathlib import Path
from typing import Final

from gift_core.errors import DataError

PARQUET: Final = ".parquet"
_MAGIC = b"PAR1"
_HEAD = 512
_PIECE = 2**16

_PACKED = "Unpack it, and give the data file in it."
_PROGRAM = "Give a file of rows: JSONL, JSON, CSV or Parquet."
_AS_UTF8 = "Save it as UTF-8 text."
# First bytes, what they begin, and what to do about it. UTF-32 comes before UTF-16, whose mark its own begins with.
_KINDS: tuple[tuple[bytes, str, str], ...] = (
    (b"\x1f\x8b", "a gzip archive", _PACKED),
    (b"PK\x03\x04", "a zip archive or an Excel workbook", "Unpack it, or save the sheet as CSV."),
    (b"PK\x05\x06", "an empty zip archive", _PACKED),
    (b"BZh", "a bzip2 archive", _PACKED),
    (b"\xfd7zXZ\x00", "an xz archive", _PACKED),
    (b"\x28\xb5\x2f\xfd", "a zstd archive", _PACKED),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", _PACKED),
    (b"Rar!\x1a\x07", "a RAR archive", _PACKED),
    (b"\x7fELF", "a program", _PROGRAM),
    (b"MZ\x90\x00", "a program", _PROGRAM),
    (b"\xcf\xfa\xed\xfe", "a program", _PROGRAM),
    (b"\xca\xfe\xba\xbe", "a program", _PROGRAM),
    (b"#!", "a script", _PROGRAM),
    (b"%PDF-", "a PDF document", _PROGRAM),
    (
        b"version https://git-lfs",
        "a Git LFS pointer to the data",
        "Fetch the data itself, for example with `git lfs pull`.",
    ),
    (b"SQLite format 3\x00", "an SQLite database", "Export the table as CSV."),
    (b"ARROW1\x00\x00", "an Arrow file", "Write it as Parquet or JSONL."),
    (b"\xff\xff\xff\xff", "an Arrow stream", "Write it as Parquet or JSONL."),
    (b"\xff\xfe\x00\x00", "UTF-32 text", _AS_UTF8),
    (b"\x00\x00\xfe\xff", "UTF-32 text", _AS_UTF8),
    (b"\xff\xfe", "UTF-16 text", _AS_UTF8),
    (b"\xfe\xff", "UTF-16 text", _AS_UTF8),
)
# Two characters of ASCII in UTF-16, where nothing marks it.
_BARE_UTF16 = re.compile(rb"[\t\n\r -~]\x00[\t\n\r -~]\x00|\x00[\t\n\r -~]\x00[\t\n\r -~]")


# A page that was saved in place of the file it links to, and JSON.
_PAGE = re.compile(rb"\s*<(!doctype|html)\b", re.IGNORECASE)
_JSON = re.compile(rb'\s*(\[\s*)?\{\s*"')


def require_kind(path: Path, suffix: str, field: str) -> None:
    """Raise a `DataError` about `field` where the content is not what a file with this suffix holds."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if not head:
        raise DataError("The file is empty.", field=field, remedy="Add at least one example.")
    if head.startswith(_MAGIC) != (suffix == PARQUET):
        raise _parquet_error(suffix, head, field)
    found = _kind_of(head)
    if found:
        what, remedy = found
        raise DataError(f"The file is {what}, though it is named {suffix}.", field=field, remedy=remedy)
    if suffix == ".csv" and _JSON.match(head.removeprefix(codecs.BOM_UTF8)):
        raise DataError("The file is JSON, though it is named .csv.", field=field, remedy="Name it .jsonl or .json.")


def require_text(path: Path) -> None:
    """Raise a `DataError` that names the first byte which is not UTF-8 text. Reads in pieces: lines may be endless."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    before, lines = 0, 1
    with path.open("rb") as file:
        while True:
            piece = file.read(_PIECE)
            # A character cut in two waits for its rest.
            waiting = decoder.getstate()[0]
            data = waiting + piece
            wrong = _first_wrong(decoder, piece, data)
            if wrong is not None:
                place, what = wrong
                line = lines + data.count(b"\n", 0, place)
                raise DataError(
                    f"Byte {before - len(waiting) + place + 1:,} of the file {what}.",
                    field=f"line {line}",
                    remedy="Save the file as UTF-8 text.",
                )
            if not piece:
                return
            before += len(piece)
            lines += piece.count(b"\n")


def _first_wrong(decoder: codecs.IncrementalDecoder, piece: bytes, data: bytes) -> tuple[int, str] | None:
    """Where `data`, which ends in the new `piece`, stops being text, and what stands there."""
    end, what = len(data), ""
    try:
        decoder.decode(piece, final=not piece)
    except UnicodeDecodeError as error:
        end, what = error.start, f"(0x{data[error.start]:02x}) is not UTF-8 text"
    nul = data.find(b"\0", 0, end)
    if nul >= 0:
        return nul, "is NUL, so this is not a text file"
    return (end, what) if what else None


def _kind_of(head: bytes) -> tuple[str, str] | None:
    for magic, what, remedy in _KINDS:
        if head.startswith(magic):
            return what, remedy
    if head[257:262] == b"ustar":
        return "a tar archive", _PACKED
    if _PAGE.match(head.removeprefix(codecs.BOM_UTF8)):
        return "a web page", "Download the file itself, not the page that shows it."
    if _BARE_UTF16.match(head):
        return "UTF-16 text", _AS_UTF8
    return None


def _parquet_error(suffix: str, head: bytes, field: str) -> DataError:
    if suffix != PARQUET:
        return DataError(
            f"The file is Parquet, though it is named {suffix}.",
            field=field,
            remedy="Name it with the ending .parquet.",
        )
    found = _kind_of(head)
    what = f"it is {found[0]}" if found else "it does not begin like one"
    return DataError(
        f"The file is not a Parquet file that can be read: {what}.",
        field=field,
        remedy=found[1] if found else "Write it again, or as JSONL.",
    )
