"""What a click says of its visitor, over real HTTP: the redirect, the cookie, people and bots."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from itsdangerous import Signer

from api.nodes import to_id
from api.settings import Settings
from api.visits import COOKIE
from content import lifecycle
from content.models import ContentStatus
from core import codes
from members.models import Role
from referral import links
from referral.models import Link, Touch
from tests import factories
from tests.api.books import nothing_written, on_sqlite_alone
from tests.client import PERSON, Api
from tests.conftest import SECRET, serving
from tests.ports import free_port

IN_APP = {
    "WeChat": PERSON,
    "WeChat on an iPhone": "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) "
    "AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 MicroMessenger/8.0.49(0x18003137) "
    "NetType/WIFI Language/zh_CN",
    "DingTalk": "Mozilla/5.0 (Linux; U; Android 12; zh-CN; PGT-AN10) AppleWebKit/537.36 (KHTML, "
    "like Gecko) Version/4.0 Chrome/100.0.4896.58 UCBrowser/13.9.8 Mobile Safari/537.36 "
    "AliApp(DingTalk/7.0.40) com.alibaba.android.rimet/29893361",
    "Alipay": "Mozilla/5.0 (Linux; U; Android 11; zh-CN; M2012K11AC) AppleWebKit/537.36 (KHTML, "
    "like Gecko) Version/4.0 Chrome/100.0.4896.58 UWS/4.2.3 Mobile Safari/537.36 UCBS/4.2.3 "
    "NebulaSDK/1.8 AlipayDefined(nt:WIFI,ws:393|0|2.75) AliApp(AP/10.3.10) AlipayClient/10.3.10",
    "Weibo": "Mozilla/5.0 (iPhone; CPU iPhone OS 16_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, "
    "like Gecko) Mobile/15E148 Weibo (iPhone14,5__weibo__13.9.0__iphone__os16.6)",
    "QQ": "Mozilla/5.0 (Linux; Android 12; V2055A Build/SP1A.210812.003; wv) AppleWebKit/537.36 "
    "(KHTML, like Gecko) Version/4.0 Chrome/98.0.4758.102 MQQBrowser/6.2 TBS/046317 Mobile "
    "Safari/537.36 V1_AND_SQ_8.9.28_3700_YYB_D QQ/8.9.28.10155 NetType/WIFI",
    "QQ browser": "Mozilla/5.0 (Linux; U; Android 10; zh-cn; MI 9 Build/QKQ1.190825.002) "
    "AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/89.0.4389.72 MQQBrowser/13.5 "
    "Mobile Safari/537.36 COVC/046617",
    "Baidu": "Mozilla/5.0 (Linux; Android 12; NOH-AN00 Build/HUAWEINOH-AN00; wv) "
    "AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/97.0.4692.98 Mobile Safari/537.36 "
    "T7/13.40 SP-engine/2.78.0 baiduboxapp/13.40.0.10 (Baidu; P1 12)",
    "WeChat on a desktop": "Mozilla/5.0 (Windows NT 10.0; WOW64) AppleWebKit/537.36 (KHTML, like "
    "Gecko) Chrome/81.0.4044.138 Safari/537.36 NetType/WIFI MicroMessenger/7.0.20.1781(0x6700143B) "
    "WindowsWechat(0x63090c0f) XWEB/11275 Flue",
    "WeCom": "Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, "
    "like Gecko) Mobile/15E148 wxwork/4.1.20 MicroMessenger/7.0.1 Language/zh",
    "QQ on an iPhone": "Mozilla/5.0 (iPhone; CPU iPhone OS 16_6 like Mac OS X) "
    "AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 QQ/8.9.75.615 V1_IPH_SQ_8.9.75_1_APP_A "
    "Pixel/1170 NetType/WIFI",
    "Baidu on an iPhone": "Mozilla/5.0 (iPhone; CPU iPhone OS 15_6 like Mac OS X) "
    "AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 SP-engine/2.55.0 main%2F1.0 "
    "baiduboxapp/13.17.0.10 (Baidu; P2 15.6) NABar/1.0",
    "DingTalk on an iPhone": "Mozilla/5.0 (iPhone; CPU iPhone OS 16_0 like Mac OS X) "
    "AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/20A362 AliApp(DingTalk/7.0.5) "
    "com.laiwang.DingTalk/28396811 Channel/201200 language/zh-Hans-CN WK",
    "Douyin": "Mozilla/5.0 (Linux; Android 12; M2102K1C Build/SKQ1.211006.001; wv) "
    "AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/92.0.4515.131 Mobile Safari/537.36 "
    "aweme_230400 JsSdk/1.0 NetType/WIFI AppName/aweme app_version/23.4.0 ByteLocale/zh-CN",
    "a phone called CUBOT": "Mozilla/5.0 (Linux; Android 9; CUBOT_X18_Plus) AppleWebKit/537.36 "
    "(KHTML, like Gecko) Chrome/90.0.4430.91 Mobile Safari/537.36",
    "a desktop": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/126.0.0.0 Safari/537.36",
}
BOTS = {
    "Googlebot": "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Baiduspider": "Mozilla/5.0 (compatible; Baiduspider/2.0; "
    "+http://www.baidu.com/search/spider.html)",
    "a link preview": "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
    "another": "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
    "httpx": "python-httpx/0.28.1",
    "curl": "curl/8.5.0",
    "Go": "Go-http-client/2.0",
    "PowerShell": "Mozilla/5.0 (Windows NT 10.0; Microsoft Windows 10.0) PowerShell/7.4.1",
    "an app without a browser": "Shop/214 CFNetwork/1474 Darwin/23.0.0",
    "Perl": "LWP::Simple/6.00",
    "WhatsApp": "WhatsApp/2.23.20.0",
    "DingTalk's preview": "Mozilla/5.0 (compatible; DingTalkBot-LinkService/1.0)",
    "Line's preview": "facebookexternalhit/1.1;line-poker/1.0",
    "Lark's preview": "Mozilla/5.0 (Macintosh) LarkUrl2Image/1.0",
    "QQ's preview": "Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1; QQ-URL-Manager)",
    "an honest newcomer": "Mozilla/5.0 (compatible; Nieuwspider/0.1)",
    "a browser without a screen": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like "
    "Gecko) HeadlessChrome/120.0.0.0 Safari/537.36",
    "Java": "Java/17.0.2",
    "OkHttp": "okhttp/4.12.0",
    "Dart": "Dart/3.2 (dart:io)",
    "no agent": "",
}


def cookie_of(response: httpx.Response) -> dict[str, str | None]:
    """The parts of the only cookie of the answer, its value under `value`."""
    [header] = response.headers.get_list("set-cookie")
    pair, *options = header.split("; ")
    name, _, value = pair.partition("=")
    assert name == COOKIE
    parts: dict[str, str | None] = {"value": value}
    for option in options:
        key, _, content = option.partition("=")
        parts[key.lower()] = content or None
    return parts


def vid(response: httpx.Response) -> str:
    return httpx.URL(response.headers["location"]).params["vid"]


async def link_to(content_id: int) -> Link:
    promoter = await factories.person("lin")
    terms = await factories.program()
    return await links.set_up(
        program_id=terms.id, owner_id=promoter.member.id, content_id=content_id, now=factories.NOW
    )


async def test_a_click_is_stored_before_its_redirect_arrives(live: Api) -> None:
    stage = await factories.stage()

    response = await live.click(stage.link.code)
    [touch] = await Touch.all()

    assert response.status_code == 302
    assert response.headers["cache-control"] == "no-store"
    location = httpx.URL(response.headers["location"])
    assert str(location.copy_with(query=None)) == "https://shop.example/tea"
    assert list(location.params.multi_items()) == [
        ("cup", "2"),
        ("r", stage.link.code),
        ("vid", touch.visitor),
    ]
    assert (touch.link_id, touch.bot_reason) == (stage.link.id, None)


@on_sqlite_alone
async def test_the_visitor_is_kept_in_a_signed_cookie(live: Api) -> None:
    stage = await factories.stage()
    response = await live.click(stage.link.code)
    cookie = cookie_of(response)
    assert Signer(SECRET, salt="visitor").unsign(cookie["value"] or "").decode() == vid(response)
    assert cookie["samesite"] == "lax"
    assert {"httponly", "max-age"} <= cookie.keys()
    assert cookie["path"] == "/"
    assert "secure" not in cookie


@on_sqlite_alone
async def test_a_second_click_with_the_cookie_is_of_the_same_visitor(live: Api) -> None:
    stage = await factories.stage()
    first = await live.click(stage.link.code)
    second = await live.http.get(f"/r/{stage.link.code}")
    stranger = await live.click(stage.link.code)
    assert vid(first) == vid(second) != vid(stranger)
    assert [touch.visitor for touch in await Touch.all().order_by("id")] == [
        vid(first),
        vid(second),
        vid(stranger),
    ]


@on_sqlite_alone
async def test_a_forged_cookie_is_ignored(live: Api) -> None:
    stage = await factories.stage()
    known = await live.visit(stage.link.code)
    signed = Signer(SECRET, salt="visitor").sign(known).decode()
    forged = (
        known,
        f"{known}.nonsense",
        Signer("another secret, just as long as ours is", salt="visitor").sign(known).decode(),
        Signer(SECRET, salt="session").sign(known).decode(),
        f"{known}.{'B' if signed[len(known) + 1] == 'A' else 'A'}{signed[len(known) + 2 :]}",
        "",
        ".",
    )
    for value in forged:
        response = await live.click(stage.link.code, cookie=f"{COOKIE}={value}")
        assert response.status_code == 302
        assert vid(response) != known, value


@on_sqlite_alone
async def test_a_code_is_taken_as_people_write_it(live: Api) -> None:
    stage = await factories.stage()
    code = codes.with_check("0110WE11")
    await factories.link(stage.promoter.member, stage.program, code)
    for written in (code.lower(), code.replace("0", "O").replace("1", "I"), f"oLiO{code[4:]}"):
        response = await live.click(written)
        assert response.status_code == 302, written
        assert httpx.URL(response.headers["location"]).params["r"] == code
    assert await Touch.all().count() == 3


@on_sqlite_alone
async def test_an_unknown_or_misspelt_code_is_not_found_and_counts_nothing(live: Api) -> None:
    stage = await factories.stage()
    code = stage.link.code
    wrong_check = code[:-1] + codes.ALPHABET[(codes.ALPHABET.index(code[-1]) + 1) % 32]
    async with nothing_written():
        for text in (codes.new(), wrong_check, code[:-1], code + "0", "U" * 9, "%00", "A" * 5_000):
            response = await live.click(text)
            assert response.status_code == 404, text
            assert response.headers["content-type"] == "text/html; charset=utf-8"
            assert "There is no such link." in response.text
            assert "set-cookie" not in response.headers


@on_sqlite_alone
async def test_bots_are_redirected_and_recorded_as_bots_without_a_cookie(live: Api) -> None:
    stage = await factories.stage()
    for name, agent in BOTS.items():
        response = await live.click(stage.link.code, **{"user-agent": agent})
        assert response.status_code == 302, name
        assert "set-cookie" not in response.headers, name
    live.http.cookies.clear()
    head = await live.http.head(f"/r/{stage.link.code}")
    assert (head.status_code, head.content) == (302, b"")
    assert "set-cookie" not in head.headers
    reasons = [touch.bot_reason for touch in await Touch.all().order_by("id")]
    assert len(reasons) == len(BOTS) + 1
    assert [name for name, reason in zip(BOTS, reasons, strict=False) if not reason] == []
    assert reasons[-2:] == ["no user agent", "a HEAD request"]
    said = dict(zip(BOTS, reasons, strict=False))
    assert said["curl"] == "a known crawler, preview or library: curl"
    assert said["OkHttp"] == "an HTTP library: okhttp"
    assert said["Line's preview"] == "a crawler or preview: line-poker"


@on_sqlite_alone
async def test_a_reason_fits_its_column_however_long_the_agent_is(live: Api) -> None:
    stage = await factories.stage()
    await live.click(stage.link.code, **{"user-agent": f"compatible; {'x' * 5_000} bot"})
    await live.click(stage.link.code, **{"user-agent": f"compatible; {'x' * 400} bot"})
    long, short = [touch.bot_reason for touch in await Touch.all().order_by("id")]
    assert long is None  # what is behind the first 512 characters is not looked at
    assert short is not None
    assert len(short) == 100


@on_sqlite_alone
async def test_a_host_that_is_no_longer_allowed_is_not_led_to(live: Api) -> None:
    stage = await factories.stage()
    for url in ("https://was-ours.example/tea", "javascript:alert(1)", "//evil.example/"):
        await Link.filter(id=stage.link.id).update(target_url=url, code=codes.new())
        code = (await Link.get(id=stage.link.id)).code
        response = await live.click(code)
        location = httpx.URL(response.headers["location"])
        assert response.status_code == 302
        assert str(location.copy_with(query=None)) == f"{live.settings.base_url}/"
    assert await Touch.all().count() == 3


@on_sqlite_alone
async def test_an_archived_or_expired_link_still_leads_and_is_still_counted(live: Api) -> None:
    stage = await factories.stage()
    await Link.filter(id=stage.link.id).update(archived_at=factories.NOW, expires_at=factories.NOW)
    response = await live.click(stage.link.code)
    assert response.headers["location"].startswith("https://shop.example/tea?")
    [touch] = await Touch.all()
    assert touch.touched_at > factories.NOW


@on_sqlite_alone
async def test_a_content_that_is_taken_back_is_not_led_to_for_long(live: Api) -> None:
    content_id = await factories.piece("tea")
    link = await link_to(content_id)
    assert "/c/tea?" in (await live.click(link.code)).headers["location"]
    editor = await factories.person("ed", Role.REVIEWER)
    await lifecycle.archive(content_id, editor.member.id, factories.NOW)
    for _ in range(200):
        if "/c/tea?" not in (await live.click(link.code)).headers["location"]:
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it still leads to the content after ten seconds")


@on_sqlite_alone
async def test_the_targets_own_query_and_fragment_stay_around_ours(live: Api) -> None:
    stage = await factories.stage()
    for url, head, tail in (
        ("https://shop.example", "https://shop.example?", ""),
        ("https://shop.example/?", "https://shop.example/?", ""),
        ("https://shop.example/a?b=%2F&&c#top", "https://shop.example/a?b=%2F&c&", "#top"),
        ("https://shop.example/a?r=old&vid=old&rr=1", "https://shop.example/a?rr=1&", ""),
        ("https://shop.example/茶?茶=1", "https://shop.example/%E8%8C%B6?%E8%8C%B6=1&", ""),
    ):
        await Link.filter(id=stage.link.id).update(target_url=url, code=codes.new())
        code = (await Link.get(id=stage.link.id)).code
        location = (await live.click(code)).headers["location"]
        before, _, visitor = location.partition(f"r={code}&vid=")
        assert before == head
        assert visitor.endswith(tail)
        assert len(visitor.removesuffix(tail)) == 22


@on_sqlite_alone
async def test_people_in_the_browsers_of_their_apps_are_people(live: Api) -> None:
    stage = await factories.stage()
    for name, agent in IN_APP.items():
        response = await live.click(stage.link.code, **{"user-agent": agent})
        assert response.status_code == 302, name
        assert cookie_of(response)["value"], name
    reasons = [touch.bot_reason for touch in await Touch.all().order_by("id")]
    assert dict(zip(IN_APP, reasons, strict=True)) == dict.fromkeys(IN_APP)


@on_sqlite_alone
async def test_a_link_to_a_content_leads_to_our_own_page_of_it(live: Api) -> None:
    link = await link_to(await factories.piece("明前-绿茶", title="茶"))
    response = await live.click(link.code)
    address = httpx.URL(response.headers["location"])
    assert str(address.copy_with(query=None)) == (
        f"{live.settings.base_url}/c/{quote('明前-绿茶', safe='')}"
    )
    page = await live.http.get(address)
    assert page.status_code == 200
    assert "<h1>茶</h1>" in page.text


@on_sqlite_alone
async def test_a_link_to_a_content_that_was_taken_back_is_no_dead_end(live: Api) -> None:
    link = await link_to(await factories.piece("tea", status=ContentStatus.ARCHIVED))
    response = await live.http.get(f"/r/{link.code}", follow_redirects=True)
    assert response.headers["content-type"].startswith("text/html")


@pytest.fixture
async def elsewhere(sqlite_url: str) -> AsyncIterator[Api]:
    """A server behind an https address, with a site of its own for contents."""
    settings = Settings(
        database_url=sqlite_url,
        port=free_port(),
        secret=SECRET,
        public_url="https://go.example.com/",
        content_url="https://www.example.com/{locale}/read/{slug}?from=share&id={id}",
    )
    async with serving(settings), Api(settings) as client:
        yield client


async def test_behind_https_the_cookie_is_secure(elsewhere: Api) -> None:
    link = await link_to(await factories.piece("tea"))
    response = await elsewhere.click(link.code)
    assert "secure" in cookie_of(response)


async def test_the_setting_content_url_says_where_contents_are_read(elsewhere: Api) -> None:
    content = await factories.piece("明前-绿茶?新")
    link = await link_to(content)
    response = await elsewhere.click(link.code)
    location = response.headers["location"]
    path, _, query = location.partition("?")
    assert path == f"https://www.example.com/zh-CN/read/{quote('明前-绿茶?新', safe='')}"
    assert list(httpx.QueryParams(query).multi_items()) == [
        ("from", "share"),
        ("id", to_id("Content", content)),
        ("r", link.code),
        ("vid", vid(response)),
    ]


async def test_the_secret_beside_the_database_signs_the_cookie_when_none_is_set(
    sqlite_url: str,
) -> None:
    settings = Settings(database_url=sqlite_url, port=free_port())
    async with serving(settings), Api(settings) as client:
        stage = await factories.stage()
        first = await client.click(stage.link.code)
        cookie = cookie_of(first)["value"]
    made = Path(sqlite_url.removeprefix("sqlite://")).with_name("secret").read_text()
    assert Signer(made, salt="visitor").unsign(cookie or "").decode() == vid(first)
    again = settings.model_copy(update={"port": free_port()})
    async with serving(again), Api(again) as client:
        second = await client.click(stage.link.code, cookie=f"{COOKIE}={cookie}")
    assert vid(second) == vid(first)
