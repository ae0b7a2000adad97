"""Owns the folding of language tags: `zh-cn` and `ZH-CN` name one language, written `zh-CN`."""


def fold(tag: str) -> str:
    """The tag in the usual case: RFC 5646, section 2.1.1."""
    folded: list[str] = []
    for part in tag.split("-"):
        own = any(len(before) == 1 for before in folded)  # behind a singleton all is lower
        if folded and not own and len(part) == len("CN"):
            folded.append(part.upper())
        elif folded and not own and len(part) == len("Hans"):
            folded.append(part.title())
        else:
            folded.append(part.lower())
    return "-".join(folded)
