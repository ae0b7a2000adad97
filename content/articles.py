"""Owns the mapping of articles as blogs keep them to rows of the library. Pure.

It knows two forms: a Hugo site in Chinese (`body_markdown`, `categories`) and the articles of a
blog in English (`body`, `published_on`). See docs/content.md.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from content.models import Dimension
from content.slugs import SLUG_CHARACTERS, fold
from core.errors import Invalid

_FILE = re.compile(r"(?:/_?index)?\.[a-z]+$")
_DIVIDERS = re.compile(r"[\s/|]+")
_FOLDER = re.compile(r"content/[^/]+/[^/]+|_content")
_LINK = re.compile(r"\[.*\]\((.+)\)")
_DIGEST_CHARACTERS = 8

# Where a word says something of people or of the trade; any other names what is offered.
_WORDS = {
    Dimension.COMPANY: (
        *("sofa-weekly", "sofachannel", "sofameetup", "sofalab", "sofaacts", "sofatalk"),
        *("sofaarklab", "meetup", "service-mesh-meetup", "service-mesh-virtual-meetup"),
        *("service-mesh-webinar", "workshop", "源创会", "1024", "周年庆", "开源五周年"),
        *("开源六周年", "开源之夏", "sofastack-开源之夏", "summer-2021", "community", "birthday"),
        *("conduct", "conference", "ethos", "fosdem", "google", "gopher", "history", "oscon"),
        *("brand", "china", "golanguk", "talk", "video", "youtube"),
    ),
    Dimension.INDUSTRY: (
        *("cloud-native", "云原生", "cncf", "kubecon", "kubernetes", "knative", "serverless"),
        *("service-mesh", "db-mesh", "微服务", "分布式", "分布式架构", "分布式事务", "开源"),
        *("http-3", "http-quic", "智能监控", "智能运维", "api-gateway", "sidecar-容器", "镜像"),
    ),
    Dimension.USER: (
        *("service-mesh-落地实践", "实践", "你的开源入门指南", "survey", "guest", "report"),
        *("codewalk", "tour", "playground"),
    ),
}
_SIDES = {word: side for side, words in _WORDS.items() for word in words}


def row(said: object) -> Mapping[str, Any]:
    """What `content.rows.read` takes, of one article: published at its time, with no author, since
    blogs name people and no accounts.

    The slug is that of the article's file, so that titles may be alike. Raises `Invalid`.
    """
    if not isinstance(said, Mapping) or not isinstance(said.get("path"), str):
        raise Invalid("An article is an object with a path.")
    chinese = "body_markdown" in said
    covers = {"coverUrl": _cover(said["cover"])} if "cover" in said else {}
    return covers | {
        "slug": _slug(said["path"]),
        "locale": "zh-CN" if chinese else "en",
        "title": said.get("title"),
        "summary": said.get("description" if chinese else "summary"),
        "body": said.get("body_markdown" if chinese else "body"),
        "tags": _tags([*_list(said, "categories"), *_list(said, "tags")]),
        "publishedAt": said.get("published_at" if chinese else "published_on"),
        "status": "PUBLISHED",
    }


def _slug(path: str) -> str:
    """Of the file, or of its folder where it is an index; one that is too long, or that stands in
    another folder than the rest, ends with a digest of the path."""
    place, _, name = _FILE.sub("", path).rpartition("/")
    name = fold(name)
    if len(name) <= SLUG_CHARACTERS and _FOLDER.fullmatch(place):
        return name
    digest = hashlib.blake2b(path.encode(), digest_size=_DIGEST_CHARACTERS // 2).hexdigest()
    return f"{name[: SLUG_CHARACTERS - _DIGEST_CHARACTERS - 1]}-{digest}"


def _cover(said: object) -> object:
    """The address, also of a link in Markdown in its place."""
    link = _LINK.fullmatch(said) if isinstance(said, str) else None
    return link[1] if link else said


def _list(said: Mapping[str, Any], name: str) -> Sequence[Any]:
    value = said.get(name) or []
    if not isinstance(value, list):
        raise Invalid("This is a list.", name)
    return value


def _tags(words: Sequence[Any]) -> Sequence[Mapping[str, str]]:
    """One tag for each word, whatever its case and blanks, in the spelling that comes first."""
    names: dict[str, str] = {}
    for word in words:
        if not isinstance(word, str):
            raise Invalid("Categories and tags are texts.", "tags")
        slug = _DIVIDERS.sub("-", fold(word).replace("-", " ")).strip("-")
        if slug:
            names.setdefault(slug, " ".join(word.split()))
    return [
        {"dimension": _SIDES.get(slug, Dimension.PRODUCT), "slug": slug, "name": name}
        for slug, name in names.items()
    ]
