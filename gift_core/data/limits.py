"""How much of a file is taken in: a hostile one is refused before it fills the memory."""

from __future__ import annotations

from typing import Final

MOST_ROWS: Final = 2_000_000
MOST_COLUMNS: Final = 1000
# Characters of a column's name: all names of a file are held at once.
LONGEST_NAME: Final = 1000
# Characters of one text, and of one row with everything in it.
LONGEST_TEXT: Final = 4_000_000
LONGEST_ROW: Final = 16_000_000
# Numbers, texts, lists and objects in one row: an empty list takes two characters of a file, and 64 bytes of memory.
MOST_VALUES: Final = 1_000_000
# A line of commas makes a cell of each, and a cell takes far more room than a comma.
LONGEST_CSV_LINE: Final = 2_000_000
# Characters of all lines that one CSV record takes, for the same reason.
LONGEST_CSV_RECORD: Final = 4_000_000
MOST_MESSAGES: Final = 1000
# Lists and objects inside each other: a conversation with parts takes four.
DEEPEST_NESTING: Final = 32
# Bytes of all rows once they are unpacked: a few kilobytes of Parquet may hold terabytes. This is what the command line
# and jobs take, which have a machine's memory for themselves; a server takes less (see `workers.reading`).
MOST_UNPACKED: Final = 4 * 2**30
# Of those, bytes of one group of rows, as a file claims them: the size before repeated values are written out.
LARGEST_ROW_GROUP: Final = 2**30
