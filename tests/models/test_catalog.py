"""The catalog: names, texts and colours, without torch; one test builds every backbone, on the meta device."""

from __future__ import annotations

import itertools
import subprocess
import sys

import numpy as np
import pytest

from segcore.errors import UnknownBackboneError, WeightsError
from segcore.launch.estimate import HEAD_MACS
from segcore.models import catalog
from segcore.models.catalog import BACKBONES, DECODERS, FAMILIES, ORIGINAL_SIX
from segcore.models.footprint import catalogued

DARK, WHITE = "#0e1117", "#ffffff"


def test_importing_and_resolving_catalog_names_needs_no_torch() -> None:
    code = (
        "import sys\nfrom segcore.models import catalog, weights\n"
        "assert catalog.resolve('resnet18', 'pretrained') == 'resnet18.tv_in1k'\n"
        "assert catalog.resolve('vgg16_bn', 'none') == 'vgg16_bn'\n"
        "print([name for name in ('torch', 'timm', 'segmentation_models_pytorch') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", BACKBONES)
def test_every_backbone_builds_and_is_what_the_catalog_says(name: str) -> None:
    import timm
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from segcore.models.build import blueprint

    backbone = BACKBONES[name]
    size = 256  # Swin's windows, and with them its parameters, shrink with small images
    model = blueprint(name, "unet", 5, size).eval()
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        logits = model(torch.empty(2, 3, size, size, device="meta"))
    assert tuple(logits.shape) == (2, 5, size, size)
    macs = counter.get_total_flops() / 2 / 2  # of two images; a multiply-add is two operations
    assert macs == pytest.approx(backbone.unet_macs - 7 * HEAD_MACS, rel=1e-6)
    assert logits.dtype == torch.float32
    assert sum(parameter.numel() for parameter in model.encoder_parameters()) == backbone.parameters

    config = timm.models.get_pretrained_cfg(backbone.encoder)
    assert config is not None and config.hf_hub_id == f"timm/{backbone.encoder}"
    assert config.license == backbone.license
    assert backbone.tag.endswith("in1k") and "in2" not in backbone.tag and "jft" not in backbone.tag
    if backbone.pretrained_name:
        twin = blueprint(backbone.pretrained_name, "unet", 5, size)
        assert {key: value.shape for key, value in twin.state_dict().items()} == {
            key: value.shape for key, value in model.state_dict().items()
        }


@pytest.mark.parametrize("name", BACKBONES)
def test_memory_of_every_backbone_is_what_a_pass_through_it_saves(name: str) -> None:
    from tests.models.described import footprint

    said, found = catalogued(BACKBONES[name].encoder, "unet", 12, 256), footprint(name, "unet", 12, 256)
    assert said is not None
    assert said.parameters == found.parameters
    assert said.activations == pytest.approx(found.activations, rel=0.001)


def test_titles_and_families_are_complete() -> None:
    assert set(ORIGINAL_SIX) <= set(BACKBONES) and len(BACKBONES) >= 20
    assert {backbone.family for backbone in BACKBONES.values()} == set(FAMILIES)
    assert len({backbone.title for backbone in BACKBONES.values()}) == len(BACKBONES)
    for backbone in BACKBONES.values():
        assert FAMILIES[backbone.family].year <= backbone.year
        assert "nc" not in backbone.license, "non-commercial weights are not offered by default"


def test_decoders_are_those_of_smp() -> None:
    import segmentation_models_pytorch as smp

    assert set(DECODERS) == set(smp.MODEL_ARCHITECTURES_MAPPING)
    assert catalog.find_decoder("fpn").title == "FPN"
    with pytest.raises(UnknownBackboneError, match="unetplusplus") as caught:
        catalog.find_decoder("unet++")
    assert caught.value.field == "decoder"


def test_find_and_title() -> None:
    assert catalog.find("resnet18") is catalog.find("resnet18.tv_in1k") is BACKBONES["resnet18"]
    assert catalog.find("resnet18.a1_in1k") is None
    assert catalog.title("resnet18.tv_in1k") == "ResNet-18"
    assert catalog.title("resnet18.a1_in1k") == "ResNet-18 (a1_in1k)"
    assert catalog.title("hrnet_w18.ms_in1k") == "hrnet_w18.ms_in1k"
    found = catalog.family("resnet34.a1_in1k")
    assert found is not None and found.title == "ResNet"
    assert catalog.family("hrnet_w18") is None


@pytest.mark.parametrize(
    ("name", "weights", "encoder"),
    [
        ("resnet18", "pretrained", "resnet18.tv_in1k"),
        (" tu-resnet18 ", "pretrained", "resnet18.tv_in1k"),
        ("resnet18.tv_in1k", "none", "resnet18"),
        ("resnet18.a1_in1k", "pretrained", "resnet18.a1_in1k"),
        ("resnet18.a1_in1k", "none", "resnet18"),
        # timm has no weights for efficientnet_b7 under its plain name.
        ("efficientnet_b7", "pretrained", "tf_efficientnet_b7.ra_in1k"),
        ("efficientnet_b7", "none", "efficientnet_b7"),
        ("tf_efficientnet_b7.ra_in1k", "none", "efficientnet_b7"),
        ("hrnet_w18", "none", "hrnet_w18"),
        ("hrnet_w18", "pretrained", "hrnet_w18.ms_aug_in1k"),
        ("tv_resnet50", "pretrained", "resnet50.tv_in1k"),  # timm's old name
    ],
)
def test_resolve(name: str, weights: str, encoder: str) -> None:
    assert catalog.resolve(name, weights) == encoder  # type: ignore[arg-type]


def test_unknown_backbones_offer_the_nearest_names() -> None:
    with pytest.raises(UnknownBackboneError, match=r"'resnet81'.*resnet18") as caught:
        catalog.resolve("resnet81", "none")
    assert caught.value.field == "encoders"
    with pytest.raises(UnknownBackboneError, match="hrnet_w18"):
        catalog.resolve("hrnet_w19", "none")
    for name in ("", "../resnet18", "hf-hub:timm/resnet18", "resnet18/x"):
        with pytest.raises(UnknownBackboneError):
            catalog.resolve(name, "none")


def test_asking_for_weights_that_nobody_published() -> None:
    with pytest.raises(WeightsError, match="tv_in1k"):
        catalog.resolve("resnet18.nonsense", "pretrained")
    with pytest.raises(WeightsError, match=r"tf_efficientnet_b6.*from scratch"):
        catalog.resolve("efficientnet_b6", "pretrained")


# Colours -------------------------------------------------------------------------------------------

# Machado, Oliveira, Fernandes 2009, severity 1.0, on linear RGB: https://doi.org/10.1109/TVCG.2009.113
SIGHT = {
    "usual": np.eye(3),
    "protan": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deutan": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritan": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}


def linear(color: str) -> np.ndarray:
    values = np.array([int(color[start : start + 2], 16) for start in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def oklab(rgb: np.ndarray) -> np.ndarray:
    """https://bottosson.github.io/posts/oklab/; differences of 0.02 are just noticeable."""
    lms = np.array(
        [
            [0.4122214708, 0.5363325363, 0.0514459929],
            [0.2119034982, 0.6806995451, 0.1073969566],
            [0.0883024619, 0.2817188376, 0.6299787005],
        ]
    )
    lab = np.array(
        [
            [0.2104542553, 0.7936177850, -0.0040720468],
            [1.9779984951, -2.4285922050, 0.4505937099],
            [0.0259040371, 0.7827717662, -0.8086757660],
        ]
    )
    return lab @ np.cbrt(lms @ np.clip(rgb, 0, 1))


def contrast(one: str, other: str) -> float:
    light = sorted(float(linear(color) @ [0.2126, 0.7152, 0.0722]) + 0.05 for color in (one, other))
    return light[1] / light[0]


@pytest.mark.parametrize("sight", SIGHT)
def test_colours_are_told_apart(sight: str) -> None:
    seen = {name: oklab(SIGHT[sight] @ linear(backbone.color)) for name, backbone in BACKBONES.items()}
    for one, other in itertools.combinations(BACKBONES, 2):
        far = 0.07 if one in ORIGINAL_SIX and other in ORIGINAL_SIX else 0.035
        assert np.linalg.norm(seen[one] - seen[other]) >= far, (one, other)


def test_colours_read_on_light_and_dark() -> None:
    unknown = ["hrnet_w18", "resnet18.a1_in1k", "maxvit_tiny_tf_224.in1k"]
    for name in [*BACKBONES, *unknown]:
        color = catalog.color(name)
        assert contrast(color, WHITE) >= 2.9 and contrast(color, DARK) >= 2.9, (name, color)


def test_colour_is_one_for_a_backbone_and_stable_for_any_other() -> None:
    assert catalog.color("resnet18") == catalog.color("resnet18.tv_in1k") == BACKBONES["resnet18"].color
    assert catalog.color("hrnet_w18") == "#308f80"  # from its name alone: the same in every process
    assert len({catalog.color(f"model_{index}") for index in range(50)}) == 50
