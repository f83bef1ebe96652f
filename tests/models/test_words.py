"""The words about families and decoders, and the primer: their numbers come from data, and their claims hold."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from segcore.errors import IncompatibleError
from segcore.models.build import probe
from segcore.models.catalog import BACKBONES, DECODERS, FAMILIES, Decoder, Family
from segcore.models.description import NetworkDescription
from segcore.models.origin import origin
from segcore.models.primer import NETWORKS, PRIMER
from segcore.models.words import (
    CLASSES,
    IMAGE_SIZE,
    QUESTIONS,
    REFERENCE,
    REFERENCES,
    backbone_numbers,
    fill,
    network_numbers,
    placeholders,
    spelled,
    times,
)
from tests.models.described import describe

# What may carry a digit because it is a name, longest first.
NAMES = (
    "vit_small_patch16_224",
    "EfficientNet-B0",
    "RegNetY-800MF",
    "DenseNet-121",
    "DeepLabV3+",
    "ResNeXt-50",
    "ResNet-18",
    "ResNet-34",
    "ResNet-50",
    "DeepLabV3",
    "ViT-S/16",
    "VGG-16",
    "VGG-19",
    "Lite0",
    "32x4d",
    "3 × 3",
    "5 × 5",
    "7 × 7",
    "2019",
    "B0",
    "B1",
    "B7",
)
SPELLED_NUMBER = re.compile(
    r"\b(twice|thrice|(two|three|four|five|six|seven|eight|nine|ten) times|per ?cent"
    r"|(?<!a few )(?<!in )(hundred|thousand|million|billion)s?)\b"
)


def texts() -> Iterator[tuple[str, str]]:
    """Everything written, each with what it is about."""
    for entry in (*FAMILIES.values(), *DECODERS.values()):
        for question, text in entry.words.asked():
            yield f"{entry.name}: {question}", text
    for title, text in PRIMER:
        yield f"primer: {title}", text


TEXTS = dict(texts())


@pytest.fixture(scope="module")
def unet() -> NetworkDescription:
    return describe(REFERENCE, image_size=IMAGE_SIZE, classes=CLASSES)


def numbers_of(entry: Family | Decoder, unet: NetworkDescription) -> dict[str, str]:
    if isinstance(entry, Family):
        return backbone_numbers()
    encoder = REFERENCES.get(entry.name, REFERENCE)
    own = describe(encoder, decoder=entry.name, image_size=IMAGE_SIZE, classes=CLASSES)
    return {**network_numbers("own", own, unet), **network_numbers("unet", unet, unet)}


@pytest.mark.parametrize("about", TEXTS)
def test_no_measured_number_is_typed(about: str) -> None:
    text = re.sub(r"\{[^}]*\}", "", TEXTS[about])
    for name in NAMES:
        text = re.sub(rf"(?<![\w.]){re.escape(name)}(?!\w)", "", text)
    assert not re.findall(r"\S*\d\S*", text)
    assert not SPELLED_NUMBER.search(text)


def test_names_allowed_a_digit_are_all_needed() -> None:
    everything = " ".join(TEXTS.values())
    assert not [name for name in NAMES if name not in everything]


@pytest.mark.parametrize("about", TEXTS)
def test_texts_are_whole_sentences(about: str) -> None:
    text = TEXTS[about]
    assert text[0].isupper() or text[0] == "{"
    assert text.endswith(".") and "  " not in text and " ." not in text and text == text.strip()


@pytest.mark.parametrize("entry", [*FAMILIES.values(), *DECODERS.values()], ids=lambda entry: entry.name)
def test_every_number_is_there_and_texts_are_neither_short_nor_long(
    entry: Family | Decoder, unet: NetworkDescription
) -> None:
    numbers = numbers_of(entry, unet)
    filled = {question: fill(text, numbers) for question, text in entry.words.asked()}
    assert tuple(filled) == QUESTIONS
    assert not re.search("[{}]", "".join(filled.values()))
    assert 100 <= sum(len(text.split()) for text in filled.values()) <= 200
    assert min(len(text.split()) for text in filled.values()) >= 15
    assert placeholders(entry.words.costs), "a cost without a number"


@pytest.mark.parametrize("entry", FAMILIES.values(), ids=lambda entry: entry.name)
def test_families_speak_of_their_own_members(entry: Family) -> None:
    spoken = {name.partition(".")[0] for _, text in entry.words.asked() for name in placeholders(text)}
    own = {name for name, row in BACKBONES.items() if row.family == entry.name}
    assert spoken & own
    assert all(BACKBONES[name].family in (entry.name, "resnet") for name in spoken)


def test_primer_is_short_and_its_numbers_are_there(unet: NetworkDescription) -> None:
    numbers = {"size": f"{IMAGE_SIZE} × {IMAGE_SIZE}"}
    for name in NETWORKS:
        numbers |= network_numbers(name, describe(name, image_size=IMAGE_SIZE, classes=CLASSES), unet)
    whole = " ".join(fill(text, numbers) for _, text in PRIMER)
    assert 250 <= len(whole.split()) <= 400
    assert "8\N{NO-BREAK SPACE}×\N{NO-BREAK SPACE}8 points" in whole


def test_every_kind_of_number_is_used(unet: NetworkDescription) -> None:
    used = {name.rpartition(".")[2] for text in TEXTS.values() for name in placeholders(text)}
    offered = {**backbone_numbers(), **network_numbers("own", unet, unet)}
    assert {name.rpartition(".")[2] for name in offered} | {"size"} == used


@pytest.mark.parametrize("decoder", ["deeplabv3", "deeplabv3plus", "pan"])
def test_spread_filters_cost_more(decoder: str, unet: NetworkDescription) -> None:
    """So that "works … as much" reads well."""
    numbers = network_numbers("own", describe(REFERENCE, decoder=decoder), unet)
    assert re.fullmatch(r"\d+\.\d times", numbers["own.encoder_times"])


def test_unknown_number_is_named() -> None:
    with pytest.raises(KeyError, match=r"resnet18\.colour"):
        fill("It is {resnet18.colour}.", backbone_numbers())


def test_papers_and_years_agree() -> None:
    """An arXiv number begins with the year: 1512.03385 came in 2015."""
    for entry in (*FAMILIES.values(), *DECODERS.values()):
        assert entry.url.startswith("https://") and entry.paper and entry.title
        match = re.fullmatch(r"https://arxiv\.org/abs/(\d\d)\d\d\.\d{4,5}", entry.url)
        if match:
            assert entry.year == 2000 + int(match[1]), entry.name
    by_arxiv = sum("arxiv.org" in entry.url for entry in (*FAMILIES.values(), *DECODERS.values()))
    assert by_arxiv == len(FAMILIES) + len(DECODERS) - 1  # MA-Net was not published there


def test_papers_are_those_that_timm_names() -> None:
    for family in FAMILIES.values():
        member = next(name for name, row in BACKBONES.items() if row.family == family.name)
        assert family.url in {url for _, url in origin(member).papers}, family.name


def test_numbers_are_those_of_the_networks(unet: NetworkDescription) -> None:
    """The table and the real network give the same words."""
    numbers = backbone_numbers()
    assert numbers["resnet18.parameters"] == spelled(unet.encoder.parameters) == "11.2 million"
    assert numbers["resnet18.macs"] == spelled(unet.macs)
    assert numbers["vgg16.times"] == times(describe("vgg16", image_size=256, classes=12).macs / unet.macs)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (11_176_512, "11.2 million"),
        (5.5e9, "5.5 billion"),
        (189_000, "189,000"),
        (999_960, "1.0 million"),
        (490, "490"),
    ],
)
def test_spelled(count: float, text: str) -> None:
    assert spelled(count) == text


@pytest.mark.parametrize(
    ("ratio", "text"), [(4.46, "4.5 times"), (0.54, "54 % of"), (1.03, "about"), (1.06, "1.1 times")]
)
def test_times(ratio: float, text: str) -> None:
    assert times(ratio) == text


# What the words claim without a number beside it.


@pytest.mark.parametrize(
    "name", ["efficientnet_b0", "mobilenetv3_large_100", "mobilenetv4_conv_small", "edgenext_x_small"]
)
def test_light_backbones_leave_most_of_the_computing_to_the_decoder(name: str) -> None:
    described = describe(name)
    assert described.decoder_share > (0.9 if "mobilenetv4" in name else 0.75)
    if "mobilenetv3" in name:
        light = describe(name, decoder="linknet")
        assert light.macs < described.macs / 2 and light.decoder_share < described.decoder_share


def test_mobilenetv4_has_the_fewest_parameters() -> None:
    assert min(BACKBONES, key=lambda name: BACKBONES[name].parameters) == "mobilenetv4_conv_small"


def test_densenet_has_fewer_parameters_but_more_memory_than_resnet() -> None:
    dense, plain = BACKBONES["densenet121"], BACKBONES["resnet18"]
    assert dense.parameters < plain.parameters and dense.unet_activations > plain.unet_activations


@pytest.mark.parametrize("name", BACKBONES)
def test_who_begins_at_a_quarter_and_who_at_half(name: str) -> None:
    """VGG's full resolution is computed but never handed over; ConvNeXt and the transformers begin at a quarter."""
    described = describe(name)
    fed = [edge for edge in described.edges if described.stages[edge.target].kind == "decoder"]
    finest = max(edge.height for edge in fed if edge.source >= 0 and described.stages[edge.source].kind == "encoder")
    quarter = BACKBONES[name].family in ("convnext", "swin", "pvt", "edgenext")
    assert finest == IMAGE_SIZE // (4 if quarter else 2)


@pytest.mark.parametrize("decoder", ["deeplabv3", "deeplabv3plus", "pan"])
@pytest.mark.parametrize("family", FAMILIES)
def test_whose_filters_can_be_spread(decoder: str, family: str) -> None:
    member = next(name for name, row in BACKBONES.items() if row.family == family)
    if family in ("vgg", "densenet", "swin", "pvt", "edgenext"):
        with pytest.raises(IncompatibleError, match="spreads"):
            probe(member, decoder, IMAGE_SIZE)
    else:
        probe(member, decoder, IMAGE_SIZE)


@pytest.mark.parametrize(
    ("decoder", "level"),
    [("deeplabv3", 8), ("deeplabv3plus", 16), ("pan", 16), ("pspnet", 8), ("unet", 32), ("fpn", 32), ("upernet", 32)],
)
def test_how_far_the_resolution_falls(decoder: str, level: int) -> None:
    described = describe(REFERENCE, decoder=decoder, image_size=IMAGE_SIZE)
    assert min(stage.height for stage in described.stages if stage.kind == "encoder") == IMAGE_SIZE // level


@pytest.mark.parametrize(
    ("decoder", "level"),
    [
        ("deeplabv3", 8),
        ("pspnet", 8),
        ("fpn", 4),
        ("upernet", 4),
        ("segformer", 4),
        ("deeplabv3plus", 4),
        ("dpt", 2),
        ("unet", 1),
    ],
)
def test_from_which_resolution_the_mask_is_enlarged(decoder: str, level: int) -> None:
    described = describe(REFERENCES.get(decoder, REFERENCE), decoder=decoder, image_size=IMAGE_SIZE)
    last = [stage for stage in described.stages if stage.kind == "decoder"][-1]
    assert last.height == IMAGE_SIZE // level


@pytest.mark.parametrize(
    ("name", "cut"), [("resnet18", True), ("efficientnet_b0", False), ("mobilenetv3_large_100", False)]
)
def test_pspnet_cuts_resnets_but_not_efficientnets(name: str, cut: bool) -> None:
    used, whole = describe(name, decoder="pspnet").encoder.macs, describe(name).encoder.macs
    assert used < 0.7 * whole if cut else used == whole


def test_manet_is_huge_behind_a_wide_backbone() -> None:
    narrow, wide = describe("resnet18", decoder="manet"), describe("resnet50", decoder="manet")
    assert wide.decoder.parameters > 2 * wide.encoder.parameters
    assert narrow.decoder.parameters < narrow.encoder.parameters


def test_unetplusplus_is_heavier_still_behind_wider_stages() -> None:
    ratios = [describe(name, decoder="unetplusplus").macs / describe(name).macs for name in ("resnet18", "resnet50")]
    assert ratios[1] > ratios[0] > 2


def test_widest_holes_find_nothing_in_small_images() -> None:
    """Every outer point of DeepLab's widest filter lies outside the features: it is a 1×1 filter there."""
    from segcore.models.build import blueprint

    network = blueprint(REFERENCE, "deeplabv3", 2, IMAGE_SIZE).network
    widest = max(m.dilation[0] for m in network.get_submodule("decoder").modules() if hasattr(m, "dilation"))
    assert widest >= IMAGE_SIZE // 8


def test_upernets_last_filter_is_most_of_it() -> None:
    described = describe(REFERENCE, decoder="upernet")
    last = [stage for stage in described.stages if stage.kind == "decoder"][-1]
    assert last.macs > described.decoder.macs / 2


def test_segformer_and_its_head_look_at_no_neighbour() -> None:
    described = describe(REFERENCE, decoder="segformer")
    labels = [
        operation.label
        for stage in described.stages
        if stage.kind != "encoder"
        for block in stage.blocks
        for operation in block.operations
        if operation.kind not in ("upsample", "pool")
    ]
    assert len(labels) >= 7 and not [label for label in labels if "×" in label and "1×1" not in label]


@pytest.mark.parametrize("name", BACKBONES)
def test_timms_relatives_find_the_words_of_their_family(name: str) -> None:
    kin = origin(name).kin
    assert kin is not None and kin.name == BACKBONES[name].family


def test_a_strange_family_has_no_words() -> None:
    assert origin("hrnet_w18_small").kin is None
