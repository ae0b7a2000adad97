"""The playground in a browser: a newcomer publishes a piece and shares it, and nothing leaves our
own origin."""

import json
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from api import demo
from api.settings import Settings
from content import assets
from core import database
from members import payees
from tests.conftest import CHROMIUMS, SECRET, require
from tests.served import served

ROOT = Path(__file__).parents[2]
JOURNEY = ROOT / "tests" / "playground"
WITH_NODE = ROOT / "api" / "playground" / "with_node"
PATIENCE_SECONDS = 600


@pytest.fixture(scope="session")
def page() -> None:
    """The page as its sources are now, and what drives the browser."""
    require("chromium")
    subprocess.run(["make", "--silent", "playground"], cwd=ROOT, check=True)
    if not (JOURNEY / "node_modules").is_dir():
        subprocess.run([WITH_NODE, "npm", "ci", "--loglevel=error"], cwd=JOURNEY, check=True)


@pytest.mark.slow
async def test_a_newcomer_publishes_and_shares_in_the_playground(
    page: None, sqlite_url: str, tmp_path: Path
) -> None:
    async with database.opened(sqlite_url):
        loaded = await demo.load(
            "CNY",
            "Asia/Shanghai",
            assets.DirectoryStore(tmp_path / "assets"),
            datetime.now(UTC),
            payees.vault(Settings(secret=SECRET).payee_secrets()),
        )
    tokens = {person.key: token for person, token in loaded.items()}
    async with served(sqlite_url) as server:
        played = subprocess.run(  # noqa: ASYNC221 - nothing else runs in this loop
            [WITH_NODE, "node", "journey.mjs", _chromium(), server.address, str(tmp_path)],
            cwd=JOURNEY,
            input=json.dumps(tokens),
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
    assert played.returncode == 0, f"{played.stdout}\n{played.stderr}\npictures: {tmp_path}"


def _chromium() -> str:
    return next(filter(None, map(shutil.which, CHROMIUMS)))
