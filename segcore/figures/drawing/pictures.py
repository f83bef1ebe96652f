"""The two little pictures of a drawing: an aerial scene that goes in and its mask that comes out."""

from __future__ import annotations

from segcore.figures.drawing.svg import rect, tag

_SIDE = 62.0
# Outline of each thing, in parts of the side, with its colour in the photograph and in the mask.
_THINGS = (
    ("M0 0H62V62H0Z", "#8fa66b", "#57a55a"),
    ("M0 0H28L20 30L0 34Z", "#b9a774", "#e4c441"),
    ("M40 0H62V24L46 20Z", "#7d9a5c", "#57a55a"),
    ("M24 0H33L25 31L30 62H20L16 31Z", "#8b8d90", "#6f7480"),
    ("M0 38L62 26V35L0 47Z", "#96989b", "#6f7480"),
    ("M36 44H54V58H36Z", "#a3543f", "#c8453b"),
    ("M38 6H50V16H38Z", "#8f8479", "#c8453b"),
    ("M3 52Q9 45 15 52Q17 60 9 61Q1 60 3 52Z", "#4f7fa3", "#3f7fd0"),
)
_TREES = ((56.0, 40.0, 3.6), (33.0, 52.0, 3.0), (59.0, 50.0, 2.6), (8.0, 8.0, 2.4), (36.0, 22.0, 3.2))


def scene(x: float, y: float, *, mask: bool) -> str:
    """Return a picture of 62 × 62 with its upper left corner at (x, y): the photograph or its mask."""
    things = [tag("path", d=outline, fill=label if mask else seen) for outline, seen, label in _THINGS]
    trees = [
        tag("circle", cx=cx, cy=cy, r=r, fill="#1f6b3a" if mask else "#3f5f33", opacity=None if mask else 0.9)
        for cx, cy, r in _TREES
    ]
    # Light and shade are what a photograph has and a mask has not.
    ridge = (
        [] if mask else [tag("path", d="M36 44L45 49L54 44M45 49V58", stroke="#7d3d2c", fill="none", stroke_width=1)]
    )
    frame = rect(0, 0, _SIDE, _SIDE, look="edge-of-box", fill="none", stroke_width=1.2)
    return tag("g", *things, *trees, *ridge, frame, transform=f"translate({x:.1f} {y:.1f})")
