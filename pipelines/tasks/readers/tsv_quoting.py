"""Whether the tab-separated files of a task quote their fields as CSV writers do, such as pandas' `to_csv`.

They have one writer, so they are all read alike. A row in which both readings find the same fields, none with marks
doubled inside, says nothing: `"hello"` may be text in quotation marks or a field that some writers wrap.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING

from pipelines.tasks.readers.delimited import csv_records
from pipelines.tasks.readers.feed import Feed
from pipelines.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


@dataclass
class _Votes:
    """Rows of a file that only quoting explains, rows that it cannot explain, and fields in quotation marks."""

    quoted: int = 0
    plain: int = 0
    wrapped: int = 0


def find_quoting(paths: Iterable[Path]) -> tuple[bool, tuple[str, ...]]:
    """Whether the .tsv files of a task are read as CSV with tabs, and what to say of it.

    Args:
        paths: The files.

    Raises:
        UserError: If one cannot be read.
    """
    votes = list(map(_votes, paths))
    quoted, wrapped = sum(one.quoted for one in votes), sum(one.wrapped for one in votes)
    if quoted and quoted >= sum(one.plain for one in votes):
        return True, (f".tsv files: read with the quoting of CSV, which {counted(quoted, 'row')} of them seem to have",)
    kept = f".tsv files: {counted(wrapped, 'field')} in quotation marks kept with them"
    return False, (f"{kept}; if the marks are quoting, write the files as .csv",) if wrapped else ()


def _votes(path: Path) -> _Votes:
    votes, width, feed = _Votes(), 0, Feed(path)
    records = chain(islice(csv_records(feed, "\t"), 1), csv_records(feed, "\t", marked=True))
    for number, (found, taken) in enumerate(records):
        values = None if isinstance(found, csv.Error) else found
        lines = [data.decode("utf-8", "replace").rstrip("\r\n").split("\t") for _, data in taken]
        width = width or len(values or lines[0])
        fields = [field for line in lines for field in line if field.startswith('"')]
        wrapped = sum(len(field) > 1 and field.endswith('"') for field in fields)
        votes.wrapped += wrapped
        if not fields:
            continue
        if values is None:
            votes.plain += 1
        elif [len(line) for line in lines] == [len(values)]:
            is_header = number == 0 and wrapped == width
            votes.quoted += is_header or any('"' in value for value in values if value not in lines[0])
        elif len(values) == width and (width == 1 or any(len(line) != width for line in lines)):
            votes.quoted += 1
        else:
            votes.plain += 1
    return votes
