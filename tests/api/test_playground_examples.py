"""The playground's examples: valid, within the limits, and each job works from its first to its
last step for the one whom it is for."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from graphql import (
    OperationDefinitionNode,
    get_introspection_query,
    parse,
    type_from_ast,
    validate,
)
from graphql.utilities import coerce_input_value

from api import costs, demo, limits, playground
from api.schema import schema
from api.settings import Settings
from content import assets
from members import payees
from tests.client import Api

FOLDER = Path(playground.__file__).with_name("examples")
SCHEMA = schema._schema
LIMITS = Settings(_env_file=None)  # type: ignore[call-arg]
HOLE = re.compile(r"\{(\w+)\.([\w.]+)\}")
ALWAYS = "Today"  # is known before anything was asked


@dataclass(frozen=True)
class Example:
    """One step of a job."""

    path: Path

    def __str__(self) -> str:
        return str(self.path.relative_to(FOLDER).with_suffix(""))

    @property
    def text(self) -> str:
        return self.path.read_text()

    @property
    def operation(self) -> OperationDefinitionNode:
        [operation] = parse(self.text).definitions
        assert isinstance(operation, OperationDefinitionNode)
        return operation

    @property
    def name(self) -> str:
        assert self.operation.name
        return self.operation.name.value

    @property
    def variables(self) -> dict[str, Any]:
        path = self.path.with_suffix(".json")
        return json.loads(path.read_text()) if path.exists() else {}


def jobs() -> dict[str, dict[str, str]]:
    return {job["key"]: job for job in json.loads((FOLDER / "jobs.json").read_text())}


def steps(job: str) -> list[Example]:
    return [Example(path) for path in sorted((FOLDER / job).glob("*.graphql"))]


EXAMPLES = [example for job in jobs() for example in steps(job)]


def holes(value: Any) -> Iterator[tuple[str, str]]:
    """The operations and paths that the variables are filled in from."""
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from holes(each)
    elif isinstance(value, str) and (found := HOLE.fullmatch(value)):
        yield found[1], found[2]


def filled(value: Any, answers: dict[str, Any]) -> Any:
    """The variables with what the answers say."""
    if isinstance(value, dict):
        return {name: filled(each, answers) for name, each in value.items()}
    if isinstance(value, list):
        return [filled(each, answers) for each in value]
    found = HOLE.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return value
    at = answers[found[1]]
    for part in found[2].split("."):
        at = at[int(part)] if isinstance(at, list) else at[part]
    assert at is not None, value
    return at


def today(now: datetime) -> dict[str, str]:
    return {"slug": f"piece-{now:%Y%m%d-%H%M%S}", "month": f"{now:%Y-%m}"}


# ---- as they are written


def test_there_is_a_job_for_everybody_and_no_folder_without_one() -> None:
    assert set(jobs()) >= {"editor", "employee", "finance", "operator"}
    assert {path.name for path in FOLDER.iterdir() if path.is_dir()} == set(jobs())
    people = {person.key for person in demo.PEOPLE}
    for job in jobs().values():
        assert job["demo"] in people
        assert job["title"] and job["does"] and job["who"]
        assert len(steps(job["key"])) >= 4
    names = [example.name for example in EXAMPLES]
    assert len(names) == len({*names})


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_an_example_says_what_it_does_and_is_valid_within_the_limits(example: Example) -> None:
    title, blank, *rest = example.text.split("\n")
    assert re.fullmatch(r"# \w.{5,60}", title) and blank == "#"
    assert rest[0].startswith("# ")
    document = parse(example.text)
    assert validate(SCHEMA, document) == []
    limits.check(document, LIMITS.max_depth, LIMITS.max_aliases)
    cost = costs.Costs(SCHEMA, document).of(example.operation, example.variables)
    assert cost <= LIMITS.max_cost


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_its_variables_fit(example: Example) -> None:
    """Those that an answer fills in are left to the test that plays the job."""
    declared = example.operation.variable_definitions or ()
    definitions = {each.variable.name.value: each for each in declared}
    assert example.variables.keys() == definitions.keys()
    for name, value in example.variables.items():
        if not [*holes(value)]:
            coerce_input_value(value, type_from_ast(SCHEMA, definitions[name].type))


@pytest.mark.parametrize("job", jobs())
def test_a_step_is_filled_in_by_steps_before_it(job: str) -> None:
    before = {ALWAYS}
    for example in steps(job):
        assert {name for name, _ in holes(example.variables)} <= before
        before.add(example.name)


def test_what_a_graphical_client_asks_first_is_within_the_limits() -> None:
    document = parse(get_introspection_query())
    limits.check(document, LIMITS.max_depth, LIMITS.max_aliases)
    [operation, *_] = document.definitions
    assert isinstance(operation, OperationDefinitionNode)
    assert costs.Costs(SCHEMA, document).of(operation, {}) <= LIMITS.max_cost


# ---- as they are played


async def play(live: Api, job: str, token: str) -> dict[str, Any]:
    """The answers to all steps of a job; fails where one is refused or has something to correct."""
    answers: dict[str, Any] = {ALWAYS: today(datetime.now(UTC))}
    for example in steps(job):
        variables = filled(example.variables, answers)
        body = {"query": example.text, "variables": variables, "operationName": example.name}
        headers = {"authorization": f"Bearer {token}"}
        answer = (await live.http.post("/graphql", json=body, headers=headers)).json()
        assert "errors" not in answer, (str(example), answer["errors"])
        for value in answer["data"].values():
            assert not (isinstance(value, dict) and value.get("errors")), (str(example), value)
        answers[example.name] = answer["data"]
    return answers


async def test_every_job_can_be_played_in_order_by_the_one_whom_it_is_for(
    live: Api, settings: Settings
) -> None:
    loaded = await demo.load(
        settings.currency,
        settings.time_zone,
        assets.DirectoryStore(settings.assets_path),
        datetime.now(UTC),
        payees.vault(settings.payee_secrets()),
    )
    tokens = {person.key: token for person, token in loaded.items()}
    told = {job: await play(live, job, tokens[each["demo"]]) for job, each in jobs().items()}

    published = told["editor"]["PublishPiece"]["contentPublish"]["content"]
    assert published["status"] == "PUBLISHED"
    link = told["employee"]["SharePiece"]["contentShare"]["referralLink"]
    assert link["targetUrl"].endswith(f"/c/{published['slug']}")
    assert (await live.click(link["code"])).status_code == 302

    sold = told["shop"]["TellOfOrder"]["orderRecord"]["conversion"]["externalId"]
    decided = await live.decided(tokens["shop"], "shop", sold)
    assert decided["status"] == "CREDITED"
    assert decided["attributions"][0]["promoter"]["displayName"] == demo.EMPLOYEE.display_name

    assert told["finance"]["PreviewPayOut"]["payoutPreview"]["totalMinor"] == 12_000
    settled = told["finance"]["SettlePayOut"]["payoutSettle"]["payouts"]
    assert [each["status"] for each in settled] == ["SENT"]
    assert told["finance"]["CheckBooks"]["reconciliation"]["ok"]
    assert any(row["moved"] for row in told["finance"]["SumUpMonth"]["ledgerSummary"])

    rules = told["operator"]["ChangeRewards"]["programRulesPublish"]["program"]["rules"]
    assert {rule["version"] for rule in rules} == {2}
    enrolled = told["operator"]["EnrollMember"]["promoterEnroll"]["member"]["enrollments"]
    assert "autumn" in {each["program"]["code"] for each in enrolled}


async def test_a_job_can_be_played_a_second_time(live: Api, settings: Settings) -> None:
    loaded = await demo.load(settings.currency, settings.time_zone, None, datetime.now(UTC))
    tokens = {person.key: token for person, token in loaded.items()}
    for job in ("employee", "operator"):
        for _ in range(2):
            await play(live, job, tokens[jobs()[job]["demo"]])
