"""Decoders that were made for transformers."""

from __future__ import annotations

from segcore.models.decoders.decoder import Decoder
from segcore.models.words import Words

TRANSFORMERS = (
    Decoder(
        "segformer",
        "SegFormer",
        "SegFormer: Simple and Efficient Design for Semantic Segmentation with Transformers",
        "https://arxiv.org/abs/2105.15203",
        2021,
        Words(
            new="Almost nothing, which is the point. Every level of the backbone is brought to the same width, "
            "resized to a quarter of the resolution and laid side by side; one layer mixes them, and one more answers "
            "what each point is. None of these layers looks at a neighbour.",
            helps="All looking around is left to the backbone. One that sees far by itself, as transformers do, needs "
            "no second pair of eyes, and a decoder that knows little has little to overfit with.",
            costs="Behind ResNet-18 {own.parameters} parameters of its own (U-Net: {unet.parameters}) and {own.times} "
            "the multiply-adds of a U-Net, {own.share} of them outside the backbone; {own.memory} for each image in "
            "training. The mask is enlarged from a quarter of the resolution.",
            choose="With PVT, Swin, ConvNeXt and other backbones that see far. The name stands here for the decoder "
            "alone: any backbone with stages fits. The paper's own backbone, MiT, is not in timm, and its weights may "
            "not be used commercially.",
        ),
    ),
    Decoder(
        "dpt",
        "DPT",
        "Vision Transformers for Dense Prediction",
        "https://arxiv.org/abs/2103.13413",
        2021,
        Words(
            new="Masks from a plain vision transformer. Such a backbone cuts the picture into patches and keeps that "
            "one resolution from its first layer to its last, while other decoders want several. DPT takes what "
            "several of its layers know, turns each into a picture of another resolution and merges them step by step "
            "from coarse to fine.",
            helps="It opens up the many plain transformers with strong pretrained weights. Every one of their layers "
            "sees the whole picture, and merging early with late layers brings back some of the detail.",
            costs="It is a heavy decoder. Behind ViT-S/16, a small vision transformer, decoder and head have "
            "{own.parameters} parameters, the transformer {own.encoder_parameters}, and take {own.share} of the "
            "multiply-adds; all in all {own.times} what a U-Net behind ResNet-18 takes. Attention over all patches "
            "makes large images dearer still.",
            choose="For plain vision transformers, by typing a timm name such as vit_small_patch16_224, and with "
            "pretrained weights. Backbones with stages fit as well, but have cheaper choices.",
        ),
    ),
)
