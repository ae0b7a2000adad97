"""What becomes of the Markdown of a body."""

import pytest

from content import rendering

RENDERED = {
    "1~2 days, 3~4 cups": "<p>1~2 days, 3~4 cups</p>",
    "~~gone~~ H~2~O": "<p><del>gone</del> H~2~O</p>",
    "[me](https://tea.example/~me/)": '<p><a href="https://tea.example/~me/">me</a></p>',
    "a List<String> and <br>": "<p>a List&lt;String&gt; and &lt;br&gt;</p>",
    "<div>\n**in it**\n</div>": "<p>&lt;div&gt;\n<strong>in it</strong>\n&lt;/div&gt;</p>",
    "> <!-- no -->": "<blockquote>\n<p>&lt;!-- no --&gt;</p>\n</blockquote>",
    "```\n<b>\n```": "<pre><code>&lt;b&gt;\n</code></pre>",
    "<https://tea.example>": '<p><a href="https://tea.example">https://tea.example</a></p>',
    "**重点：**后面": "<p><strong>重点：</strong>后面</p>",
}


@pytest.mark.parametrize("body", RENDERED)
def test_a_body_is_shown_as_it_was_meant(body: str) -> None:
    assert rendering.html(body).strip() == RENDERED[body]


def test_a_table_is_one() -> None:
    html = rendering.html("| a | b |\n| --- | --- |\n| 1 | `<x>` |")
    assert "<td>1</td>" in html
    assert "<td><code>&lt;x&gt;</code></td>" in html


def test_what_nests_a_hundred_deep_is_rendered_and_one_deeper_is_shown_as_it_is() -> None:
    quotes = rendering.DEEPEST - 1  # and the paragraph in them
    assert rendering.html(">" * quotes + "a").count("<blockquote>") == quotes
    assert rendering.html(">" * (quotes + 1) + "a") == f"<pre>{'&gt;' * (quotes + 1)}a</pre>"


@pytest.mark.parametrize("piece", [">", "- + ", "[", "*a_", "[a](", "![[", "<a ", "~~a", "**", "`"])
def test_no_body_takes_more_than_moments(piece: str) -> None:
    body = piece * (400_000 // len(piece))
    assert rendering.html(body)
