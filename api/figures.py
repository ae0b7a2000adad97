"""Owns how what a content shows beside its text looks on a plain page: pictures, videos, files."""

from collections.abc import Sequence
from html import escape

from api.media import Media
from content.pictures import Kind

SIZES = "(max-width: 42.5rem) calc(100vw - 2.5rem), 40rem"  # as wide as the page has its text


def cover(url: str) -> str:
    """The picture that goes with the teaser; it says nothing that the teaser does not."""
    return f'<img class="cover" src="{escape(url)}" alt="">'


def figures(media: Sequence[Media], title: str) -> str:
    """Each medium in order; what cannot be shown without scripts is a link."""
    return "\n".join(_figure(each, title) for each in media)


def _figure(medium: Media, title: str) -> str:
    if medium.mime.startswith("image/"):
        return f"<figure>{_picture(medium, title)}</figure>"
    if medium.mime.startswith("video/"):
        return f"<figure>{_video(medium, title)}</figure>"
    kind = "PDF" if medium.mime == Kind.PDF else medium.mime
    return f'<p class="file">{_link(medium, f"{title} ({kind})")}</p>'


def _picture(medium: Media, title: str) -> str:
    sizes = [(each.url, each.width) for each in medium.variants]
    sizes += [(medium.url, medium.width)] if medium.width else []
    choice = ", ".join(f"{url} {width}w" for url, width in sizes)
    return (
        f'<img src="{escape(medium.url)}" srcset="{escape(choice)}" sizes="{SIZES}"'
        f'{_size(medium)} alt="{escape(title)}" loading="lazy">'
    )


def _video(medium: Media, title: str) -> str:
    return (
        f'<video src="{escape(medium.url)}"{_size(medium)} controls preload="none">'
        f"{_link(medium, title)}</video>"
    )


def _size(medium: Media) -> str:
    """Keeps its place free until it is there."""
    if not medium.width or not medium.height:
        return ""
    return f' width="{medium.width}" height="{medium.height}"'


def _link(medium: Media, words: str) -> str:
    return f'<a href="{escape(medium.url)}">{escape(words)}</a>'
