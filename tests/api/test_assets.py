"""Uploading and handing out files, over real HTTP: what editors send, and what others may try."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from api import uploads
from api.settings import Settings
from content.models import ContentVersion, Media
from members import keys
from members.models import Role
from tests import factories
from tests.api.books import nothing_written, on_sqlite_alone
from tests.client import PATIENCE_SECONDS, Api
from tests.conftest import serving
from tests.content import images
from tests.factories import NOW

MIB = 1024 * 1024
DIGEST = "0" * 64


async def editor() -> str:
    return (await factories.person("editor", Role.EDITOR)).token


async def send(live: Api, token: str | None, data: Any, mime: str | None = None) -> httpx.Response:
    """Uploads the bytes as the body."""
    headers = {"authorization": f"Bearer {token}"} if token else {}
    if mime:
        headers["content-type"] = mime
    return await live.http.post("/assets", content=data, headers=headers)


async def send_form(live: Api, token: str, *parts: tuple[str, Any], **fields: str) -> Any:
    """Uploads the parts as multipart/form-data, as `wx.uploadFile` does."""
    headers = {"authorization": f"Bearer {token}"}
    return await live.http.post("/assets", files=[*parts], data=fields, headers=headers)


def kept(live: Api) -> list[Path]:
    """Every file that is kept."""
    path = live.settings.assets_path
    return sorted(path.iterdir()) if path.exists() else []


async def refused(live: Api, response: httpx.Response, status: int, code: str) -> str:
    """What it says; fails unless it was refused so and nothing was kept."""
    assert response.status_code == status, response.text
    answer = response.json()
    assert answer["media"] is None
    [error] = answer["errors"]
    assert error["code"] == code
    assert response.headers["cache-control"] == "no-store"
    assert kept(live) == []
    assert await Media.all().count() == 0
    return error["message"]


async def test_an_uploaded_picture_is_there_in_all_its_sizes(live: Api) -> None:
    data = images.picture("JPEG", 1000, 500)
    response = await send(live, await editor(), data, "image/jpeg")
    assert response.status_code == 201, response.text
    answer = response.json()
    address = f"{live.settings.base_url}/assets/{hashlib.sha256(data).hexdigest()}"
    media = answer["media"]
    assert answer["errors"] == []
    assert media == {
        "id": media["id"],
        "url": f"{address}.jpg",
        "mime": "image/jpeg",
        "width": 1000,
        "height": 500,
        "bytes": media["bytes"],
        "variants": [
            {"width": 320, "url": f"{address}-320.jpg"},
            {"width": 640, "url": f"{address}-640.jpg"},
        ],
    }
    for each in (media, *media["variants"]):
        shown = await live.http.get(httpx.URL(each["url"]).path)
        assert shown.status_code == 200
        assert shown.headers["content-type"] == "image/jpeg"
        assert images.told(shown.content).width == each["width"]
    shown = await live.http.get(httpx.URL(media["url"]).path)
    assert len(shown.content) == media["bytes"]


async def test_the_same_upload_again_answers_the_same(live: Api) -> None:
    token = await editor()
    first = await send(live, token, images.picture())
    async with nothing_written():
        assert (await send(live, token, images.picture())).json() == first.json()


@on_sqlite_alone
@pytest.mark.parametrize("mime", ["image/png", None, "application/octet-stream"])
async def test_a_form_with_a_part_file_is_the_same(live: Api, mime: str | None) -> None:
    data, token = images.picture("PNG"), await editor()
    part = ("file", ("任意.exe", data, mime) if mime else ("tea.png", data))
    response = await send_form(live, token, part, note="x")
    assert response.status_code == 201, response.text
    assert response.json() == (await send(live, token, data)).json()


@on_sqlite_alone
async def test_a_part_without_a_file_name_is_the_same(live: Api) -> None:
    data = images.picture("PNG")
    body = b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\n' + data + b"\r\n--b--\r\n"
    response = await send(live, await editor(), body, "multipart/form-data; boundary=b")
    assert response.status_code == 201, response.text


@on_sqlite_alone
async def test_a_form_that_comes_byte_by_byte_is_the_same(live: Api) -> None:
    data, token = images.picture("PNG", 40, 20), await editor()
    request = httpx.Request("POST", "http://x", files={"file": ("tea.png", data)})
    body = request.read()

    async def trickle() -> AsyncIterator[bytes]:
        for place in range(len(body)):
            yield body[place : place + 1]

    response = await send(live, token, trickle(), request.headers["content-type"])
    assert response.status_code == 201, response.text
    assert response.json()["media"]["width"] == 40


async def test_only_who_is_signed_in_as_editor_uploads(live: Api) -> None:
    member = await factories.person("member", Role.MEMBER, Role.KOC, Role.EMPLOYEE)
    staff = await factories.person("staff", Role.OPERATOR, Role.FINANCE)
    admin = await factories.person("admin", Role.ADMIN)
    service = await keys.create("shop", None, admin.member.id, NOW)
    data = images.picture()
    for token in (None, "nonsense"):
        response = await send(live, token, data)
        await refused(live, response, 401, "UNAUTHENTICATED")
        assert response.headers["www-authenticate"] == "Bearer"
    for token in (member.token, staff.token, service.secret):
        await refused(live, await send(live, token, data), 403, "FORBIDDEN")
    reviewer = await factories.person("reviewer", Role.REVIEWER)
    for token in (admin.token, reviewer.token):
        assert (await send(live, token, data)).status_code == 201


@on_sqlite_alone
async def test_a_cookie_is_no_token(live: Api) -> None:
    token = await editor()
    live.http.cookies.set("authorization", f"Bearer {token}")
    live.http.cookies.set("token", token)
    await refused(live, await send(live, None, images.picture()), 401, "UNAUTHENTICATED")
    basic = await live.http.post(
        "/assets", content=images.picture(), headers={"authorization": f"Basic {token}"}
    )
    await refused(live, basic, 401, "UNAUTHENTICATED")


@on_sqlite_alone
@pytest.mark.parametrize(
    ("data", "mime", "status", "code"),
    [
        (b"", None, 415, "INVALID"),
        (images.SVG, "image/svg+xml", 415, "INVALID"),
        (images.SVG, "image/png", 415, "INVALID"),
        (b"<!doctype html>", "text/html", 415, "INVALID"),
        (images.picture("PNG"), "image/jpeg", 415, "INVALID"),
        (images.PDF, "image/jpeg", 415, "INVALID"),
        (images.picture(), "application/pdf", 415, "INVALID"),
        (images.picture()[:-30], "image/jpeg", 422, "INVALID"),
        (images.moving("GIF"), "image/gif", 422, "INVALID"),
        (images.PDF[:-8], None, 422, "INVALID"),
        (images.claiming(65_000, 65_000), "image/png", 422, "LIMIT_EXCEEDED"),
        (images.picture() + bytes(10 * MIB), "image/jpeg", 413, "LIMIT_EXCEEDED"),
        (bytes(10 * MIB + 1), None, 413, "LIMIT_EXCEEDED"),
        (images.PDF + bytes(30 * MIB), None, 413, "LIMIT_EXCEEDED"),
    ],
    ids=[
        *("empty", "svg", "svg as png", "html", "png as jpeg", "pdf as jpeg", "jpeg as pdf"),
        *("cut off", "moving", "endless pdf", "bomb", "large", "large unknown", "large pdf"),
    ],
)
async def test_what_is_refused_is_said_and_leaves_nothing(
    live: Api, data: bytes, mime: str | None, status: int, code: str
) -> None:
    token = await editor()
    async with nothing_written():
        raw = await send(live, token, data, mime)
        message = await refused(live, raw, status, code)
        assert raw.json()["errors"][0]["field"] == ["file"]
        form = await send_form(live, token, ("file", ("tea.jpg", data, mime or "")))
        assert await refused(live, form, status, code) == message


@on_sqlite_alone
@pytest.mark.parametrize(
    ("body", "mime"),
    [
        (b"x", "multipart/form-data"),
        (b"x", "multipart/form-data; boundary="),
        (b"x", f"multipart/form-data; boundary={'b' * 300}"),
        (b"", "multipart/form-data; boundary=b"),
        (b"x", "multipart/form-data; boundary=b"),
        (b"--b--\r\n", "multipart/form-data; boundary=b"),
        (
            b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nx',
            "multipart/form-data; boundary=b",
        ),
        (
            b'--b\r\nContent-Disposition: form-data; name="fil"\r\n\r\nx\r\n--b--\r\n',
            "multipart/form-data; boundary=b",
        ),
        (b"--b\r\n\r\nx\r\n--b--\r\n", "multipart/form-data; boundary=b"),
        (b"--b\r\n" + b"x: y\r\n" * 1000, "multipart/form-data; boundary=b"),
    ],
)
async def test_a_form_that_is_none_is_refused(live: Api, body: bytes, mime: str) -> None:
    response = await send(live, await editor(), body, mime)
    await refused(live, response, 400, "BAD_USER_INPUT")


@on_sqlite_alone
async def test_a_form_holds_one_file_and_little_else(live: Api) -> None:
    token, part = await editor(), ("file", ("tea.jpg", images.picture()))
    two = await send_form(live, token, part, part)
    await refused(live, two, 400, "BAD_USER_INPUT")
    most = uploads.MOST_OTHER_BYTES
    more = await send_form(live, token, part, note="x" * (most + 1))
    await refused(live, more, 400, "BAD_USER_INPUT")
    assert (await send_form(live, token, part, note="x" * most)).status_code == 201


@on_sqlite_alone
@pytest.mark.parametrize("form", [False, True])
async def test_an_upload_without_end_is_answered_at_its_limit(live: Api, form: bool) -> None:
    mime = "multipart/form-data; boundary=b" if form else "image/jpeg"
    head = b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\n' if form else b""
    reader, writer = await asyncio.open_connection("127.0.0.1", live.settings.port)
    lines = ["POST /assets HTTP/1.1", "Host: x", f"Authorization: Bearer {await editor()}"]
    lines += [f"Content-Type: {mime}", "Transfer-Encoding: chunked", "", ""]
    writer.write("\r\n".join(lines).encode())
    for chunk in (head + images.picture(), *[bytes(MIB)] * 10):
        writer.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        await writer.drain()
    async with asyncio.timeout(PATIENCE_SECONDS):  # there is more to come, for all the server knows
        assert (await reader.readline()).startswith(b"HTTP/1.1 413 ")
    writer.close()
    assert kept(live) == []


async def uploaded(live: Api, data: bytes) -> str:
    """The path of an uploaded file."""
    response = await send(live, await editor(), data)
    assert response.status_code == 201, response.text
    return httpx.URL(response.json()["media"]["url"]).path


@on_sqlite_alone
async def test_a_file_is_kept_for_a_year_and_nothing_in_it_runs(live: Api) -> None:
    path = await uploaded(live, images.picture())
    response = await live.http.get(path)
    headers = response.headers
    assert headers["cache-control"] == "public, max-age=31536000, immutable"
    assert headers["content-security-policy"] == (
        "default-src 'none'; sandbox; frame-ancestors 'none'"
    )
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-disposition"].startswith("inline")
    assert "set-cookie" not in headers
    head = await live.http.head(path)
    assert head.content == b""
    assert {**head.headers, "date": "", "x-request-id": ""} == {
        **headers,
        "date": "",
        "x-request-id": "",
    }


@on_sqlite_alone
async def test_a_document_is_saved_and_not_shown(live: Api) -> None:
    response = await live.http.get(await uploaded(live, images.PDF))
    assert response.content == images.PDF
    assert response.headers["content-type"] == "application/pdf"
    assert response.headers["content-disposition"].startswith("attachment")
    assert response.headers["content-security-policy"] == (
        "default-src 'none'; sandbox; frame-ancestors 'none'"
    )


@on_sqlite_alone
async def test_what_the_caller_has_is_not_sent_again(live: Api) -> None:
    path = await uploaded(live, images.picture())
    etag = (await live.http.get(path)).headers["etag"]
    for named in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        response = await live.http.get(path, headers={"if-none-match": named})
        assert (response.status_code, response.content) == (304, b"")
        assert response.headers["etag"] == etag
        assert "immutable" in response.headers["cache-control"]
    other = await live.http.get(path, headers={"if-none-match": '"other"'})
    assert other.status_code == 200


@on_sqlite_alone
async def test_a_part_of_a_document_is_sent_alone(live: Api) -> None:
    path = await uploaded(live, images.PDF)
    part = await live.http.get(path, headers={"range": "bytes=0-3"})
    assert (part.status_code, part.content) == (206, b"%PDF")
    assert part.headers["content-range"] == f"bytes 0-3/{len(images.PDF)}"
    assert part.headers["x-content-type-options"] == "nosniff"
    beyond = await live.http.get(path, headers={"range": f"bytes={len(images.PDF)}-"})
    assert beyond.status_code == 416


@on_sqlite_alone
@pytest.mark.parametrize(
    "path",
    [
        f"/assets/{DIGEST}.jpg",
        "/assets/../secret",
        "/assets/..%2fwellspring.db",
        "/assets/%2e%2e%2fwellspring.db",
        "/assets/%2e%2e/wellspring.db",
        f"/assets/{DIGEST}.jpg%2f..%2f..%2fwellspring.db",
        f"/assets/{DIGEST}.jpg%00",
        f"/assets/{DIGEST}.jpg%0a",
        "/assets/.htaccess",
    ],
)
async def test_no_other_file_is_handed_out(live: Api, path: str) -> None:
    await uploaded(live, images.picture())
    response = await live.http.get(httpx.URL(f"http://127.0.0.1:{live.settings.port}{path}"))
    assert response.status_code == 404
    assert "immutable" not in response.headers.get("cache-control", "")


@on_sqlite_alone
async def test_a_directory_of_that_name_is_no_file(live: Api) -> None:
    (live.settings.assets_path / f"{DIGEST}.jpg").mkdir(parents=True)
    assert (await live.http.get(f"/assets/{DIGEST}.jpg")).status_code == 404


CREATE = """
mutation ($input: ContentCreateInput!) {
  contentCreate(input: $input) {
    content {
      id coverUrl versions { nodes { coverUrl } }
      media { id url mime width height durationMs variants { width url } }
    }
    errors { code message field }
  }
}"""
UPDATE = """
mutation ($input: ContentUpdateInput!) {
  contentUpdate(input: $input) { content { version coverUrl } errors { code message field } }
}"""
ADD = """
mutation ($input: MediaAddInput!) {
  mediaAdd(input: $input) {
    media { id url mime width height durationMs variants { width url } }
    errors { code message field }
  }
}"""


async def test_a_content_shows_what_was_uploaded_and_a_video(live: Api) -> None:
    token = await editor()
    media = (await send(live, token, images.picture("JPEG", 400, 200))).json()["media"]
    given = {"url": "https://video.example/tea.mp4", "width": 1920, "durationMs": 65_000}
    added = await live.ask(ADD, token, input=given)
    assert added["errors"] == []
    video = added["media"]
    assert video == {
        "id": video["id"],
        "mime": "video/mp4",
        "height": None,
        "variants": [],
        **given,
    }
    answer = await live.ask(
        CREATE,
        token,
        input={
            "slug": "tea",
            "title": "Tea",
            "coverUrl": media["url"],
            "media": [media["id"], video["id"]],
        },
    )
    assert answer["errors"] == []
    shown = answer["content"]
    assert shown["coverUrl"] == media["url"]
    assert [each["coverUrl"] for each in shown["versions"]["nodes"]] == [media["url"]]
    picture = {name: media[name] for name in media if name != "bytes"}
    assert shown["media"] == [{**picture, "durationMs": None}, video]


async def test_an_address_of_ours_is_kept_without_the_server(live: Api) -> None:
    token = await editor()
    url = (await send(live, token, images.picture())).json()["media"]["url"]
    path = httpx.URL(url).path
    made = await live.ask(CREATE, token, input={"slug": "tea", "title": "Tea", "coverUrl": path})
    assert made["content"]["coverUrl"] == url
    id = made["content"]["id"]
    saved = await live.ask(UPDATE, token, input={"id": id, "expectedVersion": 1, "coverUrl": url})
    assert saved["errors"] == []
    assert {row.cover_url for row in await ContentVersion.all()} == {path}
    elsewhere = "https://pictures.example/assets/tea.jpg"
    newest = saved["content"]["version"]
    again = await live.ask(
        UPDATE, token, input={"id": id, "expectedVersion": newest, "coverUrl": elsewhere}
    )
    assert again["content"]["coverUrl"] == elsewhere


@on_sqlite_alone
async def test_a_mistake_about_a_video_is_in_the_payload(live: Api) -> None:
    token = await editor()
    async with nothing_written():
        answer = await live.ask(ADD, token, input={"url": "http://video.example/tea.mp4"})
    assert answer["media"] is None
    [error] = answer["errors"]
    assert (error["code"], error["field"]) == ("INVALID", ["url"])
    member = await factories.person("member")
    assert await live.refused(ADD, member.token, input={"url": "https://a.example/"}) == "FORBIDDEN"


@on_sqlite_alone
@pytest.mark.parametrize("content_url", ["", "https://www.example.com/read/{slug}"])
async def test_a_link_preview_finds_the_picture_wherever_contents_are_read(
    settings: Settings, content_url: str
) -> None:
    settings = settings.model_copy(update={"content_url": content_url})
    async with serving(settings), Api(settings) as live:
        path = await uploaded(live, images.picture())
        await factories.piece("tea", cover_url=path)
        page = await live.http.get("/c/tea")
    picture = f'<meta property="og:image" content="{settings.base_url}{path}">'
    assert picture in page.text
    assert "img-src 'self' https:" in page.headers["content-security-policy"]
