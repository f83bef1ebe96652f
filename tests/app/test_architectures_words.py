"""The tab "In words": what was chosen, what else there is, and the primer for a newcomer."""

from __future__ import annotations

import re

import pytest
from streamlit.testing.v1 import AppTest

from segcore.models import catalog
from segcore.models.origin import origin
from segcore.models.primer import PRIMER
from segcore.models.words import QUESTIONS
from segcore.store import RunStore
from segcore.ui.state import Key
from tests import factories
from tests.app.conftest import OpenApp, texts

PAGE = "pages/architectures.py"


@pytest.fixture
def open_words(open_app: OpenApp) -> OpenApp:
    """Opens the tab with what the URL names."""

    def open_tab(**query: str) -> AppTest:
        return open_app(PAGE, tab="In words", **query)

    return open_tab


def said(app: AppTest) -> str:
    """All that the page says, without the signs that keep Markdown from being read as such."""
    return re.sub(r"\\(.)", r"\1", texts(app))


def titles(app: AppTest) -> list[str]:
    return [re.sub(r"\\(.)", r"\1", element.value) for element in app.subheader]


def test_chosen_family_and_decoder_are_told_with_paper_and_licence(open_words: OpenApp) -> None:
    app = open_words(backbone="resnet18", decoder="fpn")
    assert not app.exception
    text = said(app)
    family, decoder = catalog.FAMILIES["resnet"], catalog.DECODERS["fpn"]
    for question in QUESTIONS:
        assert text.count(f"**{question}**") == 2
    assert f"[{family.paper}]({family.url}) ({family.year})" in text
    assert f"[{decoder.paper}]({decoder.url}) ({decoder.year})" in text
    assert "`resnet18.tv_in1k`, licence bsd-3-clause" in text
    assert "11.2\N{NO-BREAK SPACE}million parameters" in text
    assert "{" not in text


def test_two_of_one_family_are_told_once(open_words: OpenApp) -> None:
    app = open_words(backbone="resnet18", against="resnet34")
    assert [title for title in titles(app) if "family" in title] == ["ResNet, the family of ResNet-18 and ResNet-34"]
    assert "`resnet18.tv_in1k`" in said(app) and "`resnet34.tv_in1k`" in said(app)


def test_two_families_are_both_told(open_words: OpenApp) -> None:
    app = open_words(backbone="vgg16", against="convnext_tiny")
    assert [title for title in titles(app) if "family" in title] == [
        "VGG, the family of VGG-16",
        "ConvNeXt, the family of ConvNeXt-Tiny",
    ]


def test_of_a_stranger_is_told_what_timm_says(open_words: OpenApp) -> None:
    text = said(open_words(backbone="hrnet_w18_small"))
    assert "not in the catalog" in text and "`hrnet`" in text
    assert (
        "[Deep High-Resolution Representation Learning for Visual Recognition](https://arxiv.org/abs/1908.07919)"
        in text
    )
    assert "`ms_in1k` (mit)" in text


def test_of_a_relative_the_familys_words_are_told(open_words: OpenApp) -> None:
    text = said(open_words(backbone="efficientnet_lite1"))
    family = catalog.FAMILIES["efficientnet"]
    assert f"the family EfficientNet ({family.year}), of which there are these words" in text
    assert f"[{family.paper}]({family.url})" in text
    assert "No pretrained weights are published" in text


def test_of_many_papers_the_first_are_named(open_words: OpenApp) -> None:
    text = said(open_words(backbone="mixnet_s"))
    papers = origin("mixnet_s").papers
    assert "the family MixNet (2019), of which there are no words" in text
    assert f"names {len(papers)} papers" in text and papers[0][1] in text and papers[-1][1] not in text


def test_words_stay_where_nothing_can_be_built(open_words: OpenApp) -> None:
    app = open_words(backbone="resnet81")
    assert not app.exception
    assert titles(app).count("U-Net, the decoder") == 1


def test_everything_can_be_read_about(open_words: OpenApp) -> None:
    app = open_words(decoder="unet")
    options = app.selectbox(key=Key.NETWORK_READ).options
    assert len(options) == len(catalog.FAMILIES) + len(catalog.DECODERS)
    for entry in (catalog.FAMILIES["swin"], catalog.DECODERS["dpt"]):
        name = next(option for option in options if f"{entry.title} ({entry.year})" in option)
        app.selectbox(key=Key.NETWORK_READ).set_value(name).run()
        assert not app.exception
        assert f"[{entry.paper}]({entry.url})" in said(app)
    assert [title for title in titles(app) if "decoder" in title] == ["U-Net, the decoder", "DPT, the decoder"]


def test_primer_is_open_until_there_is_a_study(open_words: OpenApp, store: RunStore) -> None:
    def primer(app: AppTest) -> bool:
        found = next(expander for expander in app.expander if "New to segmentation" in expander.label)
        assert all(f"**{title}**" in said(app) for title, _ in PRIMER)
        return bool(found.proto.expanded)

    assert primer(open_words())
    factories.make_run(store)
    assert not primer(open_words())
