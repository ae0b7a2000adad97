"""The command as operators run it: processes of their own, exit codes, and what is printed."""

import asyncio
import contextlib
import gzip
import http.client
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer.main
from typer.testing import CliRunner

from api import __main__ as command
from api import demo, retail
from core import database
from members import identity, payees
from members.models import Member, Role
from members.payees import Payee
from tests import factories
from tests.api.books import counts
from tests.conftest import SECRET
from tests.ports import free_port

ROOT = Path(__file__).parents[2]
INVOICES = ROOT.parent / "shared" / "data" / "orders_online_retail" / "orders.csv.gz"
PATIENCE_SECONDS = 30
AT_ONCE_SECONDS = 3
COMMANDS = sorted(typer.main.get_command(command.cli).commands)  # type: ignore[attr-defined]


def environment(url: str, **settings: str) -> dict[str, str]:
    """Of an operator who set nothing but these."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("WELLSPRING_")}
    named = {"DATABASE_URL": url, "SECRET": SECRET} | settings
    return inherited | {"PYTHONPATH": str(ROOT)} | {f"WELLSPRING_{k}": v for k, v in named.items()}


def wellspring(url: str, *arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    """The command, run to its end."""
    return subprocess.run(
        [sys.executable, "-m", "api", *arguments],
        env=environment(url, **settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def assert_told(done: "subprocess.CompletedProcess[str]", code: int, *words: str) -> None:
    """It ended with this code and said these words on standard error, without a traceback."""
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr


async def asked(url: str, question: Callable[[], Any]) -> Any:
    async with database.opened(url):
        return await question()


@pytest.fixture
def empty(tmp_path: Path) -> str:
    """Where an SQLite database may be made."""
    return f"sqlite://{tmp_path}/new/wellspring.db"


# What is said


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str) -> None:
    result = CliRunner().invoke(command.cli, [name, "--help"])
    assert result.exit_code == 0
    words = re.sub(r"[^\w\s.,:;]", " ", result.output).split("Options")[0].split()
    assert len(words) > 6, result.output


def test_the_commands_are_those_of_the_issue() -> None:
    assert {
        "run",
        "serve",
        "worker",
        "migrate",
        "demo",
        "schema",
        "token",
        "replay",
        "recompute",
        "recount",
        "export-stats",
        "reconcile",
        "reseal",
        "import",
        "export",
    } == set(COMMANDS)


def test_a_wrong_setting_ends_it_with_its_name(empty: str) -> None:
    done = wellspring(empty, "serve", PORT="http", CURENCY="CNY")
    assert_told(
        done,
        2,
        "WELLSPRING_PORT does not accept 'http'. Accepted: a number from 1 to 65535.",
        "WELLSPRING_CURENCY is no setting; did you mean WELLSPRING_CURRENCY?",
    )
    assert done.stdout == ""


def test_a_worker_of_its_own_needs_a_broker_to_share(sqlite_url: str) -> None:
    assert_told(wellspring(sqlite_url, "worker"), 2, "WELLSPRING_BROKER_URL", "redis://")


def test_the_schema_is_printed_and_nothing_else(empty: str) -> None:
    done = wellspring(empty, "schema")
    assert_told(done, 0)
    assert done.stdout == (ROOT / "schema.graphql").read_text(encoding="utf-8")


# Databases


def test_a_database_is_migrated_once_and_not_served_before(empty: str) -> None:
    assert_told(wellspring(empty, "serve"), 2, "run `wellspring migrate`")
    first = wellspring(empty, "migrate")
    assert_told(first, 0)
    assert "applied referral.0001_initial" in first.stdout.splitlines()
    second = wellspring(empty, "migrate")
    assert_told(second, 0)
    assert second.stdout == "The database is up to date.\n"
    assert asyncio.run(asked(empty, database.pending_migrations)) == []


def test_payees_are_resealed_by_the_newest_key(sqlite_url: str) -> None:
    newest = "a newer secret of the tests and long enough for the rule"
    lin = Payee("BANK", "Lin", "6222000011112222")

    async def put() -> int:
        member = (await factories.person("lin")).member
        await payees.put(member.id, lin, payees.Vault([SECRET]), factories.NOW)
        return member.id

    member_id = asyncio.run(asked(sqlite_url, put))
    assert_told(wellspring(sqlite_url, "reseal", SECRET=newest), 2, "WELLSPRING_PAYEE_KEYS")
    done = wellspring(sqlite_url, "reseal", SECRET=SECRET, PAYEE_KEYS=newest)
    assert done.returncode == 0, done.stderr
    found = asyncio.run(asked(sqlite_url, lambda: payees.of(member_id, payees.Vault([newest]))))
    assert found == lin


def test_a_database_that_does_not_answer_is_said_in_a_line() -> None:
    done = wellspring(f"postgres://postgres:hunter2@127.0.0.1:{free_port()}/none", "migrate")
    assert_told(done, 2, "WELLSPRING_DATABASE_URL")


def test_the_demo_is_loaded_once_and_not_among_other_people(sqlite_url: str) -> None:
    first, second = wellspring(sqlite_url, "demo"), wellspring(sqlite_url, "demo")
    for done in (first, second):
        assert_told(done, 0)
        assert list(tokens_in(done.stdout)) == [person.key for person in demo.PEOPLE]
    found = asyncio.run(asked(sqlite_url, counts))
    assert found["member"] == len(demo.PEOPLE)
    assert found["session"] == 2 * len(demo.PEOPLE)


def test_the_demo_refuses_other_peoples_database(sqlite_url: str) -> None:
    asyncio.run(asked(sqlite_url, lambda: factories.person("mei")))
    before = asyncio.run(asked(sqlite_url, counts))
    assert_told(wellspring(sqlite_url, "demo"), 2, "This database holds people of its own")
    assert asyncio.run(asked(sqlite_url, counts)) == before


def tokens_in(printed: str) -> dict[str, str]:
    """The people with the tokens in their links."""
    keys = "|".join(person.key for person in demo.PEOPLE)
    opened = r"http://[^/\s]+/playground#token="
    return dict(re.findall(rf"^({keys}) +{opened}(\S{{43}})$", printed, re.MULTILINE))


# Tokens


@pytest.mark.postgres
@pytest.mark.parametrize("url", ["postgres"], indirect=True)
def test_a_token_is_one_line_and_opens_the_door_of_one_member(url: str) -> None:
    first = wellspring(url, "token", "Mei@Example.com", "--role", "EDITOR")
    second = wellspring(url, "token", "mei@example.COM", "--role", "ADMIN", "--role", "EDITOR")

    async def viewers() -> list[identity.Viewer | None]:
        texts = (first.stdout.strip(), second.stdout.strip())
        return [await identity.viewer(text, datetime.now(UTC)) for text in texts]

    for done in (first, second):
        assert_told(done, 0)
        assert re.fullmatch(r"[\w-]{43}\n", done.stdout)
        assert done.stderr == ""
    one, two = asyncio.run(asked(url, viewers))
    assert one.member_id == two.member_id
    assert one.roles == two.roles
    assert one.roles == frozenset(Role) - {Role.SERVICE}
    assert asyncio.run(asked(url, lambda: Member.all().count())) == 1


def test_a_token_for_nobody_is_refused(sqlite_url: str) -> None:
    done = wellspring(sqlite_url, "token", "mei")
    assert_told(done, 2, "This is not an e-mail address.")
    assert done.stdout == ""
    assert asyncio.run(asked(sqlite_url, lambda: Member.all().count())) == 0


# Books


async def _one_credited_order(url: str) -> None:
    from referral import conversions, crediting, registrations

    async with database.opened(url):
        stage = await factories.stage()
        now = datetime.now(UTC)
        await factories.click(stage.link, "visitor-1", now)
        new = identity.NewMember("Mei")
        entered = await registrations.register(new, "visitor-1", now)
        order = conversions.NewOrder("shop", "A-1", 5_000, member_id=entered.member.id)
        await conversions.record_order(order, stage.shop.member.id, datetime.now(UTC))
        while await crediting.work(datetime.now(UTC)):
            pass


def test_reconcile_finds_clean_books_clean_and_names_what_was_tampered_with(url: str) -> None:
    asyncio.run(_one_credited_order(url))
    clean = wellspring(url, "reconcile")
    assert_told(clean, 0)
    assert clean.stdout == "1 transfers looked at; the books agree.\n"

    tamper = "UPDATE ledger_account SET balance = balance + 1 WHERE balance > 0"
    asyncio.run(asked(url, lambda: database.execute(tamper)))
    dirty = wellspring(url, "reconcile")
    assert_told(dirty, 1)
    problem, verdict = dirty.stdout.splitlines()
    assert re.fullmatch(r"account \S+: the balance is 501, its entries sum to 500", problem)
    assert verdict == "1 transfers looked at; the books do NOT agree."


# Servers


class Running:
    """A process of the command that stays, with its output in files."""

    def __init__(self, home: Path, url: str, *arguments: str, **settings: str) -> None:
        home.mkdir(exist_ok=True)
        self.port = int(settings.setdefault("PORT", str(free_port())))
        self._out, self._err = home / "out", home / "err"
        with self._out.open("w") as out, self._err.open("w") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "api", *arguments],
                env=environment(url, **settings),
                stdout=out,
                stderr=err,
            )

    @property
    def out(self) -> str:
        return self._out.read_text()

    @property
    def err(self) -> str:
        return self._err.read_text()

    def ask(self, query: str, token: str | None = None) -> Any:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        address = f"http://127.0.0.1:{self.port}/graphql"
        return httpx.post(address, json={"query": query}, headers=headers).json()

    def stop(self, by: signal.Signals) -> float:
        """Sends the signal; the seconds until it ended."""
        began = time.monotonic()
        self.process.send_signal(by)
        self.process.wait(PATIENCE_SECONDS)
        return time.monotonic() - began


@contextlib.contextmanager
def running(
    home: Path, url: str, *arguments: str, until: str | None = None, **settings: str
) -> Iterator[Running]:
    """Until it listens, or says a word on standard error; killed if the test left it."""
    it = Running(home, url, *arguments, **settings)
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (until in it.err if until else _listens(it.port)):
            assert it.process.poll() is None, it.err
            assert time.monotonic() < deadline, it.err
            time.sleep(0.02)
        yield it
    finally:
        it.process.kill()
        it.process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def assert_stopped(it: Running, seconds: float) -> None:
    assert it.process.returncode == 0, it.err
    assert "Traceback" not in it.err
    assert seconds < AT_ONCE_SECONDS


def test_run_starts_from_nothing_keeps_its_data_and_stops_at_once(
    empty: str, tmp_path: Path
) -> None:
    joined = 'mutation { memberRegister(input: {displayName: "Mei"}) { token } }'
    with running(tmp_path / "first", empty, "run", SECRET="") as first:
        tokens = tokens_in(first.out)
        assert list(tokens) == [person.key for person in demo.PEOPLE]
        assert f"http://127.0.0.1:{first.port}/r/{demo.LINK_CODE}" in first.out
        curl = next(line for line in first.out.splitlines() if line.startswith("curl"))
        query = json.loads(curl.partition("-d '")[2].removesuffix("'"))["query"]
        assert len(first.ask(query)["data"]["contents"]["nodes"]) == 3
        assert first.ask("{ viewer { roles } }", tokens["admin"])["data"]["viewer"]
        mei = first.ask(joined)["data"]["memberRegister"]["token"]
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", first.port)) as idle:
            idle.request("GET", "/health/ready")
            assert idle.getresponse().read()
            assert_stopped(first, first.stop(signal.SIGINT))
    with running(tmp_path / "second", empty, "run", SECRET="") as second:
        again = second.ask("{ viewer { displayName } contents { totalCount } }", mei)["data"]
        assert again["viewer"] == {"displayName": "Mei"}
        assert again["contents"]["totalCount"] > 3
        with socket.create_connection(("127.0.0.1", second.port)):
            assert_stopped(second, second.stop(signal.SIGINT))
    made = {path.name for path in (tmp_path / "new").iterdir()}
    assert {"wellspring.db", "secret"} <= made


def test_a_client_that_never_ends_its_request_does_not_hold_the_server(
    sqlite_url: str, tmp_path: Path
) -> None:
    with (
        running(tmp_path / "it", sqlite_url, "serve") as it,
        socket.create_connection(("127.0.0.1", it.port)) as half,
    ):
        half.sendall(b"POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
        it.ask("{ viewer { id } }")
        assert_stopped(it, it.stop(signal.SIGINT))


@pytest.mark.postgres
@pytest.mark.redis
def test_serve_and_worker_stop_at_once(postgres_url: str, redis_url: str, tmp_path: Path) -> None:
    with (
        running(tmp_path / "api", postgres_url, "serve", BROKER_URL=redis_url) as server,
        running(
            tmp_path / "worker", postgres_url, "worker", BROKER_URL=redis_url, until="ready"
        ) as worker,
    ):
        ready = httpx.get(f"http://127.0.0.1:{server.port}/health/ready")
        assert ready.json() == {"status": "ok", "wrong": {}}
        assert_stopped(worker, worker.stop(signal.SIGTERM))
        assert_stopped(server, server.stop(signal.SIGINT))


def test_a_server_that_is_told_to_end_ends_well(sqlite_url: str, tmp_path: Path) -> None:
    with running(tmp_path / "it", sqlite_url, "serve") as it:
        assert_stopped(it, it.stop(signal.SIGTERM))


def test_json_that_is_nested_too_deeply_is_refused(sqlite_url: str, tmp_path: Path) -> None:
    # In a process of its own: Python 3.11 counts wrongly after a RecursionError in C.
    with running(tmp_path / "it", sqlite_url, "serve") as it:
        answer = httpx.post(
            f"http://127.0.0.1:{it.port}/graphql",
            content=b"[" * 100_000,
            headers={"content-type": "application/json"},
        )
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


def test_a_port_that_is_taken_ends_it_without_a_traceback(sqlite_url: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = wellspring(sqlite_url, "serve", PORT=str(port))
    assert_told(done, done.returncode or -1, "address already in use")


# Replay


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_slice_of_the_real_invoices_is_played_once(url: str, tmp_path: Path) -> None:
    if not INVOICES.exists():
        pytest.skip(f"the retail invoices are not at {INVOICES}")
    piece = tmp_path / "slice.csv.gz"
    with gzip.open(INVOICES, "rt") as whole, gzip.open(piece, "wt") as part:
        part.writelines(itertools.islice(whole, 61))

    first = wellspring(url, "replay", str(piece))
    before = asyncio.run(asked(url, counts))
    second = wellspring(url, "replay", str(piece))
    after = asyncio.run(asked(url, counts))

    for done in (first, second):
        assert_told(done, 0)
        assert re.search(r"^60 steps played, 0 skipped, in \d+ s$", done.stdout, re.MULTILINE)
    assert first.stdout.splitlines()[1:] == second.stdout.splitlines()[1:]
    # Each customer registered, and each employee became a promoter.
    assert before["conversion"] == 60 + before["customer_ref"] + retail.EMPLOYEES
    assert before["commission"] > 0
    changed = {name for name in before if before[name] != after[name]}
    # Whatever the hold time was over of when the first one ended is released by the second.
    assert changed - {"ledger_account", "ledger_transfer", "ledger_entry"} == {"session"}
    assert_told(wellspring(url, "reconcile"), 0)


def test_a_replay_of_no_such_or_a_garbled_file_is_refused(sqlite_url: str, tmp_path: Path) -> None:
    assert_told(wellspring(sqlite_url, "replay", str(tmp_path / "none.csv")), 2, "Invalid value")
    garbled = tmp_path / "garbled.csv.gz"
    garbled.write_bytes(b"these are no invoices")
    assert_told(wellspring(sqlite_url, "replay", str(garbled)), 2, "garbled.csv.gz")
    assert asyncio.run(asked(sqlite_url, counts))["member"] == 0
