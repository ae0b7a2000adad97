"""What docker-compose.yml, the Dockerfile and .env.example name exists in the code."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import typer.main
import yaml
from starlette.routing import BaseRoute, Mount

import api.__main__
import api.app
from api.settings import Settings

ROOT = Path(__file__).parent.parent
COMPOSE = (ROOT / "docker-compose.yml").read_text()
DOCKERFILE = (ROOT / "Dockerfile").read_text()
ENV_EXAMPLE = (ROOT / ".env.example").read_text()
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE)["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}

SETTINGS = {f"WELLSPRING_{field.upper()}" for field in Settings.model_fields}
UVICORNS = {"FORWARDED_ALLOW_IPS"}  # which proxies to believe
SECRETS = {"POSTGRES_PASSWORD", "WELLSPRING_SECRET"}


def interpolations(text: str) -> list[tuple[str, str]]:
    """Every `${NAME…}` of a text, as the name and what follows it up to the brace."""
    return re.findall(r"\$\{(\w+)([^}]*)\}", text)


def assignments(text: str) -> dict[str, str]:
    """The variables that an env file sets or shows commented out."""
    return dict(re.findall(r"^(?:# )?([A-Z_]+)=(.*)$", text, re.MULTILINE))


def paths(routes: Iterable[BaseRoute], prefix: str = "") -> Iterator[str]:
    """The full path of every route, those under a mount included."""
    for route in routes:
        path = prefix + getattr(route, "path", "")
        yield from paths(route.routes, path) if isinstance(route, Mount) else [path]


@pytest.mark.parametrize(
    "text", [COMPOSE, DOCKERFILE, ENV_EXAMPLE], ids=["compose", "image", "env"]
)
def test_every_variable_named_is_a_setting(text: str):
    named = set(re.findall(r"\bWELLSPRING_[A-Z_]+", text))
    assert named
    assert named <= SETTINGS


@pytest.mark.parametrize("service", OURS)
def test_every_variable_in_compose_is_a_setting(service: str):
    assert OURS[service]["environment"]
    assert OURS[service]["environment"].keys() <= SETTINGS | UVICORNS


def test_every_command_exists():
    commands = typer.main.get_command(api.__main__.cli).commands  # type: ignore[attr-defined]
    image_command = re.findall(r'^CMD \["wellspring", "(\w+)"\]$', DOCKERFILE, re.MULTILINE)
    assert image_command == ["serve"]
    assert {name: service["command"] for name, service in OURS.items()} == {
        "migrate": ["wellspring", "migrate"],
        "api": ["wellspring", "serve"],
        "worker": ["wellspring", "worker"],
    }
    assert {service["command"][1] for service in OURS.values()} <= commands.keys()


def test_every_health_path_is_a_route_of_the_app():
    app = api.app.create(Settings(secret="of no worth outside of this test " * 2))
    urls = re.findall(r"http://[^\"'\s]*/health[^\"'\s]*", COMPOSE)
    assert urls
    assert {urlsplit(url).path for url in urls} <= set(paths(app.routes))


def test_the_health_check_asks_the_port_that_is_published():
    (published,) = SERVICES["api"]["ports"]
    (url,) = re.findall(r"http://127[^\"]*", SERVICES["api"]["healthcheck"]["test"][-1])
    assert published.endswith(f":{urlsplit(url).port}")
    assert urlsplit(url).port == Settings.model_fields["port"].default


def test_every_secret_is_required_and_has_no_default():
    operators: dict[str, set[str]] = {name: set() for name in SECRETS}
    for name, rest in interpolations(COMPOSE):
        if name in SECRETS:
            operators[name].add(rest[:2])
    assert operators == {name: {":?"} for name in SECRETS}


def test_no_secret_is_written_anywhere():
    assert {assignments(ENV_EXAMPLE)[name] for name in SECRETS} == {""}
    assert not any(secret in DOCKERFILE for secret in SECRETS)
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if re.search("PASSWORD|SECRET|TOKEN|KEY", name):
                assert value is None or value.startswith(f"${{{name}:?")


def test_every_variable_that_compose_reads_is_in_the_env_example():
    read = {name for name, _ in interpolations(COMPOSE)}
    passed_on = {
        name
        for service in OURS.values()
        for name, value in service["environment"].items()
        if value is None
    }
    assert assignments(ENV_EXAMPLE).keys() == read | passed_on


def test_redis_keeps_an_append_only_file_and_evicts_nothing():
    command = SERVICES["redis"]["command"]
    options = dict(zip(command[1::2], command[2::2], strict=True))
    assert command[0] == "redis-server"
    assert options == {"--appendonly": "yes", "--maxmemory-policy": "noeviction"}


def test_every_service_waits_for_a_state_that_the_other_can_reach():
    for service in OURS.values():
        for name, need in service["depends_on"].items():
            if need["condition"] == "service_healthy":
                assert SERVICES[name]["healthcheck"]["test"]
            else:
                assert need["condition"] == "service_completed_successfully"
                assert SERVICES[name]["restart"] == "no"


def test_whoever_uses_the_database_waits_for_its_migrations():
    for name in OURS.keys() - {"migrate"}:
        assert SERVICES[name]["depends_on"]["migrate"] == {
            "condition": "service_completed_successfully"
        }


def test_data_lies_on_named_volumes():
    volumes = yaml.safe_load(COMPOSE)["volumes"].keys()
    for name in ("postgres", "redis", "api"):
        (mount,) = SERVICES[name]["volumes"]
        assert mount.split(":")[0] in volumes


def test_uploads_lie_where_the_server_puts_them():
    (mount,) = SERVICES["api"]["volumes"]
    settings = Settings(database_url="postgres://of@no.matter/here")
    assert mount.split(":")[1] == f"/app/{settings.assets_path}"
    # A volume takes the owner of the directory that it covers.
    assert re.search(
        rf"^RUN install .*--owner wellspring .* {settings.assets_path}$", DOCKERFILE, re.MULTILINE
    )
