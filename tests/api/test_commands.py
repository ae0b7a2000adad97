"""The command line answers at once what needs no platform, and its help teaches."""

import json
import os
import re
import subprocess
import sys
from importlib.metadata import version
from typing import get_args

import pytest
import typer.main
from typer.testing import CliRunner

from api import exporting, files
from api.__main__ import cli
from api.commands import books, library, replaying, setting_up
from members.models import DowngradePolicy, Role
from tests.api.test_cli import ROOT, environment

COMMANDS = typer.main.get_command(cli).commands  # type: ignore[attr-defined]

# What no command needs that carries nothing out.
HEAVY = {
    *("strawberry", "graphql", "tortoise", "dramatiq", "redis", "starlette", "uvicorn", "uvloop"),
    *("pydantic_settings", "structlog", "httpx", "PIL", "cryptography", "asyncpg", "sqlite3"),
    *("core", "members", "content", "referral"),
}
# Runs the command line and says at its end, whatever that is, what was imported.
SPY = """
import json, sys
from api.__main__ import main
try:
    main()
finally:
    json.dump([*sys.modules], open({seen!r}, "w"))
"""
# These take nothing that an example could show.
PLAIN = {"run", "serve", "demo", "reconcile", "recompute", "recount"}


def imported(tmp_path: os.PathLike[str], *words: str, **completing: str) -> tuple[set[str], str]:
    """The packages that a process of the command imported, and what it said."""
    seen = f"{tmp_path}/seen.json"
    # Without a database that it could open: what is told here must not need one.
    done = subprocess.run(
        [sys.executable, "-c", SPY.format(seen=seen), *words],
        env=environment("sqlite:///proc/none/none.db") | completing,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr
    with open(seen) as file:  # noqa: PTH123 - any path will do
        return {name.partition(".")[0] for name in json.load(file)}, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "Usage: wellspring"),
        (("--help",), "Usage: wellspring"),
        (("import", "--help"), "Usage: wellspring import"),
        (("--version",), f"wellspring {version('wellspring')}"),
        (("servee",), "Did you mean 'serve'?"),
        (("token",), "Missing argument"),
        (("token", "mei@example.com", "--role", "BOSS"), "BOSS"),
        (("import", "none.jsonl"), "does not exist"),
        (("export-stats", "spring", "--since", "yesterday"), "2026-01-01T00:00+08:00"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, tuple) else "",
)
def test_what_needs_no_platform_waits_for_none(
    words: tuple[str, ...], said: str, tmp_path: os.PathLike[str]
) -> None:
    packages, told = imported(tmp_path, *words)
    assert said in told
    assert packages & HEAVY == set()


def test_a_shell_completes_without_the_platform(tmp_path: os.PathLike[str]) -> None:
    asked = {"_WELLSPRING_COMPLETE": "complete_bash", "COMP_WORDS": "wellspring ex"}
    packages, told = imported(tmp_path, **asked, COMP_CWORD="1")
    assert told.split() == ["export", "export-stats"]
    assert packages & HEAVY == set()


def test_a_command_that_carries_something_out_is_seen_to_import_it(
    tmp_path: os.PathLike[str],
) -> None:
    packages, _ = imported(tmp_path, "migrate")
    assert {"tortoise", "members", "referral"} <= packages


def test_migrating_waits_for_no_graphql_and_no_broker(tmp_path: os.PathLike[str]) -> None:
    packages, _ = imported(tmp_path, "migrate")
    assert packages & {"strawberry", "graphql", "dramatiq", "starlette", "uvicorn", "PIL"} == set()


def test_what_options_offer_is_what_there_is() -> None:
    assert [*map(str, setting_up.RoleName)] == [*map(str, Role)]
    for offered, there in (
        (replaying.DowngradeName, DowngradePolicy),
        (books.ReportName, exporting.Report),
        (library.MappingName, files.Mapped),
    ):
        assert get_args(offered) == tuple(there)


# Help


def helped(name: str) -> str:
    """Its help on a narrow terminal."""
    result = CliRunner().invoke(cli, [name, "--help"], env={"COLUMNS": "80"})
    assert result.exit_code == 0
    return result.output


@pytest.mark.parametrize("name", COMMANDS)
def test_help_says_what_it_does_beyond_a_line(name: str) -> None:
    first, *more = [part for part in (COMMANDS[name].help or "").split("\n\n") if part.strip()]
    assert re.match(r"[A-Z][a-z']+s\b", first), "it says what the command does"
    assert first.rstrip().endswith((".", ":"))
    assert len(" ".join(more).split()) >= 4
    # Beyond the first paragraph lines are printed as they are.
    assert max(len(line) for part in more for line in part.splitlines()) <= 78


@pytest.mark.parametrize("name", COMMANDS)
def test_help_explains_whatever_it_takes(name: str) -> None:
    for parameter in COMMANDS[name].params:
        assert getattr(parameter, "help", None), parameter.name


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - PLAIN))
def test_help_shows_how_it_is_called(name: str) -> None:
    example = rf"^ +(WELLSPRING_\w+=\S+ +)*(\\\s+)?wellspring {name}\b"
    assert re.search(example, helped(name), re.MULTILINE), helped(name)


def test_every_file_that_help_names_is_there() -> None:
    named = re.findall(r"docs/[\w.]+\w", "".join(map(helped, COMMANDS)))
    assert named
    assert all((ROOT / name).exists() for name in named)
