"""Tables of networks: against the papers' own."""

from __future__ import annotations

import pytest

from segcore.models import catalog
from segcore.models.tables import find_layers, layer_rows, paper_table, stage_rows, total_rows
from tests.models.described import describe

PAPER_SIZE = 224
"""Side of the images in the papers' tables."""


def test_resnet_table_1() -> None:
    """Deep Residual Learning, arXiv:1512.03385, table 1, columns 18, 34 and 50."""
    networks = [describe(name, image_size=PAPER_SIZE) for name in ("resnet18", "resnet34", "resnet50")]
    rows = paper_table(networks)
    assert [row.sizes[0] for row in rows] == ["112 × 112", "56 × 56", "28 × 28", "14 × 14", "7 × 7"]
    assert all(len(set(row.sizes)) == 1 for row in rows)
    assert rows[0].cells == (("7×7 conv, 64, /2",),) * 3
    pool = "3×3 max pool, /2"
    assert rows[1].cells == (
        (pool, "[3×3, 64; 3×3, 64] × 2"),
        (pool, "[3×3, 64; 3×3, 64] × 3"),
        (pool, "[1×1, 64; 3×3, 64; 1×1, 256] × 3"),
    )
    for row, width, counts in zip(rows[2:], (128, 256, 512), ((2, 4, 4), (2, 6, 6), (2, 3, 3)), strict=True):
        plain = f"[3×3, {width}; 3×3, {width}]"
        bottleneck = f"[1×1, {width}; 3×3, {width}; 1×1, {4 * width}]"
        first, second, third = counts
        assert row.cells == ((f"{plain} × {first}",), (f"{plain} × {second}",), (f"{bottleneck} × {third}",))


def test_vgg_table_1() -> None:
    """Very Deep Convolutional Networks, arXiv:1409.1556, table 1, columns D and E."""
    rows = paper_table([describe(name, image_size=PAPER_SIZE) for name in ("vgg16", "vgg19")])
    assert [row.sizes[0] for row in rows] == [f"{PAPER_SIZE >> level} × {PAPER_SIZE >> level}" for level in range(6)]
    repeats = ((64, 2, 2), (128, 2, 2), (256, 3, 4), (512, 3, 4), (512, 3, 4))
    for row, (width, *counts) in zip(rows, repeats, strict=False):
        assert [cell[-1] for cell in row.cells] == [f"3×3 conv, {width} × {count}" for count in counts]
    assert all(row.cells[0][0] == "2×2 max pool, /2" for row in rows[1:])


def test_efficientnet_table_1() -> None:
    """EfficientNet, arXiv:1905.11946, table 1 (B0), and B7: width × 2, depth × 3.1."""
    rows = paper_table([describe(f"efficientnet_{name}", image_size=PAPER_SIZE) for name in ("b0", "b7")])
    small = [line for row in rows for line in row.cells[0]]
    assert small == [
        "3×3 conv, 32, /2",
        "[MBConv1 3×3, 16] × 1",
        "[MBConv6 3×3, 24] × 2",
        "[MBConv6 5×5, 40] × 2",
        "[MBConv6 3×3, 80] × 3",
        "[MBConv6 5×5, 112] × 3",
        "[MBConv6 5×5, 192] × 4",
        "[MBConv6 3×3, 320] × 1",
    ]
    large = [line for row in rows for line in row.cells[1]]
    assert large[2:] == [
        "[MBConv6 3×3, 48] × 7",
        "[MBConv6 5×5, 80] × 7",
        "[MBConv6 3×3, 160] × 10",
        "[MBConv6 5×5, 224] × 10",
        "[MBConv6 5×5, 384] × 13",
        "[MBConv6 3×3, 640] × 4",
    ]


@pytest.mark.parametrize(
    ("name", "millions"), [("resnet18", 11.7), ("resnet34", 21.8), ("resnet50", 25.6), ("efficientnet_b0", 5.3)]
)
def test_parameters_with_the_classifier_are_the_papers(name: str, millions: float) -> None:
    """What an encoder leaves out is the classifier: known layers."""
    found = describe(name)
    last = next(stage for stage in reversed(found.stages) if stage.kind == "encoder")
    features = last.channels
    missing = 0
    if name.startswith("efficientnet"):
        features = 1280
        missing = last.channels * features + 2 * features  # the last convolution and its norm
    missing += (features + 1) * 1000
    assert (found.encoder.parameters + missing) / 1e6 == pytest.approx(millions, abs=0.06)


@pytest.mark.parametrize(("name", "billions"), [("resnet18", 1.8), ("resnet34", 3.6), ("vgg16", 15.3), ("vgg19", 19.6)])
def test_multiply_adds_are_the_papers(name: str, billions: float) -> None:
    """ResNet: table 1 of its paper; VGG: table 3 and figure 3 there (15.3 and 19.6 with the classifier's 0.12)."""
    assert describe(name, image_size=PAPER_SIZE).encoder.macs / 1e9 == pytest.approx(billions, abs=0.13)


def test_networks_that_begin_at_a_quarter_stand_in_the_second_row() -> None:
    rows = paper_table([describe(name, image_size=64) for name in ("resnet18", "convnext_femto")])
    assert [row.sizes for row in rows][:2] == [("32 × 32", ""), ("16 × 16", "16 × 16")]
    assert rows[0].cells[1] == ()


@pytest.mark.parametrize("name", catalog.BACKBONES)
def test_every_backbone_has_a_table(name: str) -> None:
    found = describe(name)
    rows = paper_table([found])
    assert rows and all(row.sizes[0] and row.cells[0] for row in rows)
    assert len(stage_rows(found)) == len(found.stages)


def test_totals_add_up() -> None:
    found = describe("resnet18", image_size=64)
    *parts, together = total_rows([found])
    assert [row["Part"] for row in parts] == ["Encoder", "Decoder", "Head"]
    for column in ("Parameters", "Multiply-adds (M)", "Share of multiply-adds (%)", "Memory (MB)"):
        assert sum(float(str(row[column])) for row in parts) == pytest.approx(together[column])
    assert together["Parameters"] == found.parameters and together["Share of multiply-adds (%)"] == 100


def test_layers_are_found_by_all_words() -> None:
    found = describe("resnet18", image_size=64)
    layers = find_layers(found, "CONV2D encoder layer4")
    assert layers and all("layer4" in layer.name and layer.type == "Conv2d" for layer in layers)
    assert find_layers(found, "") == list(found.layers)
    assert find_layers(found, "no such layer") == []
    row = layer_rows(layers)[0]
    assert row["Output"] == "512 × 2 × 2" and row["Parameters"] == 3 * 3 * 256 * 512
