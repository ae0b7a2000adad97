"""Draws the covers of the demo: a calm picture of each piece, always the same one."""

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO

from PIL import Image, ImageDraw, ImageFilter
from PIL.Image import Resampling

from content.models import Dimension

WIDTH, HEIGHT = 1_200, 630  # what is drawn on, in the proportions of a link's preview
SIZE = 960, 504  # pixels of the picture: a third less to draw, and enough for any card
FINER = 1.6  # twice as fine as the picture is it drawn, so that edges come out smooth
COARSER = 4  # and what is blurred anyway, as much less so
STEP = 6  # pixels between two points of a line
QUALITY = 90

WHITE = (255, 255, 255)

Colour = tuple[int, int, int]
Point = tuple[float, float]
Line = Sequence[Point]


@dataclass(frozen=True, slots=True)
class Palette:
    """The colours of a picture, from the top of the sky to what is nearest."""

    sky: Colour
    horizon: Colour
    far: Colour
    near: Colour
    light: Colour  # the sun, the moon, a cup of tea


# By day and at dusk.
PALETTES: Mapping[Dimension, Sequence[Palette]] = {
    Dimension.PRODUCT: (
        Palette((214, 228, 206), (250, 246, 228), (172, 200, 160), (34, 78, 58), (240, 196, 104)),
        Palette((22, 58, 52), (120, 160, 124), (84, 132, 104), (8, 30, 28), (244, 226, 168)),
    ),
    Dimension.COMPANY: (
        Palette((246, 218, 190), (254, 243, 226), (232, 178, 136), (126, 58, 42), (218, 92, 60)),
        Palette((74, 34, 40), (224, 140, 96), (168, 84, 68), (40, 18, 26), (252, 214, 150)),
    ),
    Dimension.INDUSTRY: (
        Palette((190, 212, 226), (244, 244, 236), (148, 182, 200), (26, 58, 88), (246, 206, 146)),
        Palette((18, 34, 64), (112, 146, 172), (70, 108, 142), (8, 18, 38), (240, 230, 204)),
    ),
    Dimension.USER: (
        Palette((236, 210, 218), (254, 242, 234), (212, 164, 180), (96, 46, 80), (240, 148, 112)),
        Palette((44, 28, 62), (190, 138, 160), (132, 88, 124), (26, 14, 38), (250, 212, 180)),
    ),
}


def draw(slug: str, dimension: Dimension) -> bytes:
    """The cover of the piece as a JPEG of 960 by 504 pixels, in the colours of the dimension."""
    chance = random.Random(slug)  # noqa: S311 - what is wanted is one that is always the same
    palette = chance.choice(PALETTES[dimension])
    picture = _gradient(WIDTH, HEIGHT, palette.sky, palette.horizon)
    chance.choice(MOTIFS)(picture, palette, chance)
    target = BytesIO()
    picture.reduce(2).save(target, "JPEG", quality=QUALITY)
    return target.getvalue()


# ---- motifs


def _hills(picture: Image.Image, palette: Palette, chance: random.Random) -> None:
    """Ridges one behind the other, each fading into the mist of the valley before it."""
    _shine(picture, palette, _place(chance), chance.uniform(46, 78))
    count = chance.randint(4, 6)
    mist = _blend(palette.far, palette.horizon, 0.6)
    for step in range(count):
        depth = step / (count - 1)
        line = _ridge(chance, HEIGHT * (0.42 + 0.42 * depth), 70 - 26 * depth, 1.4 + depth)
        colour = _blend(palette.far, palette.near, depth**1.3)
        _slope(picture, line, colour, _blend(colour, mist, 0.6 * (1 - depth)))


def _terraces(picture: Image.Image, palette: Palette, chance: random.Random) -> None:
    """Rows of tea that follow the slope, each with the light of a low sun on its edge."""
    _shine(picture, palette, _place(chance), chance.uniform(54, 84))
    behind = _blend(palette.horizon, palette.far, 0.7)
    _slope(picture, _ridge(chance, HEIGHT * 0.42, 58, 1.6), behind, palette.horizon)
    rows, side, turn = 9, chance.choice((-1, 1)), chance.uniform(0, math.tau)
    for step in range(rows):
        depth = step / (rows - 1)
        top, swing = HEIGHT * (0.5 + 0.5 * depth**1.4), 26 + 22 * depth
        lean = side * 190 * (1 - 0.5 * depth)
        line = [
            (x, top + lean * (x / WIDTH - 0.5) + swing * math.sin(x / 230 + turn + depth * 1.1))
            for x in range(-STEP, WIDTH + STEP, STEP)
        ]
        ground = _blend(palette.far, palette.near, 0.1 + 0.8 * depth)
        edge = _blend(ground, palette.light, 0.35 - 0.15 * depth)
        _slope(picture, line, edge, edge)
        _slope(picture, [(x, y + 4 + 8 * depth) for x, y in line], ground, ground)


def _waves(picture: Image.Image, palette: Palette, chance: random.Random) -> None:
    """Water to the horizon, its waves wider the nearer they are, and a path of light."""
    sun = (WIDTH * chance.uniform(0.25, 0.75), HEIGHT * chance.uniform(0.2, 0.3))
    _shine(picture, palette, sun, chance.uniform(50, 72))
    count, shore = 15, HEIGHT * 0.44
    for step in range(count):
        depth = step / (count - 1)
        top, height, length = (
            shore + (HEIGHT - shore) * depth**1.45,
            1.5 + 15 * depth,
            90 + 330 * depth,
        )
        turn = chance.uniform(0, math.tau)
        line = [
            (
                x,
                top
                + height * (math.sin(x / length * math.tau + turn) + 0.4 * math.sin(x / 97 + turn)),
            )
            for x in range(-STEP, WIDTH + STEP, STEP)
        ]
        colour = _blend(_blend(palette.horizon, palette.far, 0.75), palette.near, depth)
        _slope(picture, line, colour, colour)
        _stroke(picture, line, 1 + 1.6 * depth, _blend(colour, palette.horizon, 0.3))
        reach = 26 + 120 * depth
        glint = [
            (x, y + (3 + 4 * depth) + side * (1 + 3 * depth) * (1 - (abs(x - sun[0]) / reach) ** 2))
            for side, part in ((1, line), (-1, reversed(line)))
            for x, y in part
            if abs(x - sun[0]) < reach
        ]
        _fill(picture, glint, _blend(colour, palette.light, 0.6))


def _leaves(picture: Image.Image, palette: Palette, chance: random.Random) -> None:
    """A twig with its leaves and its soft shadow before a pale disc."""
    side = chance.choice((-1, 1))
    middle = WIDTH / 2 + side * chance.uniform(40, 150)
    disc = (middle, HEIGHT * 0.47)
    _disc(picture, disc, 205, _blend(palette.horizon, palette.light, 0.55))
    stem, leaves = _twig(chance, middle - side * 90, side)
    _soft(picture, [[(x + 16, y + 22) for x, y in leaf] for leaf in leaves], 14, 0.4, palette.near)
    wood = _blend(palette.near, palette.far, 0.3)
    _stroke(picture, stem, 5, wood)
    for order, leaf in enumerate(leaves):
        colour = _blend(palette.far, palette.near, 0.3 + 0.65 * (order * 0.37 % 1))
        _fill(picture, leaf, colour)
        _stroke(picture, [leaf[0], leaf[len(leaf) // 2]], 2, _blend(colour, palette.horizon, 0.4))


def _cup(picture: Image.Image, palette: Palette, chance: random.Random) -> None:
    """A cup of tea from above, with the rings of a drop that has just fallen."""
    middle = (WIDTH * chance.choice((0.34, 0.5, 0.66)), HEIGHT * 0.5)
    for ring in range(11, 0, -1):
        colour = _blend(palette.sky, palette.far, 0.1 + 0.06 * (ring % 2))
        _disc(picture, middle, 230 + 62 * ring, _blend(colour, palette.horizon, ring / 15))
    _soft(picture, [_round((middle[0] + 22, middle[1] + 30), 232)], 26, 0.6, palette.near)
    tea = _blend(palette.light, palette.near, 0.14)
    _disc(picture, middle, 230, _blend(palette.horizon, WHITE, 0.7))
    _disc(picture, middle, 213, _blend(palette.horizon, palette.far, 0.4))
    _disc(picture, middle, 204, _blend(tea, palette.near, 0.32))
    _disc(picture, (middle[0] + 3, middle[1] + 5), 198, tea)
    warm = [_round((middle[0] - 62, middle[1] - 70), 92)]
    _soft(picture, warm, 36, 0.3, _blend(tea, WHITE, 0.6))
    turn, off = chance.uniform(0, math.tau), chance.uniform(30, 75)
    drop = (middle[0] + off * math.cos(turn), middle[1] + off * math.sin(turn))
    for ring in range(6):
        radius = 12 + 17 * ring + 1.2 * ring**2
        if radius < 185 - off:
            colour = _blend(tea, WHITE, 0.62 - 0.09 * ring)
            _stroke(picture, _round(drop, radius), 2.4, colour)


MOTIFS: Sequence[Callable[[Image.Image, Palette, random.Random], None]] = (
    _hills,
    _terraces,
    _waves,
    _leaves,
    _cup,
)


# ---- lines


def _place(chance: random.Random) -> Point:
    """Where the sun stands: off the middle, clear of the edges."""
    return WIDTH * chance.choice((0.24, 0.31, 0.68, 0.76)), HEIGHT * chance.uniform(0.22, 0.32)


def _ridge(chance: random.Random, top: float, height: float, roughness: float) -> Line:
    """A ridge from the left edge to the right: a few waves, each shorter and lower."""
    waves = [
        (height / octave**1.15, roughness * octave / WIDTH * math.tau, chance.uniform(0, math.tau))
        for octave in (1, 2, 3.3, 6.1, 11.7)
    ]
    return [
        (x, top - sum(size * math.sin(x * often + turn) for size, often, turn in waves) * 0.6)
        for x in range(-STEP, WIDTH + STEP, STEP)
    ]


def _twig(chance: random.Random, foot: float, side: int) -> tuple[Line, Sequence[Line]]:
    """A stem, and its leaves from the lowest up to the bud."""
    bend, count = chance.uniform(60, 120), chance.randint(6, 8)
    ways = [step / (count - 1) for step in range(count)]
    stem = [
        (foot + side * (bend * way**2 + 60 * way), HEIGHT * (0.95 - 0.65 * way))
        for way in [step / 30 for step in range(31)]
    ]
    leaves: list[Line] = []
    for step, way in enumerate(ways):
        turn = (1 if step % 2 else -1) * (1.05 - 0.45 * way) + side * 0.3 * way
        if step == count - 1:
            turn = side * 0.3  # the bud goes on where the stem ends
        at = stem[round(3 + 27 * way)]
        leaves.append(_leaf(at, 225 - 95 * way, turn + chance.uniform(-0.1, 0.1)))
    return stem, leaves


def _leaf(at: Point, length: float, turn: float) -> Line:
    """The outline of a leaf that grows from `at`, `turn` radians off upright."""
    steps = [step / 24 for step in range(25)]
    half = [(length * 0.19 * math.sin(math.pi * step**0.8), length * step) for step in steps]
    outline = [*half, *[(-0.85 * across, along) for across, along in reversed(half)]]
    sine, cosine = math.sin(turn), math.cos(turn)
    return [
        (at[0] + across * cosine + along * sine, at[1] + across * sine - along * cosine)
        for across, along in outline
    ]


def _round(at: Point, radius: float) -> Line:
    turns = [step / 90 * math.tau for step in range(92)]
    return [(at[0] + radius * math.cos(turn), at[1] + radius * math.sin(turn)) for turn in turns]


# ---- paint


def _slope(picture: Image.Image, line: Line, crest: Colour, foot: Colour) -> None:
    """Fills what lies below the line, from the colour of the crest to that of the foot."""
    top = max(0, math.floor(min(y for _, y in line)))
    _fill(picture, [*line, (WIDTH, HEIGHT), (0, HEIGHT)], foot)
    if crest == foot or top >= HEIGHT:
        return
    deep = min(HEIGHT - top, 260)
    mask = Image.new("L", (round(WIDTH * FINER), round(deep * FINER)))
    _fill(mask, [(x, y - top) for x, y in [*line, (WIDTH, HEIGHT), (0, HEIGHT)]], 255)
    picture.paste(_gradient(WIDTH, deep, crest, foot), (0, round(top * FINER)), mask)


def _fill(picture: Image.Image, points: Line, colour: Colour | int) -> None:
    ImageDraw.Draw(picture).polygon(_finer(points), fill=colour)


def _stroke(picture: Image.Image, points: Line, width: float, colour: Colour) -> None:
    ImageDraw.Draw(picture).line(_finer(points), fill=colour, width=round(width * FINER))


def _disc(picture: Image.Image, at: Point, radius: float, colour: Colour) -> None:
    ImageDraw.Draw(picture).circle(_finer([at])[0], radius * FINER, fill=colour)


def _shine(picture: Image.Image, palette: Palette, at: Point, radius: float) -> None:
    """A sun in its halo."""
    halo = _blend(palette.light, palette.horizon, 0.4)
    _soft(picture, [_round(at, radius * 1.7)], radius * 0.7, 0.5, halo)
    _disc(picture, at, radius, palette.light)


def _soft(
    picture: Image.Image, shapes: Sequence[Line], blur: float, share: float, colour: Colour
) -> None:
    """Lays so much of the colour over the shapes, which melt into what is around them."""
    mask = Image.new("L", (WIDTH // COARSER, HEIGHT // COARSER))
    for shape in shapes:
        points = [(x / COARSER, y / COARSER) for x, y in shape]
        ImageDraw.Draw(mask).polygon(points, fill=round(255 * share))
    mask = mask.filter(ImageFilter.GaussianBlur(blur / COARSER))
    box = mask.getbbox()
    if box:  # where there is anything to be laid
        part, often = mask.crop(box), COARSER * FINER
        size = round(part.width * often), round(part.height * often)
        at = round(box[0] * often), round(box[1] * often)
        picture.paste(colour, at, part.resize(size, Resampling.BILINEAR))


def _gradient(width: int, height: int, top: Colour, bottom: Colour) -> Image.Image:
    column = Image.new("RGB", (1, 64))
    column.putdata([_blend(top, bottom, step / 63) for step in range(64)])
    column = column.resize((1, round(height * FINER)), Resampling.BILINEAR)
    return column.resize((round(width * FINER), column.height), Resampling.NEAREST)


def _finer(points: Line) -> list[Point]:
    return [(x * FINER, y * FINER) for x, y in points]


def _blend(one: Colour, other: Colour, share: float) -> Colour:
    """So much of the other colour in the one."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue
