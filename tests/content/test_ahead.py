"""What versions say is prepared elsewhere, and comes back as if it had been prepared here."""

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest

from content import ahead, preparing
from content.ahead import AT_ONCE, Ahead
from content.preparing import Prepared, Texts
from core import database, pairs


def texts(number: int) -> Texts:
    return Texts(f"Piece {number}", "春茶", f"**{number}** <b>帶貨</b>\n\n" * 3)


def told(made: Prepared) -> object:
    """What was made; pairs stand in any order."""
    return made.html, [*made.forms], [held and {*held.split()} for held in made.pairs]


@pytest.fixture(params=["thread", "process"])
def executor(request: pytest.FixtureRequest) -> Iterator[Executor | None]:
    if request.param == "thread":
        yield None
        return
    with ahead.process() as executor:
        yield executor


async def test_whatever_is_asked_for_comes_in_that_order_added_before_or_not(
    opened: str, executor: Executor | None
) -> None:
    added = [texts(number) for number in range(AT_ONCE + 1)]
    asked = [texts(AT_ONCE + 5), *reversed(added), added[0]]
    made = Ahead(executor)
    for each in added:
        made.add(each)
    here = preparing.prepare(asked, paired=not database.is_postgres())
    assert [*map(told, await made.prepared(asked))] == [*map(told, here)]
    assert await made.prepared([]) == []


def test_a_version_is_prepared_as_html_and_as_it_is_found() -> None:
    [made] = preparing.prepare([Texts("Ａ 茶", "", "*帶貨*")], paired=True)
    assert made.html == "<p><em>帶貨</em></p>\n"
    assert [*made.forms] == [" a 茶", "", " 带货"]
    assert [*made.pairs] == [pairs.held(form) for form in made.forms]
    [plain] = preparing.prepare([Texts("Ａ 茶", "", "*帶貨*")], paired=False)
    assert (plain.html, plain.forms, [*plain.pairs]) == (made.html, made.forms, [None] * 3)


async def test_a_process_of_its_own_prepares_and_none_is_left_behind() -> None:
    with ahead.process() as executor:
        pid = executor.submit(os.getpid).result()
        assert pid != os.getpid()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


PARENT = """
import os, time
from content import ahead
if __name__ == "__main__":
    with ahead.process() as executor:
        print(executor.submit(os.getpid).result(), flush=True)
        time.sleep(60)
"""


def test_a_process_ends_with_the_one_that_began_it_even_where_that_is_killed(
    tmp_path: Path,
) -> None:
    (tmp_path / "parent.py").write_text(PARENT)
    command = [sys.executable, str(tmp_path / "parent.py")]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert int(parent.stdout.readline()) != parent.pid
        parent.kill()
        assert parent.communicate(timeout=30) == ("", None)  # which all of them have closed


async def test_a_process_that_is_killed_is_told_of(opened: str) -> None:
    with ahead.process() as executor:
        assert isinstance(executor, ProcessPoolExecutor)
        assert isinstance(executor.submit(os._exit, 1).exception(), BrokenProcessPool)
        with pytest.raises(BrokenProcessPool):
            await Ahead(executor).prepared([texts(1)])
