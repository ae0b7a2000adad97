"""Owns how Markdown becomes HTML that may be shown to anybody."""

import re
from html import escape
from itertools import accumulate

import comrak
import nh3

DEEPEST = 100  # elements within one another: sanitising takes time by the square of it

# Where a line begins as raw HTML, but for `<https://…>` and `<me@…>`.
_RAW = re.compile(r"^([ \t>*+\-\d.)]*)<(?=[a-z/!?])(?![a-z][^\s<>]*[:@])", re.IGNORECASE | re.M)
_HELD = "\x01"  # stands for `<`; no body has it
_TAG = re.compile(r"<(/?)(?!br|hr|img)[a-z]")


def _options() -> tuple[comrak.ExtensionOptions, comrak.RenderOptions]:
    more, how = comrak.ExtensionOptions(), comrak.RenderOptions()
    more.table = more.strikethrough = True
    more.subscript = True  # else one tilde strikes as two do: between "3~5" and "7~9" too
    more.cjk_friendly_emphasis = True  # Chinese has no blanks around what is emphasised
    how.escape = True  # what looks like HTML is a text
    return more, how


_MORE, _HOW = _options()
_CLEANER = nh3.Cleaner(link_rel=None)


def html(markdown: str) -> str:
    """The text rendered as CommonMark with tables, then sanitised once more by another hand."""
    text = _RAW.sub(rf"\1{_HELD}", markdown) if "<" in markdown else markdown
    rendered = comrak.render_markdown(text, _MORE, None, _HOW).replace(_HELD, "&lt;")
    rendered = rendered.replace("<sub>", "~").replace("</sub>", "~")
    if _begun(rendered) > DEEPEST and _depth(rendered) > DEEPEST:
        rendered = f"<pre>{escape(markdown)}</pre>"
    return _CLEANER.clean(rendered)


def _begun(rendered: str) -> int:
    """How many elements there are: with few, none stands deep, which is told far sooner."""
    return rendered.count("<") - rendered.count("</")


def _depth(rendered: str) -> int:
    steps = (-1 if closing else 1 for closing in _TAG.findall(rendered))
    return max(accumulate(steps), default=0)
