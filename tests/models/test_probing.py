"""Probing single architectures: costs, features, papers and licences, and each reason why one does not work."""

from __future__ import annotations

import inspect
import re
import sys

import pytest
import timm

from segcore.models import catalog, probing
from segcore.models.atlas import CLASSES
from segcore.models.build import blueprint
from segcore.models.lineage import BRANCHES, MODULES, lineage, year_of


@pytest.fixture(scope="module")
def modules() -> dict[str, list[str]]:
    """timm's modules and the architectures in each."""
    found: dict[str, list[str]] = {}
    for name in probing.architectures():
        found.setdefault(probing.about(name).module, []).append(name)
    return found


@pytest.mark.parametrize("name", ["resnet18", "vgg16", "swin_tiny_patch4_window7_224"])
def test_costs_are_those_of_the_curated_table(name: str) -> None:
    backbone = catalog.BACKBONES[name]
    entry = probing.probe(name, "unet", 256)
    assert entry.works
    assert entry.encoder_parameters == backbone.parameters
    assert entry.parameters == backbone.unet_parameters
    assert entry.macs == backbone.unet_macs
    assert 0 < (entry.encoder_macs or 0) < (entry.macs or 0)
    assert entry.seconds > 0
    assert backbone.tag in [found.tag for found in entry.weights]


@pytest.mark.parametrize(
    ("name", "decoder", "features"),
    [
        ("resnet18", "unet", ((64, 2), (64, 4), (128, 8), (256, 16), (512, 32))),
        ("vgg16", "unet", ((64, 1), (128, 2), (256, 4), (512, 8), (512, 16), (512, 32))),
        ("convnext_femto", "fpn", ((48, 4), (96, 8), (192, 16), (384, 32))),
        ("vit_tiny_patch16_224", "dpt", ((192, 16),) * 4),
    ],
)
def test_features_are_what_the_decoder_is_given(name: str, decoder: str, features: tuple[tuple[int, int], ...]) -> None:
    assert probing.probe(name, decoder, 224).features == features


def test_costs_grow_with_the_image_and_parameters_do_not() -> None:
    small, large = (probing.probe("resnet18", "fpn", size) for size in (64, 128))
    assert (large.macs or 0) == pytest.approx(4 * (small.macs or 0), rel=0.01)
    assert large.parameters == small.parameters
    network = blueprint("resnet18", "fpn", CLASSES, 64)
    assert small.parameters == sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("name", "decoder", "size", "reason", "told"),
    [
        ("vit_tiny_patch16_224", "unet", 64, "keeps one resolution", "Use the decoder DPT"),
        ("pit_ti_224", "unet", 64, "resolutions that this decoder cannot use", "1/8, 1/16, 1/32"),
        ("nest_tiny", "unet", 64, "fewer stages", "only 1/4, 1/8, 1/16"),
        ("efficientformer_l1", "unet", 64, "images of another size", "Use an image size of 224"),
        ("vgg16", "deeplabv3plus", 64, "dilation", "Use U-Net"),
        ("resnet18", "fpn", 80, "multiple of 32", "such as 64"),
        ("vit_gigantic_patch14_clip_224", "dpt", 256, "multiple of 14", "such as 224"),
        ("resnet18", "pan", 64, "features become too small", "larger image size"),
        ("levit_conv_128", "dpt", 64, "fewer stages", "Use another backbone"),
        ("cait_xs24_384", "dpt", 64, "libraries cannot put them together", "return_prefix_tokens"),
    ],
)
def test_reasons(name: str, decoder: str, size: int, reason: str, told: str) -> None:
    entry = probing.probe(name, decoder, size)
    assert not entry.works
    assert entry.parameters is None
    assert reason in entry.reason
    assert name not in entry.reason  # reasons are counted: they must be alike
    assert entry.reason in entry.why_not
    assert told in entry.why_not


def test_no_advice_that_was_tried() -> None:
    assert "U-Net" not in probing.probe("nest_tiny", "unet", 64).why_not.partition("together")[2]


def test_papers_and_licences_are_timms() -> None:
    entry = probing.about("mobilenetv4_conv_small")
    assert (entry.module, entry.paper) == ("mobilenetv3", "1905.02244")
    assert (entry.family, entry.year) == ("MobileNetV4", 2024)
    assert entry.weights[0].tag == timm.models.get_pretrained_cfg("mobilenetv4_conv_small").tag
    licences = {found.tag: found.license for found in probing.about("convnextv2_tiny").weights}
    assert licences["fcmae_ft_in1k"] == "cc-by-nc-4.0"
    assert probing.about("convnextv2_tiny").commercial is False
    assert probing.about("nest_tiny").weights == ()
    assert probing.about("gcvit_tiny").weights[0].repository is None


def test_every_architecture_of_timm_is_there() -> None:
    names = probing.architectures()
    assert names == [name for name in timm.list_models() if not name.startswith("test_")] and "resnet18" in names


def test_every_module_has_a_title(modules: dict[str, list[str]]) -> None:
    assert not set(modules) - set(MODULES)


def test_every_branch_is_of_this_timm(modules: dict[str, list[str]]) -> None:
    """Each names architectures that there are, and a paper that timm cites in that very module."""
    for module, pattern, title, paper in BRANCHES:
        members = [name for name in modules[module] if lineage(name, module, "")[0] == title]
        assert [name for name in members if re.match(pattern, name)], (module, pattern)
        assert paper in inspect.getsource(sys.modules[f"timm.models.{module}"])


def test_family_and_year_agree_with_the_curated_table() -> None:
    """What is generated from timm's papers is what was written down by hand, for every curated backbone."""
    for backbone in catalog.BACKBONES.values():
        entry = probing.about(backbone.name)
        found = lineage(entry.architecture, entry.module, entry.paper)
        assert found == (catalog.FAMILIES[backbone.family].title, backbone.year), backbone.name


def test_most_architectures_have_a_year() -> None:
    entries = [probing.about(name) for name in probing.architectures()]
    years = [entry.year for entry in entries if entry.year is not None]
    assert len(years) > 0.9 * len(entries)
    assert min(years) >= 2014
    assert year_of("") is None
    assert year_of("1409.1556") == 2014


def test_an_unknown_module_gets_a_readable_family() -> None:
    assert lineage("brand_new_b0", "brand_new", "2701.00001") == ("brand new", 2027)
