"""The mistakes that this room answers with."""

from content.models import ContentKind, ContentStatus, Dimension
from core.errors import Invalid, Mistake, NotFound


class SlugTaken(Mistake):
    """Another content or tag has this slug, or had it once: old slugs go on working."""

    code = "NOT_UNIQUE"

    def __init__(self, slug: str, *field: str) -> None:
        super().__init__(f"The slug {slug} belongs to another one, or did once.", *field)


class StaleVersion(Mistake):
    """Somebody has saved since the version that the caller knows."""

    code = "STALE_VERSION"

    def __init__(self, newest: int) -> None:
        super().__init__(
            f"Somebody saved version {newest} meanwhile; look at it and try again.",
            "expectedVersion",
        )


class InvalidTransition(Mistake):
    """The workflow has no such step from where the content is."""

    code = "INVALID_TRANSITION"

    def __init__(self, action: str, status: ContentStatus) -> None:
        super().__init__(f"{action} is not possible while it is {status}.")


class LimitExceeded(Mistake):
    """A list above its limit."""

    code = "LIMIT_EXCEEDED"

    def __init__(self, count: int, most: int, *field: str) -> None:
        super().__init__(f"These are {count}; at most {most} go together.", *field)


class ContentNotFound(NotFound):
    """No content has this id."""

    def __init__(self, *field: str) -> None:
        super().__init__("There is no such content.", *field)


class VersionNotFound(NotFound):
    """The content has no such version."""

    def __init__(self, version: int, *field: str) -> None:
        super().__init__(f"This content has no version {version}.", *field)


class TagNotFound(NotFound):
    """No tag has, or ever had, one of these slugs."""

    def __init__(self, slugs: str, *field: str) -> None:
        super().__init__(f"There is no tag {slugs}.", *field)


class TierNotFound(NotFound):
    """The current rules have no tier with this code."""

    def __init__(self, code: str, *field: str) -> None:
        super().__init__(f"There is no tier {code}.", *field)


class MediaNotFound(NotFound):
    """No medium has this id."""

    def __init__(self, *field: str) -> None:
        super().__init__("There is no such medium.", *field)


class ParentElsewhere(Invalid):
    """A tag stands below a tag of its own dimension alone."""

    def __init__(self, *field: str) -> None:
        super().__init__("A tag and its parent belong to one dimension.", *field)


class TagCycle(Invalid):
    """A tag cannot stand below itself."""

    def __init__(self, *field: str) -> None:
        super().__init__("A tag cannot stand below itself.", *field)


class DimensionElsewhere(Invalid):
    """A tag that exists belongs to another dimension than the row says."""

    def __init__(self, slug: str, dimension: Dimension, *field: str) -> None:
        super().__init__(f"The tag {slug} belongs to {dimension}.", *field)


class KindElsewhere(Invalid):
    """A content keeps the kind and the locale that it began with."""

    def __init__(self, kind: ContentKind, locale: str) -> None:
        super().__init__(f"The content of this slug is a {kind} in {locale}.", "kind")


class UnknownFileType(Invalid):
    """An upload that is, by its bytes, nothing that we keep."""

    def __init__(self) -> None:
        super().__init__("This is none of JPEG, PNG, WebP, GIF and PDF.", "file")


class DeclaredOtherwise(Invalid):
    """An upload that lies about its type."""

    def __init__(self, declared: str, found: str) -> None:
        super().__init__(f"This was sent as {declared[:100]}, but it is {found}.", "file")


class FileTooLarge(Mistake):
    """An upload above its limit."""

    code = "LIMIT_EXCEEDED"

    def __init__(self, most_bytes: int) -> None:
        mebibytes = most_bytes // 1024**2
        super().__init__(f"Such a file has at most {mebibytes} MiB.", "file")


class TooManyPixels(Mistake):
    """A picture that would fill the memory, however small its file is."""

    code = "LIMIT_EXCEEDED"

    def __init__(self, most: int) -> None:
        super().__init__(f"A picture has at most {most // 1_000_000} million pixels.", "file")


class Animated(Invalid):
    """A picture that moves."""

    def __init__(self) -> None:
        super().__init__("Pictures do not move here; a video has an address elsewhere.", "file")


class Unreadable(Invalid):
    """An upload that is broken or cut off."""

    def __init__(self) -> None:
        super().__init__("This file is broken or incomplete.", "file")
