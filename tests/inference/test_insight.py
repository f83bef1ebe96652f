"""What a network sees: against a direct pass, by hand, and against the grad-cam package."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from segcore.errors import ConfigError
from segcore.inference.insight import class_evidence, look, show
from segcore.models import catalog
from segcore.models.build import Segmenter, skeleton
from segcore.models.description import NetworkDescription
from segcore.models.summary import describe

SIZE = 64
CLASSES = 3


def built(encoder: str = "resnet18", decoder: str = "unet", size: int = SIZE) -> tuple[Segmenter, NetworkDescription]:
    torch.manual_seed(0)
    model = skeleton(encoder, decoder, CLASSES, size).eval()
    return model, describe(encoder, decoder=decoder, image_size=size, classes=CLASSES)


@pytest.fixture(scope="module")
def unet() -> tuple[Segmenter, NetworkDescription]:
    return built()


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)


def logits_of(model: Segmenter, pixels: np.ndarray) -> Tensor:
    with torch.no_grad():
        return model(torch.from_numpy(pixels.transpose(2, 0, 1).copy())[None])[0]


def test_features_are_those_of_a_direct_pass(unet: tuple[Segmenter, NetworkDescription], pixels: np.ndarray) -> None:
    model, network = unet
    seen = look(model, network, pixels, top=5)
    scaled = (torch.from_numpy(pixels.transpose(2, 0, 1).copy())[None].float() / 255 - model.mean) / model.std
    with torch.no_grad():
        encoded = model.network.get_submodule("encoder")(scaled)[1:]
    for found, real in zip(seen.stages, encoded, strict=False):
        real = real[0].numpy()
        activity = np.abs(real).mean((1, 2))
        assert found.activity == pytest.approx(activity, rel=1e-5)
        assert list(activity[list(found.channels)]) == sorted(activity, reverse=True)[:5]
        assert found.maps == pytest.approx(real[list(found.channels)], rel=1e-5)
        assert found.strength == pytest.approx(np.abs(real).mean(0), rel=1e-5)
    assert (seen.labels == logits_of(model, pixels).argmax(0).numpy()).all()


PAIRS = [("resnet18", name) for name in catalog.DECODERS if name != "dpt"]
PAIRS += [("vit_tiny_patch16_224", "dpt"), ("swin_tiny_patch4_window7_224", "unet"), ("vgg16", "unet")]


@pytest.mark.parametrize(("encoder", "decoder"), PAIRS)
def test_every_stage_of_every_decoder_can_be_looked_at(encoder: str, decoder: str) -> None:
    size = 128  # PAN needs as much
    model, network = built(encoder, decoder, size)
    pixels = np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)
    seen = look(model, network, pixels, top=2)
    assert len(seen.stages) == len(network.stages) - 1  # all but the head
    for stage, found in zip(network.stages, seen.stages, strict=False):
        assert found.maps.shape == (2, stage.height, stage.width)
        assert found.activity.shape == (stage.channels,)
        heat = class_evidence(model, network, pixels, 1, found.stage).heat
        assert heat.shape == (stage.height, stage.width)
        assert heat.max() in (0.0, pytest.approx(1.0)) and heat.min() >= 0


def test_the_network_is_left_as_it_was(unet: tuple[Segmenter, NetworkDescription], pixels: np.ndarray) -> None:
    model, network = unet
    before = copy.deepcopy(model.state_dict())
    first = look(model, network, pixels), class_evidence(model, network, pixels, 0, 4)
    again = look(model, network, pixels), class_evidence(model, network, pixels, 0, 4)
    assert not model.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())
    assert not any(module._forward_hooks or module._backward_hooks for module in model.modules())
    assert (first[0].stages[4].maps == again[0].stages[4].maps).all() and (first[1].heat == again[1].heat).all()


def test_hooks_go_even_when_looking_fails(unet: tuple[Segmenter, NetworkDescription]) -> None:
    model, network = unet
    with pytest.raises(RuntimeError):
        look(model, network, np.zeros((SIZE, SIZE, 2), np.uint8))
    assert not any(module._forward_hooks for module in model.modules())


def test_evidence_is_that_of_the_grad_cam_package(
    unet: tuple[Segmenter, NetworkDescription], pixels: np.ndarray
) -> None:
    """jacobgil's implementation, given the same layer and the same pixels (arXiv:2002.11434)."""
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import SemanticSegmentationTarget

    model, network = unet
    where = logits_of(model, pixels).argmax(0).numpy() == 2
    assert where.any()
    deepest = [index for index, stage in enumerate(network.stages) if stage.kind == "encoder"][-1]
    ours = class_evidence(model, network, pixels, 2, deepest)
    theirs = copy.deepcopy(model)
    layer = theirs.get_submodule("network.encoder.model.layer4")
    with GradCAM(model=theirs, target_layers=[layer]) as cam:
        batch = torch.from_numpy(pixels.transpose(2, 0, 1).copy())[None].float().requires_grad_()
        cam(input_tensor=batch, targets=[SemanticSegmentationTarget(2, where.astype(np.float32))])
        values = cam.activations_and_grads
        weights = cam.get_cam_weights(batch, layer, [], values.activations[0].numpy(), values.gradients[0].numpy())
        raw = (weights[0][:, None, None] * values.activations[0][0].numpy()).sum(0).clip(min=0)
    assert ours.strongest == pytest.approx(raw.max(), rel=1e-4)
    assert ours.heat * ours.strongest == pytest.approx(raw, rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("decoder", ["unet", "upernet", "pspnet"])
def test_evidence_counts_on_all_ways_where_channels_come_last(decoder: str) -> None:
    """Swin's decoder reads turned copies of what its next stage reads; PSPNet reads none of the first stage's."""
    model, network = built("swin_tiny_patch4_window7_224", decoder, 128)
    pixels = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    where = np.ones((128, 128), bool)
    encoder = model.get_submodule("network.encoder.model")
    features: list[Tensor] = []
    hook = encoder.register_forward_hook(lambda _module, _inputs, output: features.extend(output))
    score = model(torch.from_numpy(pixels.transpose(2, 0, 1).copy())[None])[0, 1].sum()
    hook.remove()
    for stage, feature in enumerate(features):
        (gradient,) = torch.autograd.grad(score, feature, retain_graph=True)
        heat = (feature * gradient.mean((1, 2), keepdim=True)).sum(3)[0].detach().clamp(min=0)
        found = class_evidence(model, network, pixels, 1, stage, where=where)
        assert found.heat * found.strongest == pytest.approx(heat.numpy(), rel=1e-3, abs=1e-5)


def test_a_stage_that_nothing_reads_speaks_for_nothing() -> None:
    """PSPNet takes the third stage of HRNet, whose branches do not go through what is handed over as the second."""
    model, network = built("hrnet_w18_small", "pspnet", 64)
    found = class_evidence(model, network, np.full((64, 64, 3), 90, np.uint8), 1, 1)
    assert found.strongest == 0 and not found.heat.any()


@pytest.mark.parametrize(
    "where",
    [np.zeros((SIZE, SIZE), bool), np.ones((SIZE, SIZE), np.uint8), np.ones((SIZE // 2, SIZE), bool)],
    ids=["no pixel", "no bool", "another size"],
)
def test_pixels_that_cannot_be_meant_are_refused(
    unet: tuple[Segmenter, NetworkDescription], pixels: np.ndarray, where: np.ndarray
) -> None:
    with pytest.raises(ConfigError, match="with one pixel or more"):
        class_evidence(*unet, pixels, 0, 2, where=where)


class Tiny(nn.Module):
    """Two features, seen twice as large by the head: class 0 reads the first, class 1 the second with weight -1."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Conv2d(3, 2, 1, bias=False)
        self.decoder = nn.ModuleDict({"up": nn.Upsample(scale_factor=1.0)})
        self.segmentation_head = nn.Conv2d(2, 2, 1, bias=False)
        with torch.no_grad():
            self.encoder.weight[:] = torch.tensor([[1.0, 0, 0], [0, 1.0, 0]]).view(2, 3, 1, 1)
            self.segmentation_head.weight[:] = torch.tensor([[2.0, 0], [0, -1.0]]).view(2, 2, 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        features = [self.encoder(images)]
        return self.segmentation_head(self.decoder["up"](features[-1]))


def test_evidence_by_hand() -> None:
    """Weights are the gradients' means, 2 / 4 of the places asked for; the heat is weight times feature, above 0."""
    tiny = Tiny()
    model = Segmenter(tiny, encoder_name="resnet18", decoder_name="unet", classes=2).eval()
    model.mean.zero_()
    model.std.fill_(1 / 255)  # pixels reach the network as they are
    full = describe("resnet18", image_size=64)
    network = NetworkDescription(
        **{**vars(full), "stages": (full.stages[0], full.stages[-1])}  # one stage of the encoder, and the head
    )
    pixels = np.zeros((2, 2, 3), np.uint8)
    pixels[..., 0] = [[10, 20], [30, 40]]
    pixels[..., 1] = 5
    where = np.array([[True, True], [False, False]])
    tiny.encoder.forward = lambda images: [nn.functional.conv2d(images, tiny.encoder.weight)]  # type: ignore[method-assign]
    tiny.forward = lambda images: tiny.segmentation_head(tiny.encoder(images)[-1])  # type: ignore[method-assign]
    found = class_evidence(model, network, pixels, 0, 0, where=where)
    # d score / d feature 0 is 2 at two of four places: weight 1; feature 1 has none.
    assert found.strongest == pytest.approx(40.0)
    assert found.heat == pytest.approx(np.array([[0.25, 0.5], [0.75, 1.0]]))
    nothing = class_evidence(model, network, pixels, 1, 0, where=where)  # feature 1 speaks against class 1
    assert nothing.strongest == 0 and not nothing.heat.any()


@pytest.mark.parametrize(("class_index", "stage"), [(CLASSES, 0), (-1, 0), (0, 99), (0, -1)])
def test_what_is_not_there_is_said(
    unet: tuple[Segmenter, NetworkDescription], pixels: np.ndarray, class_index: int, stage: int
) -> None:
    with pytest.raises(ConfigError, match="expected a class from 0 to 2 and a stage"):
        class_evidence(*unet, pixels, class_index, stage)


def test_the_head_has_no_evidence(unet: tuple[Segmenter, NetworkDescription], pixels: np.ndarray) -> None:
    model, network = unet
    with pytest.raises(ConfigError, match="stage of encoder or decoder"):
        class_evidence(model, network, pixels, 0, len(network.stages) - 1)


def test_what_is_shown_to_a_network() -> None:
    image = np.arange(100 * 80 * 3, dtype=np.uint32).astype(np.uint8).reshape(100, 80, 3)
    resized = show(image, 32, "resize")
    assert resized.pixels.shape == (32, 32, 3) and not resized.cut
    cropped = show(image, 32, "crop")
    assert cropped.cut and (cropped.pixels == image[34:66, 24:56]).all()
    small = show(image[:20, :20], 32, "crop")
    assert not small.cut and (small.pixels[:20, :20] == image[:20, :20]).all() and not small.pixels[20:].any()
    with pytest.raises(ConfigError, match="expected an RGB image"):
        show(image[..., 0], 32, "resize")
