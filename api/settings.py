"""Owns the settings: the only reader of the environment."""

import contextlib
import difflib
import os
import re
import secrets
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import SplitResult, urlsplit
from zoneinfo import available_timezones

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from api.failed import Failed

PREFIX = "WELLSPRING_"
SHORTEST_SECRET = 32
WILDCARDS = {"0.0.0.0", "::"}  # noqa: S104 - recognised here, not bound to
HIDDEN = {
    "secret",
    "payee_keys",
    "database_url",
    "broker_url",
    "wechat_app_secret",
}  # may hold a password

Listed = Annotated[tuple[str, ...], NoDecode]


class BadSettings(Failed):
    """The settings do not hold together; each line names one and the forms it accepts."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__("\n".join(lines))


class Settings(BaseSettings):
    """What an installation can choose. Every description says which forms are accepted."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, env_ignore_empty=True)

    database_url: str = Field(
        default="sqlite://var/wellspring.db",
        description="sqlite://PATH or postgres://USER:PASSWORD@HOST:PORT/NAME",
    )
    broker_url: str = Field(
        default="memory://",
        description="memory:// (the worker lives in the server's process) or redis://HOST:PORT/DB",
    )
    host: str = Field(default="127.0.0.1", description="the address to listen on, such as 0.0.0.0")
    port: int = Field(default=8000, ge=1, le=65535, description="a number from 1 to 65535")
    public_url: str = Field(
        default="",
        description="the address that people see, such as https://go.example.com, without path",
    )
    target_hosts: Listed = Field(
        default=(),
        description="hosts that links may lead to, separated by commas: shop.example.com",
    )
    assets: str = Field(
        default="",
        description="the directory of uploaded files, such as /srv/wellspring/assets; by default "
        "`assets` beside an SQLite database, var/assets else",
    )
    content_url: str = Field(
        default="",
        description="an address for contents with {slug}, {id} or {locale} in it, such as "
        "https://www.example.com/read/{slug}; by default our own page",
    )
    webhook_hosts: Listed = Field(
        default=(),
        description="hosts of webhooks that may be of a private network and may be spoken to by "
        "http, separated by commas: hooks.internal",
    )
    cors_origins: Listed = Field(
        default=(),
        description="origins of web front-ends, separated by commas: https://www.example.com",
    )
    max_depth: int = Field(
        default=15, ge=1, le=100, description="how deep a document may select, from 1 to 100"
    )
    max_aliases: int = Field(
        default=30, ge=0, le=1000, description="how many aliases a document may have, up to 1000"
    )
    max_tokens: int = Field(
        default=2_000, ge=100, le=20_000, description="how long a document may be, 100 to 20000"
    )
    max_cost: int = Field(
        default=10_000,
        ge=1_000,
        le=10_000_000,
        description="what one request may cost, from 1000 to 10000000",
    )
    rate_limit: int = Field(
        default=1_200,
        ge=0,
        le=1_000_000,
        description="how many requests a minute a viewer and an address may send each, up to "
        "1000000; 0 for any number",
    )
    keep_days: int = Field(
        default=30,
        ge=0,
        le=3_650,
        description="how many days done work, deliveries of webhooks and jobs that have ended are "
        "kept, up to 3650; 0 for ever",
    )
    deadline_seconds: int = Field(
        default=10, ge=1, le=600, description="how long a request may read, from 1 to 600"
    )
    trusted_documents: str = Field(
        default="",
        description="the JSON file of trusted documents, such as persisted-documents.json",
    )
    trusted_documents_only: bool = Field(
        default=False, description="false, or true: no other documents are taken"
    )
    introspection: bool = Field(
        default=True, description="true, or false: clients cannot ask for the schema"
    )
    suggestions: bool = Field(
        default=True, description="true, or false: mistakes do not name what may have been meant"
    )
    playground: bool = Field(
        default=True, description="true, or false: there is no playground at /playground"
    )
    currency: str = Field(
        default="CNY", description="an ISO 4217 code of three capitals, such as CNY"
    )
    time_zone: str = Field(
        default="Asia/Shanghai", description="an IANA name, such as Asia/Shanghai"
    )
    secret: str = Field(
        default="",
        description=f"at least {SHORTEST_SECRET} characters that nobody can guess; made and kept "
        "beside the database when unset on SQLite, needed on PostgreSQL",
    )
    payee_keys: Listed = Field(
        default=(),
        description=f"secrets of at least {SHORTEST_SECRET} characters, separated by commas: the "
        "first encrypts where members are paid, all of them and SECRET decrypt; by default SECRET",
    )
    risk_registrations: int = Field(
        default=100,
        ge=0,
        le=1_000_000,
        description="how many registrations a promoter may bring within RISK_WINDOW_MINUTES before "
        "what they earn is held: a number from 0, which switches it off, to 1000000",
    )
    risk_orders: int = Field(
        default=100, ge=0, le=1_000_000, description="likewise orders: a number from 0 to 1000000"
    )
    risk_window_minutes: int = Field(
        default=60, ge=1, le=10_080, description="a number from 1 to 10080, which is a week"
    )

    wechat_url: str = Field(
        default="https://api.weixin.qq.com",
        description="the address of WeChat's server, such as https://api.weixin.qq.com, "
        "without path",
    )
    wechat_app_id: str = Field(
        default="",
        description="the AppID of your mini-program, such as wx0123456789abcdef; without one "
        "nobody signs in by WeChat",
    )
    wechat_app_secret: str = Field(
        default="", description="the AppSecret of the mini-program, needed beside its AppID"
    )

    @field_validator("target_hosts", "webhook_hosts", "cors_origins", "payee_keys", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return tuple(part.strip() for part in value.split(",") if part.strip())

    @field_validator("database_url")
    @classmethod
    def _database(cls, value: str) -> str:
        value = re.sub(r"^postgresql://", "postgres://", value)
        parts = urlsplit(value)
        path = value.removeprefix("sqlite://")
        sqlite = parts.scheme == "sqlite" and path not in {"", ":memory:"}
        named = parts.path.strip("/") and not parts.query  # no option would be carried out
        postgres = parts.scheme == "postgres" and _host(parts) and named
        return _accept(value, sqlite or postgres)

    @field_validator("broker_url")
    @classmethod
    def _broker(cls, value: str) -> str:
        parts = urlsplit(value)
        redis = parts.scheme in {"redis", "rediss"} and _host(parts)
        numbered = re.fullmatch(r"/?[0-9]*", parts.path)
        return _accept(value, value == "memory://" or (redis and numbered))

    @field_validator("public_url")
    @classmethod
    def _public(cls, value: str) -> str:
        return _accept(value, not value or _is_origin(value)).rstrip("/")

    @field_validator("wechat_url")
    @classmethod
    def _wechat(cls, value: str) -> str:
        return _accept(value, _is_origin(value)).rstrip("/")

    @field_validator("wechat_app_id", "wechat_app_secret")
    @classmethod
    def _wechat_name(cls, value: str) -> str:
        return _accept(value, re.fullmatch(r"[A-Za-z0-9_-]*", value))

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_accept(each, each == "*" or _is_origin(each)).rstrip("/") for each in value)

    @field_validator("target_hosts", "webhook_hosts")
    @classmethod
    def _hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for each in value:
            _accept(each, re.fullmatch(r"[A-Za-z0-9.-]+", each))
        return tuple(each.lower() for each in value)

    @field_validator("content_url")
    @classmethod
    def _content(cls, value: str) -> str:
        if not value:
            return value
        try:
            filled = value.format(slug="a", id="b", locale="c")
        except (LookupError, ValueError, AttributeError) as error:
            raise ValueError("other placeholders") from error
        web = urlsplit(value).scheme in {"http", "https"}
        return _accept(value, web and filled != value and not set("{}") & set(filled))

    @field_validator("currency")
    @classmethod
    def _currency(cls, value: str) -> str:
        return _accept(value, re.fullmatch(r"[A-Z]{3}", value))

    @field_validator("time_zone")
    @classmethod
    def _zone(cls, value: str) -> str:
        return _accept(value, value in available_timezones())

    @field_validator("secret")
    @classmethod
    def _long(cls, value: str) -> str:
        return _accept(value, not value or len(value) >= SHORTEST_SECRET)

    @field_validator("payee_keys")
    @classmethod
    def _all_long(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_accept(each, len(each) >= SHORTEST_SECRET) for each in value)

    @property
    def base_url(self) -> str:
        """Where people reach this server, without a slash at the end."""
        host = "localhost" if self.host in WILDCARDS else self.host
        return self.public_url or f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def content_address(self) -> str:
        """The address of a content, with its placeholders."""
        return self.content_url or f"{self.base_url}/c/{{slug}}"

    @property
    def assets_path(self) -> Path:
        """Where uploaded files are kept."""
        if self.assets:
            return Path(self.assets)
        on_sqlite = self.database_url.startswith("sqlite://")
        return self._beside_database("assets") if on_sqlite else Path("var/assets")

    @property
    def link_hosts(self) -> frozenset[str]:
        """The hosts that a link may lead to, our own among them."""
        return frozenset({*self.target_hosts, urlsplit(self.base_url).hostname or ""})

    @property
    def embedded(self) -> bool:
        """Whether the worker has to live in the process that serves."""
        return self.broker_url == "memory://"

    def payee_secrets(self) -> tuple[str, ...]:
        """What encrypts where members are paid first, and what else decrypts it behind."""
        return (*self.payee_keys, self.signing_key())

    def signing_key(self) -> str:
        """The secret, made and kept beside an SQLite database on first use. Safe to race for."""
        if self.secret:
            return self.secret
        path = self._beside_database("secret")
        try:
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                _create(path, secrets.token_urlsafe(SHORTEST_SECRET))
            return path.read_text()
        except OSError as error:
            line = f"{PREFIX}SECRET is not set and cannot be kept in {path.parent}: {error}."
            raise BadSettings([line]) from error

    def _beside_database(self, name: str) -> Path:
        return Path(self.database_url.removeprefix("sqlite://")).parent / name


def _create(path: Path, text: str) -> None:
    """Makes a file that only its owner reads, whole or not at all; the first one made stays."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent) as file:
        file.write(text)
        file.flush()
        with contextlib.suppress(FileExistsError):
            os.link(file.name, path)


def _host(parts: SplitResult) -> bool:
    """Whether there is a host, and no port or one that is a number (ValueError else)."""
    return bool(parts.hostname) and parts.port != 0


def _is_origin(value: str) -> bool:
    parts = urlsplit(value)
    bare = not (parts.path.strip("/") or parts.query or parts.fragment or parts.username)
    return parts.scheme in {"http", "https"} and _host(parts) and bare


def _accept(value: str, accepted: object) -> str:
    if not accepted:
        raise ValueError("not accepted")
    return value


def load() -> Settings:
    """The settings of this process; raises `BadSettings` naming everything that is wrong."""
    unknown = [_unknown(name) for name in sorted(os.environ) if _is_unknown(name)]
    try:
        settings = Settings()
    except ValidationError as error:
        raise BadSettings([*unknown, *map(_line, error.errors())]) from error
    if not settings.secret and not settings.database_url.startswith("sqlite://"):
        unknown.append(f"{PREFIX}SECRET is not set. Accepted: {_accepted('secret')}.")
    if settings.trusted_documents_only and not settings.trusted_documents:
        accepted = _accepted("trusted_documents")
        unknown.append(f"{PREFIX}TRUSTED_DOCUMENTS is not set. Accepted: {accepted}.")
    if settings.wechat_app_id and not settings.wechat_app_secret:
        accepted = _accepted("wechat_app_secret")
        unknown.append(f"{PREFIX}WECHAT_APP_SECRET is not set. Accepted: {accepted}.")
    if unknown:
        raise BadSettings(unknown)
    return settings


def _is_unknown(name: str) -> bool:
    return (
        name.startswith(PREFIX) and name.removeprefix(PREFIX).lower() not in Settings.model_fields
    )


def _unknown(name: str) -> str:
    fields = [field.upper() for field in Settings.model_fields]
    close = difflib.get_close_matches(name.removeprefix(PREFIX).upper(), fields, n=1)
    names = ", ".join(PREFIX + field for field in fields)
    meant = f"did you mean {PREFIX}{close[0]}?" if close else f"the settings are {names}."
    return f"{name} is no setting; {meant}"


def _line(error: Any) -> str:
    field = str(error["loc"][0])
    shown = "a value that is not shown" if field in HIDDEN else repr(error["input"])
    return f"{PREFIX}{field.upper()} does not accept {shown}. Accepted: {_accepted(field)}."


def _accepted(field: str) -> str:
    return Settings.model_fields[field].description or ""
