"""Owns where links lead: to the page of a content, to an address outside, never to a dead end."""

from urllib.parse import quote

from api.nodes import to_id
from api.settings import Settings
from content.reading import Piece
from referral import links
from referral.models import Link


def link_url(link: Link, settings: Settings) -> str:
    """What is shared."""
    return f"{settings.base_url}/r/{link.code}"


def address(piece: Piece, settings: Settings) -> str:
    """Where people read the content."""
    return settings.content_address.format(
        slug=quote(piece.slug, safe=""),
        id=quote(to_id("Content", piece.id)),
        locale=quote(piece.locale),
    )


def target(link: Link, piece: Piece | None, settings: Settings) -> str:
    """Where the link leads now; `piece` is its content, if anybody may read of it.

    Our front page stands in for a content that was taken away, and for an address on a host that
    TARGET_HOSTS no longer names: what may be led to is decided at every click.
    """
    if piece is not None:
        return address(piece, settings)
    if link.target_url is not None and links.leads_to(link.target_url, settings.link_hosts):
        return link.target_url
    return f"{settings.base_url}/"
