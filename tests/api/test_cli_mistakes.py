"""What goes wrong on the command line is said in a line that tells what to do."""

import asyncio
import gzip
import json
import os
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from core import database
from tests.api.test_cli import PATIENCE_SECONDS, assert_told, environment, running, wellspring
from tests.conftest import POSTGRES, require
from tests.ports import free_port

SLUGS = 3_000
HEADER = "invoice_no,customer_id,invoice_at,country,n_lines,units,total_gbp,is_cancellation\n"


def assert_a_line(done: "subprocess.CompletedProcess[str]", *words: str) -> None:
    """It failed with one line on standard error, which says these words."""
    assert_told(done, 2, *words)
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stdout == ""


@pytest.fixture
def empty(tmp_path: Path) -> str:
    """Where an SQLite database may be made."""
    return f"sqlite://{tmp_path}/new/wellspring.db"


# Databases


def test_a_database_server_that_is_not_there_is_named() -> None:
    port = free_port()
    done = wellspring(f"postgres://postgres:hunter2@127.0.0.1:{port}/well", "migrate")
    assert_a_line(done, f"The database at 127.0.0.1:{port} does not answer: ", "refused.")
    assert_told(done, 2, " WELLSPRING_DATABASE_URL names it.")
    assert "hunter2" not in done.stderr


@pytest.mark.postgres
def test_a_database_that_nobody_made_is_said_to_be_missing() -> None:
    require("postgres")
    done = wellspring(f"{POSTGRES}/nobody_made_this", "migrate")
    assert_a_line(
        done, 'database "nobody_made_this" does not exist', "`createdb nobody_made_this` makes it."
    )


@pytest.mark.parametrize("place", ["folder", "text.db", "text.db/below.db"])
def test_what_is_no_database_file_is_said_to_be_none(place: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.db").write_text("this is a text and no database\n" * 99)
    done = wellspring(f"sqlite://{tmp_path}/{place}", "migrate")
    assert_a_line(done, f"The database file {tmp_path}/{place} cannot be opened: ")


# Addresses and brokers


@pytest.mark.parametrize("command", ["run", "serve"])
def test_an_address_that_is_taken_is_said_before_anything_is_done(
    command: str, empty: str, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = wellspring(empty, command, PORT=str(port))
    assert_a_line(done, f"127.0.0.1, port {port}: address already in use.", "WELLSPRING_PORT")
    assert not [*tmp_path.iterdir()]


def test_a_worker_without_its_broker_does_not_pretend_to_work(sqlite_url: str) -> None:
    broker = f"redis://:hunter2@127.0.0.1:{free_port()}/0"
    done = wellspring(sqlite_url, "worker", BROKER_URL=broker)
    assert_a_line(done, "The broker does not answer: ", "WELLSPRING_BROKER_URL names it.")
    assert "hunter2" not in done.stderr


def test_a_server_without_its_broker_serves_and_says_so(sqlite_url: str, tmp_path: Path) -> None:
    broker = f"redis://127.0.0.1:{free_port()}/0"
    with running(tmp_path / "it", sqlite_url, "serve", BROKER_URL=broker) as it:
        [line] = it.err.splitlines()
        said = json.loads(line)
        assert said["level"] == "warning"
        assert said["event"].startswith("The broker does not answer: ")
        assert it.ask("{ __typename }")["data"] == {"__typename": "Query"}


def test_a_replay_without_its_broker_is_refused(sqlite_url: str, tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_text(f"{HEADER}1,17850,2010-12-01 08:26:00,UK,1,1,1.00,0\n")
    broker = f"redis://127.0.0.1:{free_port()}/0"
    done = wellspring(sqlite_url, "replay", str(tmp_path / "one.csv"), BROKER_URL=broker)
    assert_told(done, 2, "The broker does not answer: ")


# Files


def test_a_folder_without_anything_to_import_is_said_to_be_empty(
    sqlite_url: str, tmp_path: Path
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "notes.txt").write_text("no content")
    done = wellspring(sqlite_url, "import", str(tmp_path / "here"))
    assert_a_line(done, f"{tmp_path}/here holds neither .md nor .jsonl nor .jsonl.gz.")


def test_where_nothing_can_be_written_nothing_is_exported(sqlite_url: str, tmp_path: Path) -> None:
    for words in (["none/such.jsonl"], ["--markdown", "none/such"]):
        place = f"{tmp_path}/{words.pop()}"
        done = wellspring(sqlite_url, "export", *words, place)
        assert_a_line(done, f"{place} cannot be written: No such file or directory.")


def test_what_is_no_file_is_not_replaced_by_an_export(sqlite_url: str, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert_a_line(wellspring(sqlite_url, "export", str(pipe)), f"{pipe} is there already")
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_demo_whose_pictures_cannot_be_kept_says_where(sqlite_url: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = wellspring(sqlite_url, "demo", ASSETS=f"{tmp_path}/file/assets")
    assert_a_line(done, f"{tmp_path}/file/assets: Not a directory.", "WELLSPRING_ASSETS")


def test_an_invoice_file_that_ends_too_early_is_refused(sqlite_url: str, tmp_path: Path) -> None:
    cut = tmp_path / "cut.csv.gz"
    row = "{},17850,2010-12-01 08:26:00,UK,1,1,1.00,0\n"
    whole = gzip.compress((HEADER + "".join(map(row.format, range(SLUGS)))).encode())
    cut.write_bytes(whole[:-12])
    assert_a_line(wellspring(sqlite_url, "replay", str(cut)), f"{cut}: unreadable after line")


# Words


def test_an_address_that_no_database_stores_is_none(sqlite_url: str) -> None:
    done = wellspring(sqlite_url, "token", "mei\udcff@example.com")
    assert_a_line(done, "This must be whole Unicode characters.")


def test_an_instant_without_an_offset_is_refused_with_an_example(sqlite_url: str) -> None:
    for given in ("yesterday", "2026-01-01", "2026-01-01T00:00"):
        done = wellspring(sqlite_url, "export-stats", "spring", "--since", given)
        assert_told(done, 2, given, "2026-01-01T00:00+08:00")


def test_a_time_that_ends_before_it_begins_is_refused(sqlite_url: str) -> None:
    times = ["--since", "2026-01-02T00:00Z", "--until", "2026-01-02T00:00:00+00:00"]
    assert_told(wellspring(sqlite_url, "export-stats", "spring", *times), 2, "--until")


# Ctrl-C


def _stopped(url: str, begun: Callable[[], bool], *arguments: str) -> tuple[int, str]:
    """What became of the command that gets Ctrl-C as soon as it has begun: exit code, errors."""
    with subprocess.Popen(
        [sys.executable, "-m", "api", *arguments],
        env=environment(url),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not begun():
            assert process.poll() is None, "it ended before it could be stopped"
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE_SECONDS)
        return process.returncode, err


def _assert_stopped_well(code: int, err: str) -> None:
    assert code == 130
    assert "Traceback" not in err
    assert err.splitlines()[-1].startswith("Stopped before it was done. Run it again")


def test_a_migration_that_is_stopped_leaves_the_database_as_it_was(tmp_path: Path) -> None:
    url, log = f"sqlite://{tmp_path}/new.db", tmp_path / "new.db-wal"
    _assert_stopped_well(*_stopped(url, log.exists, "migrate"))
    assert len(asyncio.run(_pending(url))) > 20
    assert_told(wellspring(url, "migrate"), 0)


async def _pending(url: str) -> list[str]:
    async with database.opened(url):
        return [*await database.pending_migrations()]


def _rows(home: Path) -> Path:
    """A file of many contents."""
    same = {"title": "T", "kind": "ARTICLE", "locale": "en"}
    path = home / "rows.jsonl"
    path.write_text("".join(f"{json.dumps({'slug': f'p{n}', **same})}\n" for n in range(SLUGS)))
    return path


def test_an_import_that_is_stopped_goes_on_when_run_again(sqlite_url: str, tmp_path: Path) -> None:
    rows = (
        {"slug": f"p{n}", "title": "T", "kind": "ARTICLE", "locale": "en"} for n in range(SLUGS)
    )
    (tmp_path / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    words = ["import", str(tmp_path / "rows.jsonl")]

    def count() -> int:
        connection = sqlite3.connect(sqlite_url.removeprefix("sqlite://"))
        [number] = connection.execute("SELECT count(*) FROM content").fetchone()
        connection.close()
        return number

    _assert_stopped_well(*_stopped(sqlite_url, lambda: count() > 0, *words))
    kept = count()
    assert 0 < kept < SLUGS
    done = wellspring(sqlite_url, *words)
    assert_told(done, 0)
    assert f"{SLUGS - kept} new, 0 changed, {kept} unchanged" in done.stdout


def test_an_export_that_is_stopped_leaves_nothing_behind(sqlite_url: str, tmp_path: Path) -> None:
    rows = (
        {"slug": f"p{n}", "title": "T", "kind": "ARTICLE", "locale": "en"} for n in range(SLUGS)
    )
    (tmp_path / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    assert_told(wellspring(sqlite_url, "import", str(tmp_path / "rows.jsonl")), 0)

    def begun() -> bool:
        return any(tmp_path.glob("library.jsonl.*.part"))

    _assert_stopped_well(*_stopped(sqlite_url, begun, "export", str(tmp_path / "library.jsonl")))
    assert not [*tmp_path.glob("library*")]
