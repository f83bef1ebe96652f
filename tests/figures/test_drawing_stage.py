"""A stage opened: its blocks, steps, shortcuts and repeats, and how steps hang together."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from itertools import pairwise

import pytest

from segcore.figures.drawing import stage_svg
from segcore.figures.drawing.frames import MOST_STEPS
from segcore.figures.drawing.stage import WIDEST
from segcore.figures.drawing.steps import chains, follows, main_path, spans, taken
from segcore.models.description import NetworkDescription, Operation, Stage
from tests.figures.test_drawing import HOSTILE, NETWORKS, made, network, stage, words


def find(one: NetworkDescription, name: str) -> int:
    return next(index for index, each in enumerate(one.stages) if each.name == name)


def drawn(one: NetworkDescription, index: int) -> ElementTree.Element:
    return ElementTree.fromstring(stage_svg(one, index))


def of_class(root: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    return [element for element in root.iter() if name in (element.get("class") or "").split()]


def step_count(each: Stage) -> int:
    """How many steps a drawing of the stage shows."""
    counts = [(len(main_path(block)), len(block.operations)) for block, _ in each.repeats]
    return sum(whole if main <= MOST_STEPS else MOST_STEPS - 1 for main, whole in counts)


@pytest.mark.parametrize(("encoder", "decoder"), NETWORKS)
def test_every_stage_of_every_network_opens(encoder: str, decoder: str) -> None:
    one = network(encoder, decoder)
    for index, each in enumerate(one.stages):
        root = drawn(one, index)
        _, _, width, height = map(float, root.get("viewBox", "").split())
        assert width <= WIDEST + 60
        assert len(of_class(root, "step")) == step_count(each)
        for text in words(stage_svg(one, index)):
            assert text.left >= 0 and text.right <= width and 0 < text.baseline <= height, text
        repeats = [count for _, count in each.repeats if count > 1]
        shown = [int(text.text[2:]) for text in words(stage_svg(one, index)) if re.fullmatch(r"× \d+", text.text)]
        assert sorted(shown) == sorted(repeats)


def test_residual_blocks_as_in_their_paper() -> None:
    """Figure 5 of arXiv:1512.03385, and its option B: a projection where the size changes."""
    one = network("resnet50")
    root = drawn(one, find(one, "layer2"))
    first, further = of_class(root, "block")
    labels = [step.find("{*}text").text for step in of_class(root, "step")]  # type: ignore[union-attr]
    assert labels[:4] == ["1×1 conv, 128", "3×3 conv, 128, /2", "1×1 conv, 512", "1×1 conv, 512, /2"]
    assert "projection" in first.get("aria-label", "") and "3 of them in a row" in further.get("aria-label", "")
    sums = [text for text in words(stage_svg(one, find(one, "layer2"))) if text.text == "+"]
    assert len(sums) == 2
    assert [len(of_class(block, "skip")) for block in (first, further)] == [1, 1]


def test_mbconv_and_transformer() -> None:
    one = network("efficientnet_b7")
    root = drawn(one, 3)
    assert [block.get("aria-label", "").split(" (")[0] for block in of_class(root, "block")] == [
        "MBConv6 3×3", "MBConv6 3×3", "MBConv6 5×5", "MBConv6 5×5"
    ]  # fmt: skip
    # Only blocks that keep size and channels have a shortcut.
    assert [len(of_class(block, "skip")) for block in of_class(root, "block")] == [0, 1, 0, 1]
    swin = network("swin_tiny_patch4_window7_224")
    (block,) = of_class(drawn(swin, 2), "block")
    assert len(of_class(block, "skip")) == 2


def test_shortcuts_lead_past_the_modules_they_belong_to() -> None:
    block = network("swin_tiny_patch4_window7_224").stages[2].repeats[-1][0]
    found = spans(block)
    assert found is not None
    names = [step.name.split(".")[0] for step in main_path(block)]
    assert [(set(names[span.first : span.last + 1]), span.kind) for span in found] == [
        ({"attn"}, "identity"), ({"mlp"}, "identity")
    ]  # fmt: skip
    # Modules inside modules: convolutions, then attention and perceptron in windows and in a grid.
    block = network("maxvit_tiny_tf_224").stages[2].blocks[0]
    found = spans(block)
    assert found is not None and [span.kind for span in found] == ["projection", *["identity"] * 4]
    assert [main_path(block)[span.last].name for span in found][1:] == [
        "attn_block.attn.proj", "attn_block.mlp.fc2", "attn_grid.attn.proj", "attn_grid.mlp.fc2"
    ]  # fmt: skip
    # Where the numbers do not tell, nothing is drawn, and that is said.
    odd = replace(block, shortcuts=("identity",) * 7)
    assert spans(odd) is None
    unsure = stage("odd", "encoder", 8, 32, blocks=(odd,))
    svg = stage_svg(made([unsure, stage("head", "head", 2, 64)], [(0, 1)]), 0)
    assert "7 shortcuts inside, which are not drawn" in " ".join(text.text for text in words(svg))
    assert 'class="skip"' not in svg


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "efficientnet_b7", "convnext_tiny", "mobilenetv3_large_100"])
def test_steps_on_one_path_follow_one_another(name: str) -> None:
    """What a step takes is read off its weights: in blocks that have one path it is what the step before gives."""
    blocks = [block for each in network(name).stages if each.kind == "encoder" for block in each.blocks]
    for block in blocks:
        assert all(follows(a, b) for a, b in pairwise(main_path(block))), block.label


def test_parallel_paths_are_not_drawn_as_one() -> None:
    one = network("resnet18", "deeplabv3plus")
    index = find(one, "aspp")
    block = one.stages[index].blocks[0]
    steps = main_path(block)
    # Four filters beside one another, the pooled whole, and their sum of channels: five times something new.
    assert [follows(a, b) for a, b in pairwise(steps)].count(False) == 5
    svg = stage_svg(one, index)
    assert svg.count("stroke-dasharray") == 5 and "Dotted:" in svg
    assert "Dotted:" not in stage_svg(one, 1)


def test_channels_taken_are_read_off_the_weights() -> None:
    def step(label: str, kind: str, channels: int, parameters: int) -> Operation:
        return Operation("", label, kind, False, channels, 8, 8, parameters, 1)  # type: ignore[arg-type]

    assert 64 in taken(step("3×3 conv, 128", "conv", 128, 9 * 64 * 128))
    assert 64 in taken(step("1×1 conv, 128", "conv", 128, 64 * 128 + 128))
    assert 64 in taken(step("linear, 256", "linear", 256, 64 * 256 + 256))
    assert 128 in taken(step("3×3 conv, 128, 32 groups", "conv", 128, 9 * 4 * 128))
    assert taken(step("3×3 conv, 128", "conv", 128, 0)) == ()


def test_single_steps_stand_in_one_row() -> None:
    vgg = network("vgg16").stages[3]
    assert [len(chain) for chain in chains(vgg.repeats)] == [2]
    assert [len(chain) for chain in chains(network("densenet121").stages[2].repeats)] == [2, 1]


def test_opening_says_what_comes_in() -> None:
    one = network("resnet18")
    said = " ".join(text.text for text in words(stage_svg(one, 6)))
    assert "Takes Encoder 3 (128 × 32²), Decoder 1 (256 × 16²): concatenated" in said
    assert "Hands on 128 channels of 32 × 32" in said
    assert "Takes the image (3 × 256²)" in " ".join(text.text for text in words(stage_svg(one, 0)))


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_stay_words(name: str) -> None:
    each = network("resnet18").stages[1]
    blocks = tuple(
        replace(block, name=name, label=name, type=name,
                operations=tuple(replace(step, name=name, label=name) for step in block.operations))
        for block in each.blocks
    )  # fmt: skip
    one = made([replace(each, name=name, blocks=blocks), stage("head", "head", 2, 64)], [(0, 1)], name)
    root = drawn(one, 0)
    assert not [key for element in root.iter() for key in element.attrib if key.startswith("on")]
    assert not root.findall(".//{*}script")
    _, _, width, _ = map(float, root.get("viewBox", "").split())
    assert all(text.right <= width for text in words(stage_svg(one, 0)))


def test_background_is_for_files_alone() -> None:
    one = network("resnet18")
    assert 'class="paper"' in stage_svg(one, 1) and 'class="paper"' not in stage_svg(one, 1, paper=False)
    with pytest.raises(IndexError):
        stage_svg(one, 99)
