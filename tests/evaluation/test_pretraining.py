"""Data of the pretraining as timm's tags tell it."""

from __future__ import annotations

import pytest

from segcore.evaluation import pretraining
from segcore.models.backbones import BACKBONES


@pytest.mark.parametrize(
    ("tag", "told"),
    [
        ("tv_in1k", "ImageNet-1k"),
        ("e2400_r224_in1k", "ImageNet-1k"),
        ("fb_in22k", "ImageNet-22k"),
        ("augreg_in21k_ft_in1k", "ImageNet-22k → ImageNet-1k"),
        ("in12k_ft_in1k_384", "ImageNet-12k → ImageNet-1k"),
        ("ns_jft_in1k_475", "JFT-300M → ImageNet-1k"),
        ("fb_ssl_yfcc100m_ft_in1k", "YFCC-100M → ImageNet-1k"),
        ("clip_laion2b_augreg_ft_in12k_in1k", "LAION-2B → ImageNet-12k → ImageNet-1k"),
        ("fcmae_ft_in22k_in1k", "ImageNet-1k → ImageNet-22k → ImageNet-1k"),
        ("fcmae_ft_in1k", "ImageNet-1k"),  # once, though it was learnt in two ways
        ("in22k_ft_in22k", "ImageNet-22k"),
        ("swag_ft_in1k", None),  # fine-tuned from something that the tag does not name
        ("ft_in1k", None),
        ("seer", None),
        ("", None),
    ],
)
def test_a_tag_tells_the_data_in_the_order_of_learning(tag: str, told: str | None) -> None:
    assert pretraining.data(f"convnext_tiny.{tag}".rstrip(".")) == told


def test_a_name_is_no_tag() -> None:
    assert pretraining.data("in22k_in1k") is None


@pytest.mark.parametrize("encoder", [backbone.encoder for backbone in BACKBONES.values()])
def test_of_every_backbone_of_the_catalog_it_is_known(encoder: str) -> None:
    assert pretraining.data(encoder)
