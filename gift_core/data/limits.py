"""How much of a file is taken in: a hostile one is refused before it fills the memory."""

from __future__ import annotations

from typing import Final

MOST_ROWS: Final = 2_000_000
MOST_COLUMNS: Final = 1000
# Characters of a column's name: all names of a file are held at once.
LONGEST_NAME: Final = 1000
# Characters of one text, and of one row of JSON with everything in it.
LONGEST_TEXT: Final = 4_000_000
LONGEST_ROW: Final = 16_000_000
# A line of commas makes a cell of each, and a cell takes far more room than a comma.
LONGEST_CSV_LINE: Final = 2_000_000
MOST_MESSAGES: Final = 1000
# Lists and objects inside each other: a conversation with parts takes four.
DEEPEST_NESTING: Final = 32
# Bytes of a Parquet file's rows once they are unpacked, and of one group of them: a few kilobytes may claim terabytes.
MOST_UNPACKED: Final = 4 * 2**30
LARGEST_ROW_GROUP: Final = 2**30
