"""What a process tells its operator: JSON lines on standard error, nothing secret in them."""

import json
import subprocess
import sys

import pytest

SECRET = "a secret that no log may show to anybody"
FAILING = f"""
import logging, structlog
from api import logs
from api.settings import Settings

logs.configure()

def work(settings, token):
    raise LookupError("什么也没有")

with structlog.contextvars.bound_contextvars(request_id="the-request"):
    structlog.get_logger("api").info("an event", number=1, text="茶")
    logging.getLogger("some.library").warning("an old %s", "friend")
    logging.getLogger("tortoise").info("chatter")
    try:
        work(Settings(secret="{SECRET}"), "the-bearer-token")
    except LookupError:
        structlog.get_logger("api").exception("it failed")
print("to standard output")
"""


@pytest.fixture(scope="module")
def told() -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", FAILING], capture_output=True, text=True, check=True
    )


def test_every_event_is_one_line_of_json_with_its_request(
    told: subprocess.CompletedProcess[str],
) -> None:
    event, old, failed = map(json.loads, told.stderr.splitlines())
    assert told.stdout == "to standard output\n"
    assert (event["event"], event["number"], event["text"]) == ("an event", 1, "茶")
    assert (old["event"], old["level"]) == ("an old friend", "warning")
    assert failed["event"] == "it failed"
    assert failed["exception"][0]["exc_type"] == "LookupError"
    for each in (event, old, failed):
        assert each["request_id"] == "the-request"
        assert each["timestamp"].endswith("Z")


def test_a_traceback_shows_no_secret(told: subprocess.CompletedProcess[str]) -> None:
    assert SECRET not in told.stderr
    assert "the-bearer-token" not in told.stderr
