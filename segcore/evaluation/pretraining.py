"""On which data pretrained weights were learnt, read from the tag that timm gives them.

A tag says it in the order of learning, between words for recipe, publisher and size: `fb_in22k_ft_in1k_384` has seen
ImageNet-22k and then ImageNet-1k. Nothing here imports timm or torch.
"""

from __future__ import annotations

DATA = {
    "in1k": "ImageNet-1k",
    "in12k": "ImageNet-12k",
    # Two counts of the same collection: Google's 21,843 classes and Meta's "22k".
    "in21k": "ImageNet-22k",
    "inw21k": "ImageNet-22k",
    "in22k": "ImageNet-22k",
    # Learning to fill in what is masked; published for images of ImageNet-1k, without labels.
    "fcmae": "ImageNet-1k",
    "mae": "ImageNet-1k",
    "jft": "JFT-300M",
    "yfcc100m": "YFCC-100M",
    "yfcc15m": "YFCC-15M",
    "ig1b": "Instagram-1B",
    "laion2b": "LAION-2B",
    "laion400m": "LAION-400M",
    "laiona": "LAION-Aesthetic",
    "openai": "CLIP's images",
    "webli": "WebLI",
    "cc12m": "CC-12M",
    "datacomp1b": "DataComp-1B",
    "datacompxl": "DataComp-1B",
    "dfn2b": "DFN-2B",
    "dfn5b": "DFN-5B",
    "lvd142m": "LVD-142M",
    "lvd1689m": "LVD-1689M",
    "sat493m": "SAT-493M",
    "merged2b": "Merged-2B",
    "m30m": "Merged-30M",
    "m38m": "Merged-38M",
    "sa1b": "SA-1B",
}
"""Word of a tag -> what people call the data."""


def data(encoder: str) -> str | None:
    """Return the data of an encoder's weights in the order of learning: "ImageNet-22k → ImageNet-1k".

    None where the tag does not say it, or says of fine-tuned weights only what they were fine-tuned on.

    Args:
        encoder: a timm name with its tag, such as `convnext_tiny.fb_in22k_ft_in1k`.
    """
    words = encoder.partition(".")[2].split("_")
    found = [(at, DATA[word]) for at, word in enumerate(words) if word in DATA]
    if not found or ("ft" in words and found[0][0] > words.index("ft")):
        return None
    names = [name for at, (_, name) in enumerate(found) if at == 0 or name != found[at - 1][1]]
    return " → ".join(names)
