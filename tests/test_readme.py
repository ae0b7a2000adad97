"""What the README has people paste does what it says."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import httpx

from tests.ports import free_port

ROOT = Path(__file__).parent.parent
PATIENCE_SECONDS = 30


def _loop() -> str:
    section = (ROOT / "README.md").read_text().split("## The loop")[1]
    found = re.search(r"```sh\n(.*?)```", section, re.DOTALL)
    assert found
    return found[1]


def _until_ready(address: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            httpx.get(f"{address}/health/ready").raise_for_status()
        except httpx.HTTPError:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        else:
            return


def test_the_loop_of_the_readme_runs_as_it_is_pasted(tmp_path: Path) -> None:
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    environment = {name: value for name, value in os.environ.items() if "WELLSPRING" not in name}
    environment |= {
        "WELLSPRING_DATABASE_URL": f"sqlite://{tmp_path / 'wellspring.db'}",
        "WELLSPRING_PORT": str(port),
    }
    script = (
        _loop()
        .replace("http://127.0.0.1:8000", address)
        .replace(".venv/bin/python", sys.executable)
        .replace(".venv/bin/wellspring", f"{sys.executable} -m api")
    )
    server = subprocess.Popen(
        [sys.executable, "-m", "api", "run"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _until_ready(address)
        pasted = subprocess.run(
            ["bash", "-c", script],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
    finally:
        server.terminate()
        server.wait(PATIENCE_SECONDS)

    answers = pasted.stdout
    assert "Why we pick before dawn" in answers
    assert '"status":"PENDING"' in answers
    assert '"status":"CREDITED","attributions":[{"promoter":{"displayName":"Lin' in answers
    assert '"commissions":[{"amount":30000,"reversed":0}]' in answers
    assert '"verdict":"CREDITED"' in answers
    assert '"pending":20000' in answers
    assert '{"kind":"REVERSE","account":"PENDING","amount":-10000}' in answers
    assert '"code"' not in answers, "something was refused"
