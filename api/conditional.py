"""Owns the tags that answers are known by, and sparing whoever has one the same answer again.

See RFC 9110, sections 8.8.3 and 13.1.2.
"""

import hashlib

from starlette.requests import Request
from starlette.responses import Response

_OF_THE_BODY = frozenset({"content-type", "content-length"})


def known(request: Request, etag: str) -> bool:
    """Whether the caller has what this tag names already."""
    named = ",".join(request.headers.getlist("if-none-match"))
    return named.strip() == "*" or etag in (
        each.strip().removeprefix("W/") for each in named.split(",")
    )


def shared(request: Request, response: Response) -> Response:
    """The answer, which must be the same for everybody, with a strong tag of its bytes: others may
    keep it and have to ask each time whether it still holds. To whoever has it already, 304."""
    response.headers["etag"] = f'"{hashlib.blake2b(response.body, digest_size=16).hexdigest()}"'
    response.headers["cache-control"] = "public, no-cache"
    if not known(request, response.headers["etag"]):
        return response
    told = {name: value for name, value in response.headers.items() if name not in _OF_THE_BODY}
    return Response(status_code=304, headers=told)
