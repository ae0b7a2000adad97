"""What an upload is by its bytes, and the picture that is made of it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from content import pictures
from content.errors import (
    Animated,
    DeclaredOtherwise,
    FileTooLarge,
    TooManyPixels,
    UnknownFileType,
    Unreadable,
)
from content.pictures import Kind, Picture
from core.errors import Mistake
from tests.content import images

PICTURES = {
    "JPEG": Kind.JPEG,
    "PNG": Kind.PNG,
    "WEBP": Kind.WEBP,
    "GIF": Kind.GIF,
}
MIB = 1024 * 1024


def remade(data: bytes) -> Picture:
    return pictures.remade(data, pictures.checked(data))


@pytest.mark.parametrize(("form", "kind"), PICTURES.items())
def test_the_bytes_say_what_a_picture_is(form: str, kind: Kind) -> None:
    assert pictures.checked(images.picture(form)) is kind


def test_the_bytes_say_what_a_document_is() -> None:
    assert pictures.checked(images.PDF) is Kind.PDF


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xd8",
        b"hello",
        images.SVG,
        b"<!doctype html><script>alert(1)</script>",
        b" %PDF-1.4\n%%EOF",
        b"RIFF\x04\0\0\0WAVE",
        b"BM" + bytes(60),
        b"II*\0" + bytes(60),
        b"\0\0\0\x18ftypheic" + bytes(60),
    ],
)
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(UnknownFileType):
        pictures.checked(data, "image/jpeg")


@pytest.mark.parametrize(
    "declared",
    [
        None,
        "",
        "image/jpeg",
        "image/jpg",
        "IMAGE/JPEG; name=tea.jpg",
        "application/octet-stream",
        "application/x-www-form-urlencoded",
    ],
)
def test_a_type_that_fits_or_says_nothing_is_taken(declared: str | None) -> None:
    assert pictures.checked(images.picture(), declared) is Kind.JPEG


@pytest.mark.parametrize("declared", ["image/png", "application/pdf", "text/html", "image/*", "x"])
def test_an_upload_that_lies_about_its_type_is_refused(declared: str) -> None:
    with pytest.raises(DeclaredOtherwise, match=r"it is image/jpeg"):
        pictures.checked(images.picture(), declared)


def test_a_document_without_its_end_is_refused() -> None:
    with pytest.raises(Unreadable):
        pictures.checked(images.PDF.replace(b"%%EOF", b""))
    with pytest.raises(Unreadable):
        pictures.checked(images.PDF + bytes(1024))
    assert pictures.checked(images.PDF + bytes(1024 - len(b"%%EOF\n"))) is Kind.PDF


def test_a_picture_has_at_most_10_mib_and_a_document_30() -> None:
    jpeg = images.picture()
    assert pictures.checked(jpeg + bytes(10 * MIB - len(jpeg))) is Kind.JPEG
    with pytest.raises(FileTooLarge, match="10 MiB"):
        pictures.checked(jpeg + bytes(10 * MIB - len(jpeg) + 1))
    begin, end = b"%PDF-1.4\n", b"\n%%EOF"
    filled = 30 * MIB - len(begin + end)
    assert pictures.checked(begin + bytes(filled) + end) is Kind.PDF
    with pytest.raises(FileTooLarge, match="30 MiB"):
        pictures.checked(begin + bytes(filled + 1) + end)


@pytest.mark.parametrize(
    ("form", "kind"),
    [("JPEG", Kind.JPEG), ("PNG", Kind.PNG), ("WEBP", Kind.WEBP), ("GIF", Kind.PNG)],
)
def test_a_picture_keeps_its_format_and_a_gif_becomes_png(form: str, kind: Kind) -> None:
    made = remade(images.picture(form))
    assert made.kind is kind
    for sized in (made.full, *made.variants):
        assert pictures.kind_of(sized.data) is kind
        shown = images.told(sized.data)
        assert shown.size == (sized.width, sized.height)
        assert images.colour(shown, 5) == "r"
        assert images.colour(shown, sized.width - 5) == "b"


@pytest.mark.parametrize(
    ("width", "widths"),
    [
        (1, []),
        (320, []),
        (321, [320]),
        (640, [320]),
        (641, [320, 640]),
        (1280, [320, 640]),
        (1281, [320, 640, 1280]),
    ],
)
def test_variants_are_narrower_than_the_picture(width: int, widths: list[int]) -> None:
    made = remade(images.picture("PNG", width, 100))
    assert (made.full.width, made.full.height) == (width, 100)
    assert [each.width for each in made.variants] == widths
    assert [each.height for each in made.variants] == [round(100 * each / width) for each in widths]


def test_a_picture_of_one_line_has_variants_of_one_line() -> None:
    assert [each.height for each in remade(images.picture("PNG", 2000, 1)).variants] == [1, 1, 1]


@pytest.mark.parametrize("form", ["PNG", "WEBP", "GIF"])
def test_what_is_transparent_stays_so(form: str) -> None:
    image = Image.new("RGBA", (400, 200), (0, 0, 0, 0))
    image.paste((255, 0, 0, 255), (200, 0, 400, 200))
    made = remade(images.encoded(image, form))
    for sized in (made.full, *made.variants):
        shown = images.told(sized.data)
        assert images.alpha(shown, 5) == 0
        assert images.alpha(shown, sized.width - 5) == 255


def test_how_it_was_held_is_applied_and_where_it_was_taken_is_gone() -> None:
    exif = Image.Exif()
    exif[images.ORIENTATION] = 6  # to be turned clockwise
    exif[images.DESCRIPTION] = "at home"
    exif.get_ifd(0x8825)[1] = "N"  # GPS
    data = images.picture("JPEG", exif=exif, comment=b"at home", xmp=b"<at home/>")
    assert data.count(b"at home") == 3
    made = remade(data)
    assert (made.full.width, made.full.height) == (200, 400)
    shown = images.told(made.full.data)
    assert (images.colour(shown, 100, 5), images.colour(shown, 100, 395)) == ("r", "b")
    for sized in (made.full, *made.variants):
        assert b"at home" not in sized.data
        assert not images.told(sized.data).getexif()


def test_texts_and_profiles_of_a_png_are_gone() -> None:
    from PIL.PngImagePlugin import PngInfo

    texts = PngInfo()
    texts.add_text("Comment", "at home")
    data = images.picture("PNG", pnginfo=texts, icc_profile=images.crossed_profile())
    assert {"Comment", "icc_profile"} <= images.told(data).info.keys()
    assert images.told(remade(data).full.data).info == {}


def test_what_hides_behind_a_picture_is_gone() -> None:
    data = images.picture() + b"<script>alert(1)</script>"
    assert b"<script>" not in remade(data).full.data


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_colours_of_another_profile_become_srgb(form: str) -> None:
    made = remade(images.picture(form, icc_profile=images.crossed_profile()))
    shown = images.told(made.full.data)
    assert "icc_profile" not in shown.info
    assert images.colour(shown, 5) == "g"


def test_a_profile_that_is_none_does_no_harm() -> None:
    shown = images.told(remade(images.picture(icc_profile=b"no profile")).full.data)
    assert images.colour(shown, 5) == "r"


@pytest.mark.parametrize(
    ("mode", "form"), [("L", "JPEG"), ("CMYK", "JPEG"), ("1", "PNG"), ("P", "PNG"), ("LA", "PNG")]
)
def test_other_kinds_of_pixels_become_plain_ones(mode: str, form: str) -> None:
    data = images.encoded(Image.new("RGB", (20, 10), "white").convert(mode), form)
    shown = images.told(remade(data).full.data)
    assert shown.mode in {"RGB", "RGBA"}
    assert shown.convert("RGB").getpixel((5, 5)) == (255, 255, 255)


def test_sixteen_bits_a_pixel_become_eight() -> None:
    data = images.encoded(Image.new("I;16", (20, 10), 128 * 256), "PNG")
    assert images.told(remade(data).full.data).getpixel((5, 5)) == (128, 128, 128)


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP"])
def test_a_picture_that_moves_is_refused(form: str) -> None:
    with pytest.raises(Animated):
        remade(images.moving(form))


def test_of_several_pictures_in_a_jpeg_the_first_is_meant() -> None:
    made = remade(images.moving("MPO"))
    assert made.kind is Kind.JPEG
    assert images.colour(images.told(made.full.data), 5) == "r"


@pytest.mark.parametrize("size", [(8_000, 5_001), (40_000_001, 1), (65_000, 65_000)])
def test_a_bomb_is_refused_before_it_is_unpacked(size: tuple[int, int]) -> None:
    with pytest.raises(TooManyPixels, match="40 million"):
        remade(images.claiming(*size))


def test_forty_million_pixels_are_looked_at() -> None:
    with pytest.raises(Unreadable):  # its header is the only thing that is true of it
        remade(images.claiming(8_000, 5_000))


def test_a_bomb_among_the_texts_of_a_png_is_refused() -> None:
    from PIL.PngImagePlugin import PngInfo

    texts = PngInfo()
    texts.add_text("Comment", "x" * 100 * MIB, zip=True)
    with pytest.raises(Unreadable):
        remade(images.picture("PNG", pnginfo=texts))


@pytest.mark.parametrize("form", PICTURES)
@pytest.mark.parametrize("kept", [0.99, 0.5, 0.1])
def test_a_picture_that_is_cut_off_is_refused(form: str, kept: float) -> None:
    noise = Image.effect_noise((200, 100), 100).convert("RGB")
    data = images.encoded(noise, form)
    with pytest.raises(Unreadable):
        remade(data[: int(len(data) * kept)])


@pytest.mark.parametrize("form", PICTURES)
def test_the_same_upload_makes_the_same_files(form: str) -> None:
    data = images.picture(form)
    assert remade(data) == remade(data)


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, such as of broken EXIF
@settings(max_examples=300, deadline=None)
@given(
    form=st.sampled_from(sorted(PICTURES)),
    changes=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), min_size=1, max_size=8),
    cut=st.floats(0, 1),
)
def test_whatever_is_broken_is_a_picture_or_a_mistake(
    form: str, changes: list[tuple[float, int]], cut: float
) -> None:
    data = bytearray(WHOLE[form])
    for place, value in changes:
        data[int(place * len(data))] = value
    try:
        made = remade(bytes(data[: 12 + int(cut * len(data))]))
    except Mistake:
        return
    images.told(made.full.data)


def _whole(form: str) -> bytes:
    exif = Image.Exif()
    exif[images.ORIENTATION] = 6
    more = {} if form == "GIF" else {"exif": exif, "icc_profile": images.crossed_profile()}
    return images.picture(form, 40, 20, **more)


WHOLE = {form: _whole(form) for form in PICTURES}
