"""Owns how Markdown becomes HTML that may be shown to anybody."""

import nh3
from markdown_it import MarkdownIt

# No raw HTML, no autolinks into anything but http(s): what an editor writes cannot run.
_MARKDOWN = MarkdownIt("js-default", {"html": False})


def html(markdown: str) -> str:
    """The text rendered as CommonMark with tables, then sanitised once more by another hand."""
    return nh3.clean(_MARKDOWN.render(markdown), link_rel=None)
