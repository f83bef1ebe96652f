"""Datasets of every layout in miniature, generated: the one table from which all tests of layouts derive."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from segcore.config import ClassInfo
from segcore.data.layouts import tables

SIDE = 32


@dataclass(frozen=True)
class Miniature:
    """A layout, who writes it, and what must be made of it."""

    layout: str
    write: Callable[[Path], None]
    pairs: int
    groups: int
    classes: tuple[str, ...]
    """Names of the classes that are learnt."""
    seen: tuple[int, ...]
    """Rows of the learnt classes that the masks show."""
    split: tuple[int, int, int] | None = None
    """How many images stand in train, val and test, where the layout tells."""


def labels(rows: Sequence[int]) -> np.ndarray:
    """Return bands of these values: HW uint8."""
    bands = np.array(rows, np.uint8)[np.arange(SIDE) * len(rows) // SIDE]
    return np.repeat(bands[:, None], SIDE, axis=1)


def save(path: Path, array: np.ndarray, palette: Sequence[int] | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(array)
    if palette is not None:
        image.putpalette(palette)
    image.save(path)


def photo(path: Path) -> None:
    seed = sum(str(path.relative_to(path.parents[3])).encode())
    save(path, np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8))


def colored(classes: Sequence[ClassInfo], rows: Sequence[int]) -> np.ndarray:
    return np.array([info.color for info in classes], np.uint8)[labels(rows)]


def class_csv(path: Path, classes: Sequence[ClassInfo]) -> None:
    rows = [f"{info.name}, {', '.join(map(str, info.color))}" for info in classes]
    path.write_text("\n".join(["name, r, g, b", *rows]) + "\n")


def learnt(classes: Sequence[ClassInfo]) -> tuple[str, ...]:
    return tuple(info.name for info in classes if not info.ignore)


# One writer a layout -----------------------------------------------------------------------------------


def semantic_drone(root: Path) -> None:
    gt = root / "semantic_drone_dataset/training_set/gt/semantic"
    for number in range(4):
        photo(root / f"semantic_drone_dataset/training_set/images/{number:03d}.jpg")
        save(gt / f"label_images/{number:03d}.png", colored(tables.SEMANTIC_DRONE, (0, 1, 3)))
        save(root / f"semantic_drone_dataset/training_set/gt/bounding_box/masks/{number:03d}.png", labels((0, 255)))
    class_csv(gt / "class_dict.csv", tables.SEMANTIC_DRONE[:-1])


def semantic_drone_reposted(root: Path) -> None:
    for number in range(4):
        inside = root / "archive/dataset/semantic_drone_dataset"
        photo(inside / f"original_images/{number:03d}.jpg")
        save(inside / f"label_images_semantic/{number:03d}.png", labels((0, 1, 3, 23)))
        colors = root / f"archive/RGB_color_image_masks/RGB_color_image_masks/{number:03d}.png"
        save(colors, colored(tables.SEMANTIC_DRONE, (0, 1, 3, 23)))
    class_csv(root / "archive/class_dict_seg.csv", tables.SEMANTIC_DRONE)


def camvid(root: Path) -> None:
    names = {
        "train": ["0001TP_006690", "0001TP_006720", "0006R0_f00930"],
        "val": ["0016E5_07959"],
        "test": ["Seq05VD_f0"],
    }
    for part, stems in names.items():
        lines = []
        for stem in stems:
            photo(root / f"CamVid/{part}/{stem}.png")
            save(root / f"CamVid/{part}annot/{stem}.png", labels((0, 3, 11)))
            lines.append(f"/SegNet/CamVid/{part}/{stem}.png /SegNet/CamVid/{part}annot/{stem}.png")
        (root / f"CamVid/{part}.txt").write_text("\n".join(lines) + "\n")


def landcover_sheets(root: Path) -> None:
    for sheet in ("M-33-20-D-c-4-2", "M-34-65-D-a-4-4", "N-34-97-D-c-2-4"):
        photo(root / f"images/{sheet}.tif")
        save(root / f"masks/{sheet}.tif", labels((0, 2, 4)))
    for part in ("train", "val", "test"):
        (root / f"{part}.txt").write_text("M-33-20-D-c-4-2_0\n")


def landcover_tiles(root: Path) -> None:
    for part, sheet in {"train": "M-33-20-D-c-4-2", "val": "M-34-65-D-a-4-4", "test": "N-34-97-D-c-2-4"}.items():
        for number in range(2):
            photo(root / f"output/{sheet}_{number}.jpg")
            save(root / f"output/{sheet}_{number}_m.png", labels((0, 2, 4)))
        (root / f"{part}.txt").write_text(f"{sheet}_0\n{sheet}_1\n")


def loveda(root: Path) -> None:
    for number, (part, kind) in enumerate([("Train", "Urban"), ("Train", "Rural"), ("Val", "Urban"), ("Val", "Rural")]):
        photo(root / f"{part}/{part}/{kind}/images_png/{number}.png")
        save(root / f"{part}/{part}/{kind}/masks_png/{number}.png", labels((0, 1, 2, 7)))
    photo(root / "Test/Urban/images_png/9.png")


DUBAI_STATED = {"Water": "#50E3C2", "Road": "#DE597F", "Building": "#D0021B", "Unlabeled": "#9B9B9B"}


def dubai(root: Path) -> None:
    for tile in (1, 2):
        for number in (1, 2):
            photo(root / f"Semantic segmentation dataset/Tile {tile}/images/image_part_{number:03d}.jpg")
            masks = root / f"Semantic segmentation dataset/Tile {tile}/masks"
            save(masks / f"image_part_{number:03d}.png", colored(tables.DUBAI, (0, 1, 4, 5)))
    stated = [{"title": title, "color": color} for title, color in DUBAI_STATED.items()]
    (root / "Semantic segmentation dataset/classes.json").write_text(json.dumps({"classes": stated, "tags": []}))


def potsdam(root: Path) -> None:
    for tile in ("2_10", "7_12"):
        for bands, folder in (("RGB", "2_Ortho_RGB"), ("IRRG", "3_Ortho_IRRG")):
            photo(root / f"Potsdam/{folder}/top_potsdam_{tile}_{bands}.tif")
        for ending, rows in (("", (0, 1, 5)), ("_noBoundary", (0, 6, 1))):
            folder = f"5_Labels_all{ending}"
            save(root / f"Potsdam/{folder}/top_potsdam_{tile}_label{ending}.tif", colored(tables.ISPRS, rows))


def vaihingen(root: Path) -> None:
    for area in (1, 30):
        photo(root / f"Vaihingen/top/top_mosaic_09cm_area{area}.tif")
        photo(root / f"Vaihingen/dsm/dsm_09cm_matching_area{area}.tif")
        masks = root / "Vaihingen/gts_for_participants"
        save(masks / f"top_mosaic_09cm_area{area}.tif", colored(tables.ISPRS, (0, 1, 5)))


def uavid(root: Path) -> None:
    for part, sequence in (("train", "seq1"), ("train", "seq2"), ("val", "seq16")):
        for frame in ("000000", "000100"):
            photo(root / f"uavid_{part}/{sequence}/Images/{frame}.png")
            save(root / f"uavid_{part}/{sequence}/Labels/{frame}.png", colored(tables.UAVID, (0, 1, 7)))


def _palette(colors: Sequence[tuple[int, int, int]]) -> list[int]:
    return [part for color in colors for part in color]


def voc(root: Path) -> None:
    stems = ("2007_000032", "2007_000033", "2007_000039")
    for stem in stems:
        photo(root / f"VOCdevkit/VOC2012/JPEGImages/{stem}.jpg")
        path = root / f"VOCdevkit/VOC2012/SegmentationClass/{stem}.png"
        save(path, labels((0, 1, 15, 255)), _palette([tables.voc_color(value) for value in range(256)]))
        save(root / f"VOCdevkit/VOC2012/SegmentationObject/{stem}.png", labels((0, 1)), _palette([(9, 9, 9)] * 2))
    photo(root / "VOCdevkit/VOC2012/JPEGImages/2008_000001.jpg")  # most images of VOC have no mask
    lists = root / "VOCdevkit/VOC2012/ImageSets/Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("\n".join(stems[:2]))
    (lists / "val.txt").write_text(stems[2])


CVAT = (ClassInfo(name="background", color=(0, 0, 0)), ClassInfo(name="crop", color=(102, 255, 102)))


def cvat(root: Path) -> None:
    for number in range(3):
        photo(root / f"JPEGImages/frame_{number:06d}.jpg")
        save(root / f"SegmentationClass/frame_{number:06d}.png", colored(CVAT, (0, 1)))
        save(root / f"SegmentationObject/frame_{number:06d}.png", colored(CVAT, (1, 0)))
    lines = [f"{info.name}:{','.join(map(str, info.color))}::" for info in CVAT]
    (root / "labelmap.txt").write_text("\n".join(["# label:color_rgb:parts:actions", *lines]))
    (root / "ImageSets/Segmentation").mkdir(parents=True)
    (root / "ImageSets/Segmentation/default.txt").write_text("frame_000000\n")


def square(left: float, top: float, side: float) -> list[float]:
    return [left, top, left + side, top, left + side, top + side, left, top + side]


def coco(root: Path) -> None:
    for part, count in (("train", 2), ("val", 1)):
        images = []
        annotations = []
        for number in range(count):
            photo(root / f"{part}2017/{part}_{number}.jpg")
            images.append({"id": number, "file_name": f"{part}_{number}.jpg", "width": SIDE, "height": SIDE})
            shapes = [(7, [square(0, 0, 16)], 0), (3, [square(4, 4, 8)], 0)]
            crowd = {"size": [SIDE, SIDE], "counts": [SIDE * 8, SIDE * 24]}  # all but the first 8 columns
            annotations += [
                {"image_id": number, "category_id": category, "segmentation": segmentation, "iscrowd": iscrowd}
                for category, segmentation, iscrowd in [*shapes, (3, crowd, 1)]
            ]
        value = {
            "images": images,
            "annotations": annotations,
            "categories": [{"id": 7, "name": "roof"}, {"id": 3, "name": "car"}],
        }
        (root / "annotations").mkdir(exist_ok=True)
        (root / f"annotations/instances_{part}2017.json").write_text(json.dumps(value))


PLAIN = (ClassInfo(name="ground", color=(10, 20, 30)), ClassInfo(name="house", color=(200, 0, 0)))


def folders(root: Path) -> None:
    for name in ("flight1_001", "flight1_002", "flight2_001", "flight2_002"):
        photo(root / f"pictures/Images/{name}.jpg")
        save(root / f"pictures/masks/{name}_mask.png", colored(PLAIN, (0, 1)))
    class_csv(root / "classes.csv", PLAIN)


def folders_by_part(root: Path) -> None:
    for part, count in (("train", 3), ("valid", 1), ("test", 1)):
        for number in range(count):
            photo(root / f"{part}/images/{part}_{number}.png")
            save(root / f"{part}/labels/{part}_{number}.png", labels((0, 2)))


def one_folder(root: Path) -> None:
    for number in (104, 119, 855):
        photo(root / f"train/{number}_sat.jpg")
        save(root / f"train/{number}_mask.png", colored(PLAIN, (0, 0, 1)))


MINIATURES: dict[str, Miniature] = {
    "semantic drone": Miniature("semantic-drone", semantic_drone, 4, 4, learnt(tables.SEMANTIC_DRONE[:-1]), (0, 2)),
    "semantic drone, as passed on": Miniature(
        "semantic-drone-reposted", semantic_drone_reposted, 4, 4, learnt(tables.SEMANTIC_DRONE), (0, 2)
    ),
    "camvid": Miniature("camvid", camvid, 5, 4, learnt(tables.CAMVID), (0, 3), (3, 1, 1)),
    "landcover.ai": Miniature("landcover-ai", landcover_sheets, 3, 3, learnt(tables.LANDCOVER_AI), (0, 2, 4)),
    "landcover.ai in tiles": Miniature(
        "landcover-ai", landcover_tiles, 6, 3, learnt(tables.LANDCOVER_AI), (0, 2, 4), (2, 2, 2)
    ),
    "loveda": Miniature("loveda", loveda, 4, 4, learnt(tables.LOVEDA), (0, 1, 6), (2, 2, 0)),
    "dubai": Miniature("dubai-tiles", dubai, 4, 2, learnt(tables.DUBAI), (0, 1, 4)),
    "potsdam": Miniature("isprs-potsdam", potsdam, 2, 2, learnt(tables.ISPRS), (0, 1, 5)),
    "vaihingen": Miniature("isprs-vaihingen", vaihingen, 2, 2, learnt(tables.ISPRS), (0, 1, 5)),
    "uavid": Miniature("uavid", uavid, 6, 3, learnt(tables.UAVID), (0, 1, 7), (4, 2, 0)),
    "voc": Miniature("voc", voc, 3, 3, learnt(tables.VOC), (0, 1, 15), (2, 1, 0)),
    "cvat": Miniature("cvat", cvat, 3, 3, learnt(CVAT), (0, 1)),
    "coco": Miniature("coco", coco, 3, 3, ("background", "car", "roof"), (0, 1, 2), (2, 1, 0)),
    "folders": Miniature("folders", folders, 4, 2, learnt(PLAIN), (0, 1)),
    "folders by part": Miniature(
        "folders", folders_by_part, 5, 5, ("class_1", "class_2", "class_3"), (0, 2), (3, 1, 1)
    ),
    "one folder": Miniature("one-folder", one_folder, 3, 3, ("class_1", "class_2"), (0, 1)),
}
