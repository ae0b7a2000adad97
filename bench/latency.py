"""How long an order takes from `orderRecord` until it is decided, on an idle machine.

    python bench/latency.py             SQLite, one process
    python bench/latency.py --scaled    PostgreSQL and Redis, a server and a worker

The yardstick is the same client asking the same server for `{ viewer { id } }`.
"""

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parent.parent
ORDERS = 100
POSTGRES = os.environ.get("TEST_POSTGRES_URL", "postgres://postgres@127.0.0.1:5432")
REDIS = os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379")
ORDER = """mutation ($input: OrderRecordInput!) {
  orderRecord(input: $input) { errors { code message } } }"""
STATUS = """query ($id: String!) {
  conversion(source: "bench", externalId: $id) { status } }"""


@contextmanager
def installation(*, scaled: bool) -> Iterator[tuple[str, dict[str, str]]]:
    """A running installation: its address, and the environment of its commands."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as directory:
        environment = {
            **os.environ,
            "WELLSPRING_PORT": str(port),
            "WELLSPRING_SECRET": uuid.uuid4().hex,
            "WELLSPRING_RATE_LIMIT": "0",
            "WELLSPRING_DATABASE_URL": f"sqlite://{directory}/bench.db",
        }
        words = [["run"]]
        name = f"wellspring_bench_{uuid.uuid4().hex[:8]}"
        if scaled:
            sql("CREATE", name)
            environment["WELLSPRING_DATABASE_URL"] = f"{POSTGRES}/{name}"
            environment["WELLSPRING_BROKER_URL"] = f"{REDIS}/14"
            command("migrate", environment).wait()
            words = [["serve"], ["worker"]]
        processes = [command(word, environment) for [word] in words]
        try:
            address = f"http://127.0.0.1:{port}"
            wait_for(address)
            yield address, environment
        finally:
            for process in processes:
                process.terminate()
                process.wait()
            if scaled:
                sql("DROP", name)


def sql(verb: str, name: str) -> None:
    subprocess.run(
        ["psql", "-q", f"{POSTGRES}/postgres", "-c", f"{verb} DATABASE {name}"], check=True
    )


def command(word: str, environment: dict[str, str]) -> "subprocess.Popen[bytes]":
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen([sys.executable, "-m", "api", word], cwd=ROOT, env=environment, **quiet)


def wait_for(address: str) -> None:
    for _ in range(300):
        try:
            httpx.get(f"{address}/health/ready").raise_for_status()
        except httpx.HTTPError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit("the server did not start")


def measure(client: httpx.Client) -> tuple[list[float], list[float]]:
    """Milliseconds of each order until it is decided, and of each bare request."""

    def ask(query: str, **variables: Any) -> Any:
        answer = client.post("/graphql", json={"query": query, "variables": variables}).json()
        return answer["data"]

    decided, bare = [], []
    for number in range(ORDERS):
        started = time.perf_counter()
        order = {"source": "bench", "externalId": str(number), "amountMinor": 1}
        ask(ORDER, input={**order, "customerRef": "nobody"})
        while ask(STATUS, id=str(number))["conversion"]["status"] == "PENDING":
            time.sleep(0.002)
        decided.append((time.perf_counter() - started) * 1000)
        started = time.perf_counter()
        ask("{ viewer { id } }")
        bare.append((time.perf_counter() - started) * 1000)
        time.sleep(0.05)
    return decided, bare


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scaled", action="store_true", help="PostgreSQL and Redis")
    scaled = parser.parse_args().scaled
    with installation(scaled=scaled) as (address, environment):
        token = subprocess.run(
            [sys.executable, "-m", "api", "token", "bench@example.com", "--role", "SERVICE"],
            cwd=ROOT,
            env=environment,
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
        headers = {"authorization": f"Bearer {token}"}
        with httpx.Client(base_url=address, headers=headers) as client:
            decided, bare = measure(client)
    for name, values in (("orderRecord to decided", decided), ("a bare request", bare)):
        p95 = statistics.quantiles(values, n=20)[-1]
        print(f"{name}: median {statistics.median(values):.0f} ms, 95 % {p95:.0f} ms")
    print(f"ratio of the medians: {statistics.median(decided) / statistics.median(bare):.1f}")


if __name__ == "__main__":
    main()
