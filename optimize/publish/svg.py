"""Charts as inline SVG: real text, patterns beside colours, one look from ``look.css``, no script.

Why not a library: of those that draw without a browser, Altair with vl-convert was measured on this
project's bars: 100 MB installed, 1.5 s to the first chart and 0.09 s to each further one, no patterns
for black and white, and widths of Chinese labels that depend on the fonts of the machine that draws.
Matplotlib draws paths or loses the page's fonts.  Pages of the web server need a chart in
milliseconds, under a content-security policy without inline styles.  What is needed of geometry is
little: bars, lines, marks, and ticks; it is here.
"""

from __future__ import annotations

import hashlib
import math
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup, escape

# Fills in the order of use: class of `look.css`, and lines over it that tell it apart without colour.
FILLS = ("f1", "f2", "f3", "f4", "f5", "f6", "f7")
_HATCHES = {
    "f2": "M-1,1l2,-2M0,8l8,-8M7,9l2,-2",
    "f3": "M2,2h.01M6,6h.01",
    "f4": "M0,4h8",
    "f5": "M4,0v8",
    "f6": "M0,0l8,8M8,0l-8,8",
}
MARKS = ("circle", "square", "triangle", "diamond", "down", "cross", "hexagon")
TEXT_PX = 13.0
SMALL_PX = 11.0


def text_width(text: str, size: float = TEXT_PX) -> float:
    """About how wide a text is in units of the drawing; Chinese characters are as wide as high."""
    wide = sum(1.0 if unicodedata.east_asian_width(c) in "WF" else 0.6 for c in text)
    return wide * size


def shortened(text: str, width: float, size: float = TEXT_PX) -> str:
    """The text, cut with an ellipsis where it is wider than ``width``."""
    if text_width(text, size) <= width:
        return text
    while text and text_width(text + "…", size) > width:
        text = text[:-1]
    return text.rstrip() + "…"


def ticks(most: float, wished: int = 4, least: float = 0.0) -> list[float]:
    """Round values from ``least`` to at least ``most``, about ``wished`` steps."""
    span = most - least
    if span <= 0 or not math.isfinite(span):
        return [least, least + 1.0]
    raw = span / max(wished, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(k * power for k in (1.0, 2.0, 2.5, 5.0, 10.0) if k * power >= raw * (1 - 1e-9))
    first = math.floor(least / step + 1e-9)
    last = math.ceil(most / step - 1e-9)
    return [k * step for k in range(first, last + 1)]


@dataclass
class Drawing:
    """An SVG in the making; coordinates in its own units, y downwards.

    Attributes
    ----------
    title, description : what a reader who cannot see it is told.
    kind : further class of the svg element.
    """

    width: float
    height: float
    title: str
    description: str = ""
    kind: str = ""
    _parts: list[str] = field(default_factory=list)
    _used: set[str] = field(default_factory=set)

    def add(
        self, name: str, classes: str = "", content: str | Markup = "", tip: str = "", **attributes: object
    ) -> None:
        """An element; ``content`` is escaped text, ``tip`` what a pointer over it shows."""
        self._parts.append(self._element(name, classes, content, tip, attributes))

    def text(
        self, x: float, y: float, text: str, classes: str = "", anchor: str = "start", tip: str = ""
    ) -> None:
        self.add(
            "text", classes, text, tip, x=x, y=y, **({} if anchor == "start" else {"text-anchor": anchor})
        )

    def line(self, x1: float, y1: float, x2: float, y2: float, classes: str = "axis") -> None:
        self.add("line", classes, x1=x1, y1=y1, x2=x2, y2=y2)

    def bar(
        self, x: float, y: float, width: float, height: float, fill: str, tip: str = "", link: str = ""
    ) -> None:
        """A filled rectangle in one of FILLS, hatched where colour alone would not tell."""
        if width <= 0 or height <= 0:
            return
        with_link = self._open_link(link)
        self.add("rect", fill, "", tip, x=x, y=y, width=width, height=height)
        if fill in _HATCHES:
            self._used.add(fill)
            self.add(
                "rect",
                "",
                x=x,
                y=y,
                width=width,
                height=height,
                fill=f"url(#@-{fill})",
                **{"pointer-events": "none"},
            )
        self._close_link(with_link)

    def linked(self, name: str, classes: str, tip: str, link: str, **attributes: object) -> None:
        """An element that leads to ``link`` ("": nowhere)."""
        with_link = self._open_link(link)
        self.add(name, classes, "", tip, **attributes)
        self._close_link(with_link)

    def area(self, path: str, fill: str, classes: str = "", tip: str = "") -> None:
        """A filled path, hatched like `bar`."""
        self.add("path", f"{fill} {classes}".strip(), "", tip, d=path)
        if fill in _HATCHES:
            self._used.add(fill)
            self.add("path", classes, d=path, fill=f"url(#@-{fill})", **{"pointer-events": "none"})

    def mark(
        self, shape: str, x: float, y: float, radius: float, classes: str, tip: str = "", link: str = ""
    ) -> None:
        """One of MARKS with about the area of a circle of ``radius``."""
        with_link = self._open_link(link)
        if shape == "circle":
            self.add("circle", classes, "", tip, cx=x, cy=y, r=radius)
        else:
            self.add("path", classes, "", tip, d=_outline(shape, x, y, radius))
        self._close_link(with_link)

    def clipped(self, x: float, y: float, width: float, height: float) -> None:
        """What follows is cut off at this rectangle, until `end_clipped`; coordinates stay those of the drawing."""
        box = " ".join(_figure(value) for value in (x, y, width, height))
        self._parts.append(
            f'<svg{_written({"x": x, "y": y, "width": width, "height": height})} viewBox="{box}">'
        )

    def end_clipped(self) -> None:
        self._parts.append("</svg>")

    def legend(self, x: float, y: float, entries: Sequence[tuple[str, str, str]], width: float) -> float:
        """Key in rows from (x, y): (shape of MARKS, ``bar``, ``line`` or ``outline``; classes; text). Height used."""
        start, row = x, 0.0
        for shape, classes, text in entries:
            wide = 22 + text_width(text, SMALL_PX + 1)
            if x > start and x + wide > start + width:
                x, row = start, row + 19
            middle = y + row
            if shape == "bar":
                self.bar(x, middle - 6, 13, 11, classes)
            elif shape == "outline":
                self.add("rect", "outline", x=x + 0.5, y=middle - 5.5, width=12, height=10)
            elif shape == "line":
                self.line(x - 1, middle - 1, x + 15, middle - 1, classes)
            else:
                self.mark(shape, x + 6.5, middle - 0.5, 5, classes)
            self.text(x + 19, middle + 4, text, "key")
            x += wide + 14
        return row + 19

    def markup(self) -> Markup:
        """The svg element; ids of its patterns are its own, whatever else the page holds."""
        body = "".join(self._parts)
        own = "p" + hashlib.sha256((self.title + body).encode()).hexdigest()[:8]
        patterns = "".join(
            f'<pattern id="{own}-{fill}" width="8" height="8" patternUnits="userSpaceOnUse">'
            f'<path class="hatch" d="{_HATCHES[fill]}"/></pattern>'
            for fill in sorted(self._used)
        )
        described = f"<desc>{escape(self.description)}</desc>" if self.description else ""
        return Markup(
            f'<svg class="chart {self.kind}" viewBox="0 0 {_figure(self.width)} {_figure(self.height)}" role="img" '
            f'aria-label="{escape(self.title)}" xmlns="http://www.w3.org/2000/svg">'
            f"<title>{escape(self.title)}</title>{described}"
            f"{f'<defs>{patterns}</defs>' if patterns else ''}{body.replace('(#@-', f'(#{own}-')}</svg>"
        )

    def _element(
        self, name: str, classes: str, content: str | Markup, tip: str, attributes: Mapping[str, object]
    ) -> str:
        inside = f"<title>{escape(tip)}</title>" if tip else ""
        inside += str(escape(content)) if content else ""
        written = _written({"class": classes, **attributes})
        return f"<{name}{written}>{inside}</{name}>" if inside else f"<{name}{written}/>"

    def _open_link(self, link: str) -> bool:
        if link:
            self._parts.append(f'<a href="{escape(link)}">')
        return bool(link)

    def _close_link(self, is_open: bool) -> None:
        if is_open:
            self._parts.append("</a>")


def _outline(shape: str, x: float, y: float, r: float) -> str:
    if shape == "square":
        h = 0.89 * r
        points = [(-h, -h), (h, -h), (h, h), (-h, h)]
    elif shape == "triangle":
        points = [(0, -1.3 * r), (1.15 * r, 0.75 * r), (-1.15 * r, 0.75 * r)]
    elif shape == "down":
        points = [(0, 1.3 * r), (1.15 * r, -0.75 * r), (-1.15 * r, -0.75 * r)]
    elif shape == "diamond":
        points = [(0, -1.3 * r), (1.2 * r, 0), (0, 1.3 * r), (-1.2 * r, 0)]
    elif shape == "hexagon":
        points = [(r * math.sin(k * math.pi / 3), -r * math.cos(k * math.pi / 3)) for k in range(6)]
    elif shape == "cross":
        a, b = 0.4 * r, 1.2 * r
        points = [
            (-a, -b),
            (a, -b),
            (a, -a),
            (b, -a),
            (b, a),
            (a, a),
            (a, b),
            (-a, b),
            (-a, a),
            (-b, a),
            (-b, -a),
            (-a, -a),
        ]
    else:
        raise ValueError(f"no mark {shape!r}; there are {', '.join(MARKS)}")
    return "M" + "L".join(f"{_figure(x + px)},{_figure(y + py)}" for px, py in points) + "Z"


def _written(attributes: Mapping[str, object]) -> str:
    return "".join(
        f' {name}="{_figure(value) if isinstance(value, float | int) else escape(str(value))}"'
        for name, value in attributes.items()
        if value != ""
    )


def _figure(value: float) -> str:
    """A coordinate with a tenth of a unit."""
    text = f"{value:.1f}"
    return text[:-2] if text.endswith(".0") else text
