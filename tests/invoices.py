"""Asks a file of invoices in plain SQL, as the docs do with the sqlite3 shell."""

import csv
import gzip
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[1] / "docs"


def ask(path: Path, query: str) -> list[tuple[Any, ...]]:
    """The rows of a query of the docs, by its file name, over the invoices as that shell imports
    them: text throughout."""
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    with closing(sqlite3.connect(":memory:")) as database:
        database.execute(f"CREATE TABLE invoices ({', '.join(f'{name} TEXT' for name in header)})")
        database.executemany(f"INSERT INTO invoices VALUES ({', '.join('?' * len(header))})", rows)
        return database.execute((DOCS / query).read_text(encoding="utf-8")).fetchall()
