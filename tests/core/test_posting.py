"""What is posted is signed as receivers expect it, and goes nowhere but out."""

import asyncio
import ipaddress
import json
import ssl
import subprocess
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from standardwebhooks import Webhook
from starlette.responses import Response

from core import endpoints, posting
from core.errors import Mistake
from core.posting import Message
from tests import receiver
from tests.ports import free_port
from tests.receiver import Receiver

OURS = frozenset({"127.0.0.1", "localhost"})
SECRET = bytes(range(32))
MESSAGE = Message("msg_1", '{"type":"a"}', SECRET)


@pytest.fixture
async def shop() -> AsyncIterator[Receiver]:
    async with receiver.running() as running:
        yield running


async def post(url: str, hosts: frozenset[str] = OURS) -> posting.Outcome:
    return await posting.post(url, MESSAGE, datetime.now(UTC), hosts)


# ------------------------------------------------------------------ what is signed


def test_a_signature_is_that_of_the_reference_implementation() -> None:
    body, at = '{"test": 2432232314}', datetime.fromtimestamp(1614265330, UTC)
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    theirs = Webhook(secret)
    message = Message("msg_p5jXN8AQM9LWM0D4loKWxJek", body, theirs._whsecret)
    ours = posting.signature(message, 1614265330)
    assert ours == theirs.sign(message.id, at, body)
    assert ours == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


async def test_a_receivers_library_verifies_what_it_gets(shop: Receiver) -> None:
    assert await post(shop.url()) == posting.Outcome(None)
    [got] = shop.got
    verified = Webhook(endpoints.shown(SECRET)).verify(got.body, dict(got.headers))
    assert verified == json.loads(MESSAGE.body)
    assert got.headers["content-type"] == "application/json"
    assert got.headers["host"] == f"127.0.0.1:{shop.port}"


# ------------------------------------------------------------------ what an answer means


@pytest.mark.parametrize(
    ("status", "taken"), [(200, True), (299, True), (300, False), (400, False), (500, False)]
)
async def test_what_is_no_2xx_was_not_taken(shop: Receiver, status: int, taken: bool) -> None:
    shop.answer(status)
    assert (await post(shop.url())).error == (None if taken else f"HTTP {status}")


async def test_no_redirect_is_followed(shop: Receiver) -> None:
    shop.answers.append(Response(status_code=307, headers={"location": shop.url("/other")}))
    assert (await post(shop.url())).error == "HTTP 307"
    assert [each.path for each in shop.got] == ["/hook"]


async def test_410_says_that_it_wants_no_more(shop: Receiver) -> None:
    shop.answer(410, body="moved out")
    assert await post(shop.url()) == posting.Outcome("HTTP 410 moved out", gone=True)


async def test_of_a_refusal_500_characters_are_kept_that_can_be_stored(shop: Receiver) -> None:
    shop.answers.append(Response(b"\0\xff\n" + b"x" * 1_000_000, 500))
    error = (await post(shop.url())).error
    assert error is not None
    assert len(error) == posting.ERROR_CHARACTERS
    assert error.startswith("HTTP 500  � xxx")


async def test_who_does_not_answer_in_time_has_not_taken_it(
    shop: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posting, "TIMEOUT_SECONDS", 0.2)
    shop.open.clear()
    assert (await post(shop.url())).error == "no answer within 0.2 s"


async def test_nobody_there_is_an_outcome_and_no_exception() -> None:
    error = (await post(f"http://127.0.0.1:{free_port()}/")).error
    assert error is not None
    assert error.startswith("ConnectError")
    error = (await post("https://nobody.invalid/")).error
    assert error is not None
    assert error.startswith("gaierror")


# ------------------------------------------------------------------ where it may go


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example/a?b=c",
        "https://hooks.example:65535/",
        "https://1.1.1.1/",
        "https://[2606:4700:4700::1111]/",
        "http://localhost:8080/hook",
        "https://127.0.0.1/",
        "https://商店.example/",
    ],
)
def test_public_addresses_of_https_and_named_hosts_are_accepted(url: str) -> None:
    assert posting.check_url(f" {url} ", OURS) == url


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("", "REQUIRED"),
        ("https://hooks.example/" + "x" * posting.URL_CHARACTERS, "TOO_LONG"),
        ("hooks.example", "INVALID"),
        ("https://", "INVALID"),
        ("https:///path", "INVALID"),
        ("http://hooks.example/", "INVALID"),
        ("ftp://localhost/", "INVALID"),
        ("https://user@hooks.example/", "INVALID"),
        ("https://user:word@hooks.example/", "INVALID"),
        ("https://hooks.example/#part", "INVALID"),
        ("https://hooks.example:0x/", "INVALID"),
        ("https://hooks.example:0/", "INVALID"),
        ("https://hooks.example:65536/", "INVALID"),
        ("https://hooks .example/", "INVALID"),
        ("https://hooks.example/\n/", "INVALID"),
        ("https://10.0.0.1/", "INVALID"),
        ("https://169.254.169.254/latest/meta-data", "INVALID"),
        ("https://[::1]/", "INVALID"),
        ("https://[::ffff:10.0.0.1]/", "INVALID"),
    ],
)
def test_other_addresses_are_refused(url: str, code: str) -> None:
    with pytest.raises(Mistake) as caught:
        posting.check_url(url, OURS)
    assert (caught.value.code, caught.value.field) == (code, ("url",))


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("9.255.255.255", True),
        ("10.0.0.0", False),
        ("100.64.0.1", False),
        ("127.0.0.1", False),
        ("169.254.1.1", False),
        ("172.15.255.255", True),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("0.0.0.0", False),  # noqa: S104 - an address to be told from others
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("2606:4700:4700::1111", True),
        ("::", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("ff02::1", False),
        ("::ffff:8.8.8.8", True),
        ("::ffff:127.0.0.1", False),
        ("64:ff9b::808:808", True),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
        ("2002:808:808::", True),
    ],
)
def test_an_address_is_public_or_not_however_it_is_spelled(address: str, public: bool) -> None:
    assert posting.is_public(ipaddress.ip_address(address)) is public


@pytest.mark.parametrize("host", ["localhost", "127.1", "2130706433", "0x7f.1"])
async def test_a_name_of_a_private_address_leads_nowhere(shop: Receiver, host: str) -> None:
    error = (await post(f"https://{host}:{shop.port}/", frozenset())).error
    assert error is not None
    assert error.endswith("is in a private network")
    assert shop.got == []


async def test_a_name_with_one_private_address_among_others_leads_nowhere(
    shop: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def two(*name: object, **how: object) -> list[tuple[object, ...]]:
        return [(0, 0, 0, "", (each, 0)) for each in ("8.8.8.8", "127.0.0.1")]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", two)
    error = (await post("https://hooks.example/", frozenset())).error
    assert error == "hooks.example is in a private network"


async def test_where_one_address_does_not_answer_the_next_is_tried(
    shop: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def two(*name: object, **how: object) -> list[tuple[object, ...]]:
        return [(0, 0, 0, "", (each, 0)) for each in ("::1", "127.0.0.1")]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", two)
    assert (await post(shop.url(host="localhost"))).error is None


# ------------------------------------------------------------------ certificates


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Of the name localhost, and of no address."""
    folder: Path = tmp_path_factory.mktemp("certificate")
    key, cert = str(folder / "key.pem"), str(folder / "cert.pem")
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-nodes", "-days", "2", "-newkey", "ec"),
            *("-pkeyopt", "ec_paramgen_curve:prime256v1", "-keyout", key, "-out", cert, *subject),
        ],
        check=True,
        capture_output=True,
    )
    return key, cert


async def test_the_certificate_has_to_be_of_the_name_and_believed(
    certificate: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    key, cert = certificate
    async with receiver.running(ssl_keyfile=key, ssl_certfile=cert) as shop:
        error = (await post(shop.url(host="localhost"))).error
        assert error is not None
        assert "CERTIFICATE_VERIFY_FAILED" in error
        believing = httpx.create_ssl_context(verify=ssl.create_default_context(cafile=cert))
        monkeypatch.setattr(posting, "_trusted", lambda: believing)
        assert (await post(shop.url(host="localhost"))).error is None
        error = (await post(shop.url(host="127.0.0.1"))).error
        assert error is not None
        assert "IP address mismatch" in error
        assert len(shop.got) == 1
