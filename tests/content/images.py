"""Makes the pictures and documents that tests upload."""

import struct
import zlib
from collections.abc import Sequence
from io import BytesIO
from typing import Any

from PIL import Image

PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
ORIENTATION, DESCRIPTION = 0x0112, 0x010E


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    """The picture as a file."""
    target = BytesIO()
    image.save(target, kind, **options)
    return target.getvalue()


def picture(kind: str = "JPEG", width: int = 400, height: int = 200, **options: Any) -> bytes:
    """A picture of which the left half is red and the right half blue."""
    return encoded(halves(width, height), kind, **options)


def halves(width: int, height: int, mode: str = "RGB") -> Image.Image:
    """The same, not encoded."""
    image = Image.new(mode, (width, height), "red")
    image.paste("blue", (width // 2, 0, width, height))
    return image


def moving(kind: str) -> bytes:
    """Two frames."""
    frames = [Image.new("RGB", (40, 20), colour) for colour in ("red", "blue")]
    return encoded(frames[0], kind, save_all=True, append_images=frames[1:], duration=100)


def told(data: bytes) -> Image.Image:
    """The picture that a file holds."""
    image = Image.open(BytesIO(data))
    image.load()
    return image


def colour(image: Image.Image, x: int, y: int = 5) -> str:
    """Which of red, green and blue are bright at a pixel, such as "r"; none is in between."""
    values = image.convert("RGB").getpixel((x, y))
    assert isinstance(values, tuple)
    assert all(value > 235 or value < 35 for value in values), values
    return "".join(name for name, value in zip("rgb", values, strict=True) if value > 235)


def alpha(image: Image.Image, x: int, y: int = 5) -> float:
    """How far a pixel covers what is behind it, to 255."""
    value = image.convert("RGBA").getchannel("A").getpixel((x, y))
    assert isinstance(value, int | float)
    return value


def claiming(width: int, height: int) -> bytes:
    """A small PNG whose header claims so many pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 1000)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*each) for each in chunks)


def _chunk(name: bytes, data: bytes) -> bytes:
    check = zlib.crc32(name + data)
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", check)


def crossed_profile() -> bytes:
    """An ICC profile in which red and green of sRGB have changed places."""
    red, green, blue = (0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141)
    curve = b"curv" + bytes(4) + struct.pack(">IHH", 1, round(2.2 * 256), 0)
    text = b"text" + bytes(4) + b"x\0\0\0"
    about = b"desc" + bytes(4) + struct.pack(">I", 2) + b"x\0" + bytes(78)
    tags = {
        b"desc": about + bytes(-len(about) % 4),
        b"cprt": text,
        b"wtpt": _xyz((0.9642, 1.0, 0.8249)),
        b"rXYZ": _xyz(green),
        b"gXYZ": _xyz(red),
        b"bXYZ": _xyz(blue),
        b"rTRC": curve,
        b"gTRC": curve,
        b"bTRC": curve,
    }
    table, body = struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        at = 128 + 4 + 12 * len(tags) + len(body)
        table += name + struct.pack(">II", at, len(data))
        body += data
    size = 128 + len(table) + len(body)
    head = struct.pack(">I4sI4s4s4s", size, bytes(4), 0x02100000, b"mntr", b"RGB ", b"XYZ ")
    head += struct.pack(">6H4s", 2026, 1, 1, 0, 0, 0, b"acsp")
    head += bytes(28) + _numbers((0.9642, 1.0, 0.8249))
    return head + bytes(128 - len(head)) + table + body


def _xyz(values: Sequence[float]) -> bytes:
    return b"XYZ " + bytes(4) + _numbers(values)


def _numbers(values: Sequence[float]) -> bytes:
    return struct.pack(">3i", *(round(each * 65536) for each in values))
