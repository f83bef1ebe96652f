"""Taking networks apart: against hand counts, torch's counter and the real outputs."""

from __future__ import annotations

import copy
import itertools
import json

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from segcore.errors import IncompatibleError, UnknownBackboneError
from segcore.models.build import skeleton
from tests.models.described import describe


def test_vgg16_by_hand() -> None:
    """VGG-16's convolutions at 64 px: pixels × 9 × channels in × channels out (arXiv:1409.1556, configuration D)."""
    widths = [[3, 64, 64], [64, 128, 128], [128, 256, 256, 256], [256, 512, 512, 512], [512, 512, 512, 512]]
    macs = parameters = 0
    for level, row in enumerate(widths):
        for before, after in itertools.pairwise(row):
            macs += (64 >> level) ** 2 * 9 * before * after
            parameters += 9 * before * after + after
    found = describe("vgg16", image_size=64, classes=5)
    assert (found.encoder.macs, found.encoder.parameters) == (macs, parameters)
    assert found.head.parameters == 16 * 5 * 9 + 5 and found.head.macs == 64 * 64 * 16 * 5 * 9
    assert [stage.built_of for stage in found.stages[:5]] == [f"{len(row) - 1} × Conv2d" for row in widths]


@pytest.mark.parametrize(
    ("encoder", "decoder"),
    [
        ("resnet34", "unet"),
        ("efficientnet_b0", "fpn"),
        ("densenet121", "unet"),
        ("convnext_femto", "segformer"),
        ("swin_tiny_patch4_window7_224", "unet"),
        ("pvt_v2_b0", "upernet"),
        ("edgenext_x_small", "manet"),
        ("regnety_008", "pan"),
        ("mobilenetv4_conv_small", "deeplabv3"),
        ("tf_efficientnet_lite0", "deeplabv3plus"),
        ("vgg16_bn", "unetplusplus"),
        ("resnet18", "linknet"),
        ("resnet18", "pspnet"),
        ("vit_tiny_patch16_224", "dpt"),
        ("maxvit_tiny_tf_224", "unet"),
    ],
)
def test_totals_stages_and_layers_agree(encoder: str, decoder: str) -> None:
    found = describe(encoder, decoder=decoder)
    size = found.image_size
    with torch.device("meta"):
        model = skeleton(encoder, decoder, found.classes, size).eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(torch.empty(1, 3, size, size, device="meta"))
    assert found.macs == counter.get_total_flops() / 2
    assert found.parameters == sum(p.numel() for p in model.parameters())
    for part in ("encoder", "decoder", "head"):
        whole = getattr(found, part)
        stages = [stage for stage in found.stages if stage.kind == part]
        layers = [layer for layer in found.layers if layer.part == part]
        assert stages and layers
        assert sum(stage.macs for stage in stages) == sum(layer.macs for layer in layers) == whole.macs
        assert sum(layer.parameters for layer in layers) == whole.parameters
        unused = whole.parameters - sum(stage.parameters for stage in stages)
        assert unused == 0 or (decoder == "dpt" and unused < 0.01 * whole.parameters)


def test_stages_are_what_the_encoder_really_returns() -> None:
    found = describe("resnet18", image_size=96, classes=5)
    with torch.no_grad():
        features = skeleton("resnet18", "unet", 5, 96).network.get_submodule("encoder")(torch.zeros(1, 3, 96, 96))
    stages = [stage for stage in found.stages if stage.kind == "encoder"]
    assert [(s.channels, s.height, s.width) for s in stages] == [tuple(f.shape[1:]) for f in features[1:]]
    assert [stage.reduction for stage in stages] == [2, 4, 8, 16, 32]
    assert [stage.built_of for stage in stages] == ["1 × Conv2d", *["2 × BasicBlock"] * 4]
    assert [(s.reduction, s.channels) for s in found.stages if s.kind != "encoder"] == [
        (16, 256),
        (8, 128),
        (4, 64),
        (2, 32),
        (1, 16),
        (1, 5),
    ]


def test_the_notebooks_networks_are_told_apart() -> None:
    blocks = [stage.built_of for stage in describe("resnet34").stages[1:5]]
    assert blocks == ["3 × BasicBlock", "4 × BasicBlock", "6 × BasicBlock", "3 × BasicBlock"]
    small, large = (describe(f"efficientnet_{name}") for name in ("b0", "b7"))
    assert "16" not in small.stages[0].name and small.stages[1].built_of == "2 × InvertedResidual"
    assert large.parameters > 10 * small.parameters and large.macs > small.macs


def test_attention_is_counted() -> None:
    """Attention's products grow with the fourth power of the side, everything else with the second."""
    small, large = (describe("pvt_v2_b0", image_size=size).encoder.macs for size in (128, 256))
    assert large > 4.1 * small


def test_decoder_share_as_measured_at_512() -> None:
    """What PITFALLS says of the U-Net decoder at 512 px."""
    shares = [describe(name, image_size=512).decoder_share for name in ("efficientnet_b0", "resnet18", "vgg16")]
    assert shares == pytest.approx([0.84, 0.57, 0.18], abs=0.025)


def test_json_and_names() -> None:
    found = describe("resnet18.tv_in1k", image_size=64)
    assert copy.deepcopy(found) == found
    value = json.loads(json.dumps(found.to_json()))
    assert value["title"] == "ResNet-18" and value["encoder"]["parameters"] == 11_176_512
    assert value["parameters"] == found.parameters and value["stages"][0]["reduction"] == 2
    assert (found.encoder_name, found.decoder_name, found.image_size, found.classes) == (
        "resnet18.tv_in1k",
        "unet",
        64,
        12,
    )
    first = found.layers[0]
    assert (first.name, first.type, first.output_shape, first.parameters) == ("conv1", "Conv2d", (64, 32, 32), 9408)


def test_bad_combinations_are_our_errors() -> None:
    with pytest.raises(IncompatibleError, match="dilation"):
        describe("vgg16", decoder="deeplabv3", image_size=64)
    with pytest.raises(IncompatibleError, match="one resolution"):
        describe("vit_tiny_patch16_224", image_size=64)
    with pytest.raises(UnknownBackboneError):
        describe("resnet81")
