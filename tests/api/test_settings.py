"""The settings: what each accepts, what it says otherwise, and the secret that makes itself."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from api import settings
from api.settings import BadSettings, Settings

SECRET = "0123456789abcdef0123456789abcdef"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(settings.PREFIX):
            monkeypatch.delenv(name)


def load(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Settings:
    for name, value in variables.items():
        monkeypatch.setenv(settings.PREFIX + name, value)
    return settings.load()


def test_without_any_setting_everything_is_in_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    found = load(monkeypatch)
    assert found.database_url == "sqlite://var/wellspring.db"
    assert found.broker_url == "memory://"
    assert found.embedded
    assert found.base_url == "http://127.0.0.1:8000"
    assert found.content_address == "http://127.0.0.1:8000/c/{slug}"
    assert (found.currency, found.time_zone) == ("CNY", "Asia/Shanghai")
    assert found.link_hosts == {"127.0.0.1"}


ACCEPTED = [
    ("DATABASE_URL", "sqlite:///var/lib/w.db", "sqlite:///var/lib/w.db"),
    ("DATABASE_URL", "sqlite://w.db", "sqlite://w.db"),
    ("DATABASE_URL", "postgres://u:p@db:5432/w", "postgres://u:p@db:5432/w"),
    ("DATABASE_URL", "postgresql://u@db/w", "postgres://u@db/w"),
    ("BROKER_URL", "memory://", "memory://"),
    ("BROKER_URL", "redis://127.0.0.1:6379/1", "redis://127.0.0.1:6379/1"),
    ("BROKER_URL", "rediss://:p@cache/0", "rediss://:p@cache/0"),
    ("HOST", "0.0.0.0", "0.0.0.0"),  # noqa: S104 - a value to be read
    ("PORT", "1", 1),
    ("PORT", "65535", 65535),
    ("KEEP_DAYS", "0", 0),
    ("KEEP_DAYS", "3650", 3650),
    ("PUBLIC_URL", "https://go.example.com", "https://go.example.com"),
    ("PUBLIC_URL", "https://go.example.com/", "https://go.example.com"),
    ("PUBLIC_URL", "http://10.0.0.1:8080", "http://10.0.0.1:8080"),
    ("TARGET_HOSTS", "Shop.Example, b.example,,", ("shop.example", "b.example")),
    ("TARGET_HOSTS", "", ()),
    ("ASSETS", "/srv/assets", "/srv/assets"),
    ("CONTENT_URL", "https://e.com/{locale}/{slug}", "https://e.com/{locale}/{slug}"),
    ("CONTENT_URL", "http://e.com/read?id={id}", "http://e.com/read?id={id}"),
    ("CORS_ORIGINS", "https://a.com, http://b.com:81", ("https://a.com", "http://b.com:81")),
    ("CORS_ORIGINS", "*", ("*",)),
    ("CURRENCY", "GBP", "GBP"),
    ("TIME_ZONE", "Europe/London", "Europe/London"),
    ("TIME_ZONE", "UTC", "UTC"),
    ("SECRET", SECRET, SECRET),
    ("PAYEE_KEYS", f"{SECRET}, {SECRET[::-1]}", (SECRET, SECRET[::-1])),
    ("WECHAT_URL", "http://127.0.0.1:9000/", "http://127.0.0.1:9000"),
    ("WECHAT_APP_SECRET", "0123456789abcdef", "0123456789abcdef"),
]
REFUSED = [
    ("DATABASE_URL", "sqlite://"),
    ("DATABASE_URL", "mysql://u:hunter2@db/w"),
    ("DATABASE_URL", "postgres://u:hunter2@db"),
    ("DATABASE_URL", "postgres://u:hunter2@[db/w"),
    ("DATABASE_URL", "var/hunter2.db"),
    ("BROKER_URL", "memory"),
    ("BROKER_URL", "amqp://127.0.0.1"),
    ("BROKER_URL", "redis://"),
    ("KEEP_DAYS", "-1"),
    ("KEEP_DAYS", "3651"),
    ("KEEP_DAYS", "0.5"),
    ("PORT", "0"),
    ("PORT", "65536"),
    ("PORT", "http"),
    ("PORT", "80.5"),
    ("PUBLIC_URL", "go.example.com"),
    ("PUBLIC_URL", "ftp://go.example.com"),
    ("PUBLIC_URL", "https://"),
    ("PUBLIC_URL", "https://example.com/shop"),
    ("TARGET_HOSTS", "https://shop.example"),
    ("TARGET_HOSTS", "shop.example/path"),
    ("TARGET_HOSTS", "good.example, *.bad"),
    ("CONTENT_URL", "https://e.com/read"),
    ("CONTENT_URL", "https://e.com/{title}"),
    ("CONTENT_URL", "https://e.com/{slug}/{0}"),
    ("CONTENT_URL", "/{slug}"),
    ("CORS_ORIGINS", "www.example.com"),
    ("CORS_ORIGINS", "https://good.example, bad"),
    ("CURRENCY", "cny"),
    ("CURRENCY", "EURO"),
    ("TIME_ZONE", "Mars/Olympus"),
    ("TIME_ZONE", "../../etc/passwd"),
    ("SECRET", SECRET[:-1]),
    ("PAYEE_KEYS", SECRET[:-1]),
    ("PAYEE_KEYS", f"{SECRET},hunter2"),
    ("WECHAT_URL", "api.weixin.qq.com"),
    ("WECHAT_URL", "https://api.weixin.qq.com/sns"),
    ("WECHAT_APP_ID", "wx 0123"),
    ("WECHAT_APP_SECRET", "hunter2 "),
]
REFUSED_FOR_LATER_HARM = [
    ("DATABASE_URL", "postgres://u:p@db:port/w"),
    ("BROKER_URL", "redis://cache:port/0"),
    ("BROKER_URL", "redis://cache/zero"),
    ("PUBLIC_URL", "*"),
    ("PUBLIC_URL", "https://example.com?x=1"),
    ("CONTENT_URL", "https://e.com/{slug}}"),
    ("CONTENT_URL", "https://e.com/{slug}/{"),
    ("TIME_ZONE", "Europe"),
]


@pytest.mark.parametrize(("name", "text", "value"), ACCEPTED)
def test_an_accepted_form_is_read(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str, value: object
) -> None:
    secret = {} if name == "SECRET" else {"SECRET": SECRET}
    assert getattr(load(monkeypatch, **secret, **{name: text}), name.lower()) == value


@pytest.mark.parametrize(("name", "text"), REFUSED)
def test_any_other_form_is_refused_with_the_name_and_the_forms(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    secret = {} if name == "SECRET" else {"SECRET": SECRET}
    with pytest.raises(BadSettings) as caught:
        load(monkeypatch, **secret, **{name: text})
    [line] = str(caught.value).splitlines()
    assert line.startswith(f"WELLSPRING_{name} does not accept ")
    assert f"Accepted: {Settings.model_fields[name.lower()].description}" in line
    if name in {"SECRET", "PAYEE_KEYS", "DATABASE_URL", "BROKER_URL", "WECHAT_APP_SECRET"}:
        assert repr(text) not in line
        assert "hunter2" not in line
    else:
        assert repr(text) in line or "," in text


@pytest.mark.parametrize(("name", "text"), REFUSED_FOR_LATER_HARM)
def test_what_would_fail_at_the_first_request_is_refused_at_the_start(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    with pytest.raises(BadSettings, match=f"WELLSPRING_{name} does not accept"):
        load(monkeypatch, SECRET=SECRET, **{name: text})


def test_a_password_in_the_brokers_address_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadSettings) as caught:
        load(monkeypatch, BROKER_URL="amqp://user:hunter2@broker")
    assert "hunter2" not in str(caught.value)


def test_a_mini_program_is_named_with_its_secret_or_not_at_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert load(monkeypatch).wechat_url == "https://api.weixin.qq.com"
    with pytest.raises(BadSettings, match="WELLSPRING_WECHAT_APP_SECRET is not set"):
        load(monkeypatch, WECHAT_APP_ID="wx0123456789abcdef")
    found = load(monkeypatch, WECHAT_APP_SECRET="hunter2")
    assert (found.wechat_app_id, found.wechat_app_secret) == ("wx0123456789abcdef", "hunter2")


def test_an_origin_with_a_slash_means_the_origin(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(monkeypatch, CORS_ORIGINS="https://a.com/").cors_origins == ("https://a.com",)


def test_everything_that_is_wrong_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadSettings) as caught:
        load(monkeypatch, PORT="x", CURRENCY="yuan", DATABSE_URL="sqlite://w.db")
    lines = str(caught.value).splitlines()
    assert [line.partition(" ")[0] for line in lines] == [
        "WELLSPRING_DATABSE_URL",
        "WELLSPRING_PORT",
        "WELLSPRING_CURRENCY",
    ]
    assert "did you mean WELLSPRING_DATABASE_URL?" in lines[0]


def test_a_name_that_resembles_none_is_told_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadSettings) as caught:
        load(monkeypatch, ZZZZZZZZ="1")
    assert "the settings are" in str(caught.value)
    assert all(f"WELLSPRING_{name.upper()}" in str(caught.value) for name in Settings.model_fields)


def test_other_variables_are_nobodys_business(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WELL_PORT", "x")
    monkeypatch.setenv("PORT", "x")
    assert load(monkeypatch).port == 8000


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({}, "var/assets"),
        ({"database_url": "sqlite:///srv/tea.db"}, "/srv/assets"),
        ({"database_url": "sqlite://tea.db"}, "assets"),
        ({"database_url": "postgres://u@db/w"}, "var/assets"),
        ({"database_url": "sqlite:///srv/tea.db", "assets": "/mnt/files"}, "/mnt/files"),
    ],
)
def test_uploads_lie_beside_the_database_unless_said(given: dict[str, str], path: str) -> None:
    assert Settings(**given).assets_path == Path(path)


def test_postgresql_needs_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadSettings, match="WELLSPRING_SECRET is not set") as caught:
        load(monkeypatch, DATABASE_URL="postgres://u:hunter2@db/w")
    assert "hunter2" not in str(caught.value)


def test_the_secret_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    home = tmp_path / "var"
    of = Settings(database_url=f"sqlite://{home}/w.db")
    first = of.signing_key()
    assert len(first) >= settings.SHORTEST_SECRET
    assert stat.S_IMODE((home / "secret").stat().st_mode) == 0o600
    assert [path.name for path in home.iterdir()] == ["secret"]
    assert of.signing_key() == Settings(database_url=of.database_url).signing_key() == first


def test_processes_that_start_together_agree_on_one_secret(tmp_path: Path) -> None:
    many = [Settings(database_url=f"sqlite://{tmp_path}/w.db") for _ in range(32)]
    with ThreadPoolExecutor(len(many)) as pool:
        found = set(pool.map(Settings.signing_key, many))
    assert len(found) == 1


def test_a_given_secret_is_used_and_none_is_made(tmp_path: Path) -> None:
    of = Settings(database_url=f"sqlite://{tmp_path}/w.db", secret=SECRET)
    assert of.signing_key() == SECRET
    assert list(tmp_path.iterdir()) == []


def test_payees_are_encrypted_by_the_newest_key_and_the_secret_still_decrypts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert load(monkeypatch, SECRET=SECRET).payee_secrets() == (SECRET,)
    newest = SECRET[::-1]
    assert load(monkeypatch, PAYEE_KEYS=newest).payee_secrets() == (newest, SECRET)
