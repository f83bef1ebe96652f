"""Blocks, operations, edges, receptive fields and memory of networks: against the papers, by hand and by gradients."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from segcore.errors import ModelError
from segcore.models import catalog
from segcore.models.build import skeleton
from segcore.models.description import IMAGE, NetworkDescription, Stage
from tests.models.described import describe, footprint

ODD = ("vit_tiny_patch16_224/dpt", "hrnet_w18_small/unet", "res2net50_26w_4s/unet", "maxvit_tiny_tf_224/unet")
"""Networks whose stages end in unusual ways."""
ALL = (
    *(f"{name}/unet" for name in catalog.BACKBONES),
    *(f"resnet18/{name}" for name in catalog.DECODERS if name != "dpt"),
    *ODD,
)


def described(pair: str) -> NetworkDescription:
    encoder, decoder = pair.split("/")
    return describe(encoder, decoder=decoder)


def encoder_stages(found: NetworkDescription) -> list[Stage]:
    return [stage for stage in found.stages if stage.kind == "encoder"]


@pytest.mark.parametrize("pair", ALL)
def test_the_parts_make_up_the_whole(pair: str) -> None:
    """Blocks add up to stages and stages to parts, in parameters, multiply-adds and memory."""
    found = described(pair)
    for stage in found.stages:
        assert stage.blocks
        for quantity in ("parameters", "macs", "activations"):
            assert sum(getattr(block, quantity) for block in stage.blocks) == getattr(stage, quantity), stage.name
        assert sum(count for _, count in stage.repeats) == len(stage.blocks)
        for block in stage.blocks:
            assert sum(operation.macs for operation in block.operations) <= block.macs
            assert (block.channels, block.height, block.width) > (0, 0, 0)
    for part in ("encoder", "decoder", "head"):
        stages = [stage for stage in found.stages if stage.kind == part]
        assert sum(stage.macs for stage in stages) == getattr(found, part).macs
        assert sum(stage.activations for stage in stages) == getattr(found, part).activations
    encoder, decoder = pair.split("/")
    assert found.activations == footprint(encoder, decoder, 12, 256).activations


@pytest.mark.parametrize("name", catalog.BACKBONES)
def test_counts_and_shapes_are_those_of_the_real_network(name: str) -> None:
    """Parameters as torch counts them, multiply-adds as its counter does, shapes as a forward pass returns them."""
    found = describe(name)
    size = found.image_size
    with torch.device("meta"):  # numbers make no difference here, and drawing those of VGG-19 takes seconds
        model = skeleton(name, "unet", found.classes, size).eval()
    model.to_empty(device="cpu")
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            tensor.zero_()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        features = model.network.get_submodule("encoder")(torch.zeros(1, 3, size, size))
    assert found.encoder.parameters == sum(p.numel() for p in model.encoder_parameters())
    assert found.parameters == sum(p.numel() for p in model.parameters())
    # On the processor some attention is fused and not counted: what is left must agree.
    assert counter.get_total_flops() / 2 <= found.encoder.macs
    if not any(block.label.endswith("attention") for stage in found.stages for block in stage.blocks):
        assert found.encoder.macs == counter.get_total_flops() / 2
    real = [tuple(feature.shape[1:]) for feature in features if feature.shape[1] not in (0, 3)]
    assert [(stage.channels, stage.height, stage.width) for stage in encoder_stages(found)] == real


@pytest.mark.parametrize("pair", ALL)
def test_every_stage_is_on_the_way_from_the_image_to_the_mask(pair: str) -> None:
    found = described(pair)
    last = len(found.stages) - 1
    assert all(IMAGE <= edge.source < edge.target <= last for edge in found.edges)
    assert [edge.target for edge in found.edges if edge.source == IMAGE] == [0]
    assert {edge.target for edge in found.edges} == set(range(last + 1))
    assert {edge.source for edge in found.edges} == set(range(IMAGE, last))
    for edge in found.edges:
        if edge.source != IMAGE:
            source = found.stages[edge.source]
            assert (edge.channels, edge.height, edge.width) == (source.channels, source.height, source.width)
        if edge.skip:
            assert found.stages[edge.source].kind == "encoder" and found.stages[edge.target].kind == "decoder"


@pytest.mark.parametrize(
    ("decoder", "skips"),
    [
        ("unet", {(3, 5): "concatenated", (2, 6): "concatenated", (1, 7): "concatenated", (0, 8): "concatenated"}),
        ("linknet", {(3, 5): "added", (2, 6): "added", (1, 7): "added", (0, 8): "added"}),
        ("fpn", {(3, 6): "added", (2, 7): "added", (1, 8): "added"}),
        # A fine stage goes through a layer of its own before it is joined.
        ("deeplabv3plus", {(1, 6): ""}),
        ("pan", {(3, 6): "multiplied", (2, 7): "multiplied", (1, 8): "multiplied"}),
        ("pspnet", {}),
        ("deeplabv3", {}),
    ],
)
def test_skip_connections_are_found_and_what_they_do(decoder: str, skips: dict[tuple[int, int], str]) -> None:
    """As the papers draw them: U-Net concatenates, LinkNet and FPN add, DeepLabV3+ takes one, DeepLabV3 none."""
    found = describe("resnet18", decoder=decoder)
    assert {(edge.source, edge.target): edge.join for edge in found.edges if edge.skip} == skips


def test_the_nested_skips_of_unetplusplus() -> None:
    """Each node of the grid reads all before it on its level and the one below (arXiv:1807.10165, figure 1)."""
    found = describe("resnet18", decoder="unetplusplus")
    names = {index: stage.name for index, stage in enumerate(found.stages)}
    read = {
        names[target]: {names[edge.source] for edge in found.edges if edge.target == target}
        for target in names
        if found.stages[target].kind == "decoder"
    }
    assert read["blocks.x_0_1"] == {"blocks.x_0_0", "blocks.x_1_1", "layer2"}
    assert read["blocks.x_0_3"] == {"blocks.x_0_2", "blocks.x_1_3", "blocks.x_2_3", "blocks.x_3_3", "act1"}


def test_shortcuts_of_a_resnet() -> None:
    """The first block of a stage that changes its size projects, all others pass their input on (arXiv:1512.03385)."""
    stages = encoder_stages(describe("resnet34"))
    found = [[block.shortcuts for block in stage.blocks if block.type == "BasicBlock"] for stage in stages[1:]]
    first, other = ("projection",), ("identity",)
    assert found == [[other] * 3, [first, *[other] * 3], [first, *[other] * 5], [first, *[other] * 2]]
    projecting = stages[2].blocks[0]
    assert [(o.label, o.on_shortcut) for o in projecting.operations] == [
        ("3×3 conv, 128, /2", False),
        ("3×3 conv, 128", False),
        ("1×1 conv, 128, /2", True),
    ]
    assert projecting.operations[0].parameters == 3 * 3 * 64 * 128


@pytest.mark.parametrize(
    ("name", "stage", "aside"),
    [
        ("resnet26d", 1, ["1×1 conv, 256"]),
        ("resnet26d", 2, ["2×2 average pool, /2", "1×1 conv, 512"]),  # arXiv:1812.01187, figure 2c
        ("maxvit_rmlp_pico_rw_256", 1, ["2×2 average pool, /2"]),  # as many channels as before: no projection
        ("maxvit_rmlp_pico_rw_256", 2, ["2×2 average pool, /2", "1×1 conv, 64"]),
    ],
)
def test_poolings_on_a_shortcut_lie_on_it(name: str, stage: int, aside: list[str]) -> None:
    blocks = encoder_stages(describe(name, image_size=256))[stage].blocks
    first = next(block for block in blocks if block.shortcuts)
    assert first.shortcuts[0] == "projection"
    assert [operation.label for operation in first.operations if operation.on_shortcut] == aside


def test_a_pooling_alone_can_be_what_a_shortcut_leads_past() -> None:
    """PoolFormer mixes places by pooling and nothing else (arXiv:2111.11418, figure 2)."""
    block = encoder_stages(describe("poolformer_s12"))[0].blocks[-1]
    assert block.shortcuts == ("identity", "identity")
    assert not any(operation.on_shortcut for operation in block.operations)


@pytest.mark.parametrize(
    ("name", "shortcuts", "label"),
    [
        ("vgg16", (), "3×3 conv, 512"),
        ("resnet50", ("identity",), "Bottleneck 512-512-2048"),
        ("efficientnet_b0", (), "MBConv6 3×3"),
        ("tf_efficientnetv2_s", ("identity",), "MBConv6 3×3"),
        ("convnext_tiny", ("identity",), "ConvNeXtBlock 7×7 768-3072-768"),
        ("swin_tiny_patch4_window7_224", ("identity",) * 2, "SwinTransformerBlock 2304-768-3072-768 with attention"),
        ("densenet121", (), "DenseLayer 128-32"),
    ],
)
def test_the_last_block_is_named_as_the_papers_do(name: str, shortcuts: tuple[str, ...], label: str) -> None:
    blocks = [block for stage in encoder_stages(describe(name)) for block in stage.blocks]
    last = [block for block in blocks if block.parameters][-1]
    assert (last.label, last.shortcuts) == (label, shortcuts)


def test_gates_are_told_from_layers() -> None:
    block = encoder_stages(describe("efficientnet_b0"))[2].blocks[0]
    assert [operation.label for operation in block.operations] == [
        "1×1 conv, 144",
        "5×5 depthwise, 144, /2",
        "squeeze and excite",
        "1×1 conv, 40",
    ]
    # 24 × 6 channels, squeezed to 24 / 4, with biases.
    assert block.operations[2].parameters == 144 * 6 + 6 + 6 * 144 + 144


def numeric_fields(name: str, size: int) -> list[int]:
    """Receptive fields of an encoder's features, from which pixels a point in the middle gets a gradient."""
    model = skeleton(name, "unet", 2, size)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.constant_(module.weight, 1 / module.weight[0].numel())
        if isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)
        for child, pool in list(module.named_children()):
            if isinstance(pool, nn.MaxPool2d):  # whose gradient goes to one pixel
                setattr(module, child, nn.AvgPool2d(pool.kernel_size, pool.stride, pool.padding))
    image = torch.ones(1, 3, size, size, requires_grad=True)
    fields = []
    for feature in model.eval().network.get_submodule("encoder")(image):
        if feature.shape[1] > 3:
            point = feature[0, :, feature.shape[2] // 2, feature.shape[3] // 2].sum()
            (gradient,) = torch.autograd.grad(point, image, retain_graph=True)
            seen = gradient[0].abs().sum(0).nonzero()
            fields.append(int((seen.max(0).values - seen.min(0).values + 1).max()))
    return fields


@pytest.mark.parametrize(("name", "size"), [("vgg16", 256), ("mobilenetv4_conv_small", 1088), ("resnet18", 512)])
def test_receptive_fields_are_where_gradients_reach(name: str, size: int) -> None:
    found = encoder_stages(describe(name, image_size=size))
    assert [stage.receptive_field for stage in found] == numeric_fields(name, size)


def test_receptive_fields_known_from_the_literature() -> None:
    """VGG-16: 212 (Araujo et al. 2019, https://distill.pub/2019/computing-receptive-fields); EfficientNet-B0: 851."""
    assert encoder_stages(describe("vgg16", image_size=256))[-1].receptive_field == 212
    assert encoder_stages(describe("efficientnet_b0", image_size=256))[-1].receptive_field == 851


def test_attention_and_pooling_over_the_image_see_everything() -> None:
    swin = describe("swin_tiny_patch4_window7_224")
    assert {stage.receptive_field for stage in swin.stages} == {None}
    psp = describe("resnet18", decoder="pspnet")
    assert [stage.receptive_field is None for stage in psp.stages] == [False] * 3 + [True] * 3


@pytest.mark.parametrize("decoder", catalog.DECODERS)
def test_a_network_is_described_or_refused_in_words(decoder: str) -> None:
    """Nothing but our own error, for backbones of every kind; of the two that take long, one for each decoder."""
    slow = ("densenet121", "swin_tiny_patch4_window7_224")[list(catalog.DECODERS).index(decoder) % 2]
    for name in ("vgg11", "convnext_atto", "edgenext_xx_small", slow):
        try:
            found = describe(name, decoder=decoder, image_size=64)
        except ModelError as error:
            assert "do not go together" in str(error)
        else:
            assert found.stages[-1].height == 64
