"""Small files that take a great deal of memory once they are read."""

from __future__ import annotations

from pathlib import Path

import pyarrow
from pyarrow import parquet

# As long as a text may be, and repeated for nothing.
LONG = 3_999_000


def _repeated(text: str, count: int) -> pyarrow.Array:
    return pyarrow.DictionaryArray.from_arrays(pyarrow.array([0] * count, pyarrow.int32()), pyarrow.array([text]))


def _written(path: Path, columns: dict[str, pyarrow.Array], **options: object) -> Path:
    given = {"compression": "gzip", "dictionary_pagesize_limit": 2**30, "write_statistics": False} | options
    parquet.write_table(pyarrow.table(columns), path, **given)
    return path


def repeated_text(path: Path, rows: int, characters: int = LONG) -> Path:
    """One long prompt, which a dictionary holds once, in each row."""
    return _written(path, {"prompt": _repeated("a" * characters, rows), "response": _repeated("b", rows)})


def repeated_in_lists(path: Path, rows: int, each: int) -> Path:
    """Lists of one long text, beside a prompt and a response."""
    starts = pyarrow.array(range(0, rows * each + 1, each), pyarrow.int32())
    lists = pyarrow.ListArray.from_arrays(starts, _repeated("a" * LONG, rows * each))
    return _written(path, {"prompt": _repeated("p", rows), "response": _repeated("r", rows), "beside": lists})


def continued_text(path: Path, rows: int) -> Path:
    """A long prompt in each row, of which each says that it is the one before it."""
    columns = {"prompt": pyarrow.array(["a" * LONG] * rows), "response": _repeated("b", rows)}
    encodings = {"prompt": "DELTA_BYTE_ARRAY"}
    return _written(path, columns, use_dictionary=["response"], column_encoding=encodings)


def packed_pages(path: Path, rows: int) -> Path:
    """Different long prompts, which gzip packs into nearly nothing."""
    prompts = pyarrow.array([f"{row:09}" + "a" * (LONG - 9) for row in range(rows)])
    return _written(path, {"prompt": prompts, "response": _repeated("b", rows)}, use_dictionary=["response"])


def wide_values(path: Path, rows: int) -> Path:
    """One long value of a fixed width in each row, which cannot be read as a dictionary."""
    values = pyarrow.array([b"a" * LONG] * rows, pyarrow.binary(LONG))
    columns = {"prompt": _repeated("p", rows), "response": _repeated("r", rows), "beside": values}
    return _written(path, columns)


def empty_lists(path: Path, rows: int, each: int) -> Path:
    """Lists of empty lists, each of which takes two bytes of JSON and a few bits of Parquet."""
    row = "[" + "[]," * (each - 1) + "[]]"
    if path.suffix == ".parquet":
        inner = pyarrow.ListArray.from_arrays(
            pyarrow.array([0] * (rows * each + 1), pyarrow.int32()), pyarrow.array([0])
        )
        starts = pyarrow.array(range(0, rows * each + 1, each), pyarrow.int32())
        lists = pyarrow.ListArray.from_arrays(starts, inner)
        return _written(path, {"prompt": _repeated("p", rows), "response": _repeated("r", rows), "beside": lists})
    if path.suffix == ".csv":
        lines = ["messages", *(f'"{row}"' for _ in range(rows))]
        path.write_text("\n".join(lines))
    elif path.suffix == ".json":
        path.write_text(f"[{','.join([row] * rows)}]")
    else:
        path.write_text("\n".join([row] * rows))
    return path


def many_cells(path: Path, cells: int) -> Path:
    """One record, each of whose cells goes on in the next line."""
    path.write_text("prompt,response\n" + '"ab\n",' * cells + "c\n")
    return path


def long_field(path: Path, characters: int) -> Path:
    """One field that never ends."""
    path.write_text('prompt,response\n"' + "a\n" * (characters // 2) + '",c\n')
    return path


def short_rows(path: Path, rows: int) -> Path:
    """As many rows as fit into little room."""
    numbers = range(rows)
    if path.suffix == ".csv":
        path.write_text("prompt,response\n" + "".join(f"{n},{n}\n" for n in numbers))
    else:
        path.write_text("".join(f'{{"prompt":"{n}","response":"{n}"}}\n' for n in numbers))
    return path
