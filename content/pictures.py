"""Decides by its bytes what an upload is, and makes pictures anew from their pixels alone.

A picture keeps its format (a GIF becomes PNG) and its transparency. All else that was in the file
is gone: a place where it was taken, thumbnails, whatever was hidden behind the picture. How it was
held is applied to the pixels, and colours become sRGB, which screens assume.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from io import BytesIO
from typing import Any

from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from content.errors import (
    Animated,
    DeclaredOtherwise,
    FileTooLarge,
    TooManyPixels,
    UnknownFileType,
    Unreadable,
)

MOST_PICTURE_BYTES = 10 * 1024 * 1024
MOST_DOCUMENT_BYTES = 30 * 1024 * 1024
MOST_PIXELS = 40_000_000
WIDTHS = (320, 640, 1280)
HEAD_BYTES = 12  # tell what a file is
PDF_TAIL_BYTES = 1024  # the end marker lies within them: ISO 32000-1, annex H.3, note 18

# What clients send when they do not look at a file, so that it declares nothing.
UNDECLARED = {"", "application/octet-stream", "application/x-www-form-urlencoded"}
ALIASES = {"image/jpg": "image/jpeg", "image/pjpeg": "image/jpeg", "image/x-png": "image/png"}


class Kind(StrEnum):
    """What an upload can be, by its MIME type."""

    JPEG = "image/jpeg"
    PNG = "image/png"
    WEBP = "image/webp"
    GIF = "image/gif"
    PDF = "application/pdf"

    @property
    def most_bytes(self) -> int:
        """How large such an upload may be."""
        return MOST_DOCUMENT_BYTES if self is Kind.PDF else MOST_PICTURE_BYTES


SUFFIXES: Mapping[Kind, str] = {
    Kind.JPEG: "jpg",
    Kind.PNG: "png",
    Kind.WEBP: "webp",
    Kind.PDF: "pdf",
}
_FORMATS = {Kind.JPEG: "JPEG", Kind.PNG: "PNG", Kind.WEBP: "WEBP", Kind.GIF: "GIF"}
_OPTIONS: Mapping[Kind, Mapping[str, Any]] = {
    Kind.JPEG: {"quality": 88, "optimize": True, "progressive": True},
    Kind.PNG: {"compress_level": 6},
    Kind.WEBP: {"quality": 88, "method": 4},
}
# What decoders raise for bytes that are no such picture.
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, KeyError, IndexError, UnidentifiedImageError)
_SRGB = ImageCms.createProfile("sRGB")

Image.MAX_IMAGE_PIXELS = MOST_PIXELS  # Pillow itself refuses twice as many while it reads a header


@dataclass(frozen=True, slots=True)
class Sized:
    """A picture in one size, encoded; pixels."""

    width: int
    height: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture made anew in its own size, and its smaller variants by ascending width."""

    kind: Kind
    full: Sized
    variants: Sequence[Sized]


def kind_of(head: bytes) -> Kind | None:
    """What begins with these bytes, of which 12 are enough; None for what is not taken."""
    if head.startswith(b"\xff\xd8\xff"):
        return Kind.JPEG
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return Kind.PNG
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return Kind.WEBP
    if head.startswith((b"GIF87a", b"GIF89a")):
        return Kind.GIF
    return Kind.PDF if head.startswith(b"%PDF-") else None


def checked(data: bytes, declared: str | None = None) -> Kind:
    """What the upload is by its bytes.

    Raises `UnknownFileType`, `FileTooLarge`, `DeclaredOtherwise` where `declared` is the MIME type
    of something else, and `Unreadable` for a document without its end.
    """
    kind = kind_of(data[:HEAD_BYTES])
    if kind is None:
        raise UnknownFileType
    if len(data) > kind.most_bytes:
        raise FileTooLarge(kind.most_bytes)
    said = (declared or "").partition(";")[0].strip().lower()
    if said not in UNDECLARED and ALIASES.get(said, said) != kind:
        raise DeclaredOtherwise(said, kind)
    if kind is Kind.PDF and b"%%EOF" not in data[-PDF_TAIL_BYTES:]:
        raise Unreadable
    return kind


def remade(data: bytes, kind: Kind) -> Picture:
    """The picture made anew with its variants. Takes a while, and up to 20 bytes a pixel.

    Raises `TooManyPixels` before anything is decoded, `Animated`, and `Unreadable`.
    """
    image = _pixels(data, kind)
    kept = Kind.PNG if kind is Kind.GIF else kind
    variants = [_sized(_narrowed(image, width), kept) for width in WIDTHS if width < image.width]
    return Picture(kept, _sized(image, kept), variants)


def _pixels(data: bytes, kind: Kind) -> Image.Image:
    try:
        with Image.open(BytesIO(data), formats=[_FORMATS[kind]]) as image:
            if image.width * image.height > MOST_PIXELS:
                raise TooManyPixels(MOST_PIXELS)
            # Phones put more pictures behind a JPEG, of which the first is the one that is meant.
            if kind is not Kind.JPEG and getattr(image, "is_animated", False):
                raise Animated
            image.load()
            return _plain(image)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise TooManyPixels(MOST_PIXELS) from error
    except _BROKEN as error:
        raise Unreadable from error


def _plain(image: Image.Image) -> Image.Image:
    """The pixels upright and in sRGB, with nothing else of the file."""
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I"):  # 16 bits, which Pillow would clip at the 8th
        upright = upright.point(lambda value: value * (1 / 256)).convert("L")
    mode = "RGBA" if upright.has_transparency_data else "RGB"
    pixels = _in_srgb(upright, mode)
    pixels.info.clear()
    return pixels


def _in_srgb(image: Image.Image, mode: str) -> Image.Image:
    profile = image.info.get("icc_profile")
    if profile and image.mode in {"RGB", "RGBA", "CMYK"}:
        try:
            source = ImageCms.ImageCmsProfile(BytesIO(profile))
            converted = ImageCms.profileToProfile(image, source, _SRGB, outputMode=mode)
            return converted or image
        except (ImageCms.PyCMSError, OSError):
            pass  # the profile does not fit the picture: programs take the colours for sRGB then
    return image.convert(mode)


def _narrowed(image: Image.Image, width: int) -> Image.Image:
    height = max(1, round(image.height * width / image.width))
    return image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)


def _sized(image: Image.Image, kind: Kind) -> Sized:
    target = BytesIO()
    image.save(target, _FORMATS[kind], **_OPTIONS[kind])
    return Sized(image.width, image.height, target.getvalue())
