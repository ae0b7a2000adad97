"""Owns what a request for GraphQL meets first: the answer that was kept for it, then the page that
one statement gives, and only then the server as a whole."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import caching, requests
from api.caching import Answer, Kept
from api.endpoint import GraphQLApp
from api.headers import Header
from api.rates import Rates
from api.settings import Settings
from core import deadline

PATH = "/graphql"
ASKING = (b"content-type", b"accept", b"origin")  # what the answer depends on
HEADERS = {*ASKING, b"authorization", b"cookie", b"if-none-match", requests.ID_HEADER}
KEPT_HEADS = 64
_OF_ONE = (b"content-length", requests.ID_HEADER)  # headers of one answer alone
_Told = Mapping[bytes, bytes]  # what those of `HEADERS` say that are there


class Front:
    """Answers who is not signed in by what was kept, or is known to be one statement; passes on
    what is left. Says of each answer that may be kept what it is known by: its ETag.

    What others put into the headers of an answer is kept with it, and said again with pages that
    are asked for alike.
    """

    def __init__(
        self, app: ASGIApp, graphql: GraphQLApp, settings: Settings, rates: Rates | None = None
    ) -> None:
        self._app = app
        self._graphql = graphql
        self._settings = settings
        self._rates = rates or Rates(0)
        self._heads: dict[tuple[bytes | None, ...], Sequence[Header]] = {}
        self.kept = Kept()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != PATH:
            await self._app(scope, receive, send)
            return
        said = [pair for pair in scope["headers"] if pair[0] in HEADERS]
        told = dict(said)
        public = b"authorization" not in told and b"cookie" not in told
        first = await receive() if public else None
        if first is None or len(told) < len(said) or first.get("more_body", False):
            again = receive if first is None else requests.again(first, receive)
            await self._ask(scope, again, send, told, public=public)
            return
        await self._anybody(scope, first, receive, send, told)

    async def _anybody(
        self, scope: Scope, first: Message, receive: Receive, send: Send, told: _Told
    ) -> None:
        """Answers who is not signed in, and has said all there is to say in one message."""
        asking = (*map(told.get, ASKING),)
        key = (scope["method"], scope["query_string"], *asking, first.get("body"))
        host = (scope.get("client") or (None,))[0]
        kept = await self.kept.find(key)
        # What is one too many is refused by the app, in the form that it has for that.
        if kept is not None and self._rates.allows(host):
            await _send(kept, scope["method"], told, send)
            return
        age = self.kept.age()
        with deadline.within(self._settings.deadline_seconds):
            answer = await self._at_once(scope, first.get("body", b""), host, asking)
            if answer is not None:
                await _send(answer, scope["method"], told, send)
            else:
                again = requests.again(first, receive)
                answer = await self._ask(scope, again, send, told, public=True)
        if answer is None:
            return
        if scope["method"] == "POST":
            self._learn(asking, answer)
        if age == self.kept.age():
            self.kept.keep(key, answer)

    async def _at_once(
        self, scope: Scope, body: bytes, host: str | None, asking: tuple[bytes | None, ...]
    ) -> Answer | None:
        """The answer to a request that is asked as others were, where it is one statement."""
        head = self._heads.get(asking) if scope["method"] == "POST" else None
        if head is None or len(body) > caching.LARGEST_REQUEST_BYTES:
            return None
        found = await self._graphql.at_once(scope, body, host)
        return None if found is None else _answer(head, found)

    def _learn(self, asking: tuple[bytes | None, ...], answer: Answer) -> None:
        """Keeps what answers to those who ask like this have in their headers."""
        if asking in self._heads:
            return
        if len(self._heads) >= KEPT_HEADS:
            self._heads.clear()
        own = (b"content-length", b"etag")
        self._heads[asking] = [pair for pair in answer.headers if pair[0] not in own]

    async def _ask(
        self, scope: Scope, receive: Receive, send: Send, told: _Told, *, public: bool
    ) -> Answer | None:
        """Answers by the app; what was answered, where it may be kept."""
        start: Message = {}
        answer: Answer | None = None

        async def sending(message: Message) -> None:
            nonlocal start, answer
            if message["type"] == "http.response.start" and caching.SHARED in scope:
                start = message
            elif not start or message["type"] != "http.response.body":
                await send(message)
            else:
                answer = _answer(_head(start["headers"], public=public), message["body"])
                await _send(answer, scope["method"], told, send, start["headers"])

        await self._app(scope, receive, sending)
        return answer


def _head(given: Sequence[Header], *, public: bool) -> Sequence[Header]:
    """What the headers of an answer say, but for what is this one's alone."""
    vary = [value for name, value in given if name == b"vary"]
    return [
        *(pair for pair in given if pair[0] not in (b"vary", *_OF_ONE)),
        (b"cache-control", b"public, no-cache" if public else b"private, no-cache"),
        (b"vary", b", ".join([b"Authorization, Cookie, Accept", *vary])),
    ]


def _answer(head: Sequence[Header], body: bytes) -> Answer:
    etag = b'"%s"' % hashlib.sha256(body).hexdigest()[:32].encode()  # processors have it built in
    headers = [*head, (b"content-length", b"%d" % len(body)), (b"etag", etag)]
    return Answer(body, headers, etag, time.monotonic() + caching.KEEP_SECONDS)


async def _send(
    answer: Answer, method: str, told: _Told, send: Send, given: Sequence[Header] = ()
) -> None:
    """Sends the answer under the id of its request, which may have been `given` already; to who has
    it already, only that it is still the same."""
    named = [pair for pair in given if pair[0] == requests.ID_HEADER] or [
        (requests.ID_HEADER, requests.name(told.get(requests.ID_HEADER, b"")))
    ]
    headers = [*answer.headers, *named]
    body, status = answer.body, 200
    if method == "GET" and answer.etag in told.get(b"if-none-match", b""):
        headers = [pair for pair in headers if not pair[0].startswith(b"content-")]
        body, status = b"", 304
    message: dict[str, Any] = {"type": "http.response.start", "status": status, "headers": headers}
    await send(message)
    await send({"type": "http.response.body", "body": body})
