"""Building networks: preprocessing inside, pretrained tensors really there, foreign and damaged files refused."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from segcore.errors import IncompatibleError, UnknownBackboneError, WeightsError
from segcore.models import build as module
from segcore.models import weights
from segcore.models.build import IMAGENET_MEAN, IMAGENET_STD, Segmenter, build, probe, skeleton
from segcore.models.catalog import DECODERS
from segcore.models.pretrained import read_state
from segcore.workspace import Workspace

SIZE = 64
TINY = "mobilenetv4_conv_small.e2400_r224_in1k"


@pytest.fixture(autouse=True)
def quiet(workspace: Workspace) -> None:
    """No network, no weights but those that a test writes; two threads would only get into each other's way."""
    torch.set_num_threads(1)


@pytest.fixture
def images() -> Tensor:
    return torch.randint(0, 256, (2, 3, SIZE, SIZE), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def timm_state(name: str, **arguments: Any) -> dict[str, Tensor]:
    """A state as timm publishes it, with values that no initialisation gives."""
    import timm

    torch.manual_seed(7)
    state: dict[str, Tensor] = timm.create_model(name, **arguments).state_dict()
    return {
        key: value + 0.25 * torch.rand(value.shape) if value.is_floating_point() else value
        for key, value in state.items()
    }


@pytest.fixture(scope="module")
def tiny_state() -> dict[str, Tensor]:
    return timm_state("mobilenetv4_conv_small")


def put(folder: Path, name: str, state: dict[str, Tensor]) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    if name.endswith(".safetensors"):
        save_file({key: value.contiguous() for key, value in state.items()}, path)
    else:
        torch.save(state, path)
    return path


def pretrained(folder: Path, encoder: str = TINY, **changes: Any) -> Segmenter:
    return build(encoder, weights="pretrained", classes=4, image_size=SIZE, weights_dirs=[folder], **changes)


def encoder_tensors(model: Segmenter) -> dict[str, Tensor]:
    return model.network.get_submodule("encoder.model").state_dict()


def assert_all_from(state: dict[str, Tensor], model: Segmenter) -> None:
    """Every tensor of the encoder is in `state`, under timm's name."""
    tensors = encoder_tensors(model)
    assert len(tensors) > 50
    flat = {key.replace(".", "_"): value for key, value in state.items()}
    for key, value in tensors.items():
        if "num_batches" not in key or key in state:
            assert torch.equal(value, flat[key.replace(".", "_")]), key


# From scratch ---------------------------------------------------------------------------------------


def test_from_scratch_never_asks_the_network(monkeypatch: pytest.MonkeyPatch, images: Tensor) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("went to the network"))
    monkeypatch.setattr(module, "locate", lambda *_: pytest.fail("looked for weights"))
    for encoder in ("resnet18", "resnet18.tv_in1k"):
        model = build(encoder, weights="none", classes=4, image_size=SIZE)
        assert model.weights_source is None
        logits = model(images)
        assert tuple(logits.shape) == (2, 4, SIZE, SIZE) and logits.dtype == torch.float32


def test_the_seed_decides_the_start() -> None:
    def start(seed: int) -> Tensor:
        torch.manual_seed(seed)
        return torch.cat([p.flatten() for p in skeleton("mobilenetv4_conv_small", "unet", 4, SIZE).parameters()])

    assert torch.equal(start(1), start(1))
    assert not torch.equal(start(1), start(2))


def test_preprocessing_is_inside(images: Tensor) -> None:
    model = skeleton("resnet18", "unet", 4, SIZE).eval()
    expected = (images.float() / 255 - torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1)) / torch.tensor(IMAGENET_STD).view(
        1, 3, 1, 1
    )
    with torch.no_grad():
        assert torch.equal(model(images), model.network(expected))
        assert torch.equal(model(images), model(images.float()))
        with torch.autocast("cpu", torch.bfloat16):
            assert model(images).dtype == torch.float32
        channels_last = model(images.contiguous(memory_format=torch.channels_last))
        assert torch.allclose(model(images), channels_last, atol=1e-4)


def test_preprocessing_travels_with_the_weights(tmp_path: Path) -> None:
    model = skeleton("mobilenetv4_conv_small", "unet", 4, SIZE)
    model.mean.fill_(0.5)
    save_file(model.state_dict(), tmp_path / "best.safetensors")
    other = skeleton("mobilenetv4_conv_small", "unet", 4, SIZE)
    other.load_state_dict(load_file(tmp_path / "best.safetensors"))
    assert torch.equal(other.mean, model.mean)


def test_parameters_are_divided_without_rest() -> None:
    model = skeleton("resnet18", "unet", 4, SIZE)
    encoder, others = list(model.encoder_parameters()), list(model.other_parameters())
    assert {id(p) for p in encoder} | {id(p) for p in others} == {id(p) for p in model.parameters()}
    assert not {id(p) for p in encoder} & {id(p) for p in others}
    assert sum(p.numel() for p in encoder) == 11_176_512


@pytest.mark.parametrize("decoder", DECODERS)
def test_every_decoder_trains_a_step_with_real_numbers(decoder: str, images: Tensor) -> None:
    size = 128 if decoder == "pan" else SIZE  # it halves its features three times more
    model = skeleton("resnet18", decoder, 3, size).train()
    logits = model(images.repeat(1, 1, size // SIZE, size // SIZE))
    assert tuple(logits.shape) == (2, 3, size, size)
    logits.square().mean().backward()
    assert all(p.grad is not None for p in model.other_parameters())


# Pretrained -----------------------------------------------------------------------------------------


def test_real_weights_are_in_the_network(test_data: Path) -> None:
    folder = test_data / "weights"
    file = folder / "tf_efficientnet_lite0-timm.pth"
    if not file.is_file():
        pytest.skip(f"no {file.name} in SEGCORE_TEST_DATA")
    model = pretrained(folder, "tf_efficientnet_lite0.in1k")
    assert_all_from(torch.load(file, weights_only=True), model)
    source = model.weights_source
    assert source is not None
    assert (source.kind, source.path, source.encoder) == ("local", file, "tf_efficientnet_lite0.in1k")
    assert source.sha256 == weights.sha256(file)
    assert model.mean.flatten().tolist() == [0.5] * 3 and model.std.flatten().tolist() == [0.5] * 3


@pytest.mark.parametrize("name", [f"{TINY}.safetensors", "mobilenetv4_conv_small.pth"])
def test_every_tensor_comes_from_the_file(tmp_path: Path, tiny_state: dict[str, Tensor], name: str) -> None:
    path = put(tmp_path / "mine", name, tiny_state)
    model = pretrained(tmp_path / "mine")
    assert_all_from(tiny_state, model)
    assert model.weights_source is not None and model.weights_source.sha256 == weights.sha256(path)
    assert torch.allclose(model.mean.flatten(), torch.tensor(IMAGENET_MEAN))


def test_bare_names_mean_the_catalogs_weights(tmp_path: Path, tiny_state: dict[str, Tensor]) -> None:
    put(tmp_path / "mine", f"{TINY}.safetensors", tiny_state)
    model = pretrained(tmp_path / "mine", "mobilenetv4_conv_small")
    assert model.encoder_name == TINY
    assert_all_from(tiny_state, model)


def test_a_classifier_of_other_classes_or_none_does_not_matter(tmp_path: Path, tiny_state: dict[str, Tensor]) -> None:
    state = {key: value for key, value in tiny_state.items() if not key.startswith("classifier")}
    put(tmp_path / "mine", f"{TINY}.safetensors", state)
    assert_all_from(state, pretrained(tmp_path / "mine"))


def test_every_decoder_finds_the_pretrained_encoder(tmp_path: Path, tiny_state: dict[str, Tensor]) -> None:
    put(tmp_path / "mine", f"{TINY}.safetensors", tiny_state)
    for decoder in ("deeplabv3plus", "dpt"):
        assert_all_from(tiny_state, pretrained(tmp_path / "mine", decoder=decoder))


def test_weights_of_another_image_size_are_converted(tmp_path: Path) -> None:
    encoder = "swinv2_cr_tiny_ns_224.sw_in1k"
    state = timm_state("swinv2_cr_tiny_ns_224")
    put(tmp_path / "mine", f"{encoder}.safetensors", state)
    model = pretrained(tmp_path / "mine", encoder)
    flat = {key.replace(".", "_"): value for key, value in state.items()}
    tensors = encoder_tensors(model)
    equal = [
        key for key, value in tensors.items() if torch.equal(value, flat.get(key.replace(".", "_"), torch.zeros(0)))
    ]
    assert len(equal) > 0.9 * len(tensors)


def test_torchvisions_old_densenet_names_are_converted(tmp_path: Path) -> None:
    import re

    state = {key: value for key, value in timm_state("densenet121").items() if "num_batches" not in key}
    old = {re.sub(r"(denselayer\d+\.(?:norm|conv))(\d)", r"\1.\2", key): value for key, value in state.items()}
    assert set(old) != set(state)
    put(tmp_path / "mine", "densenet121.pth", old)
    assert_all_from(state, pretrained(tmp_path / "mine", "densenet121.tv_in1k"))


def test_nothing_to_be_had_is_an_error_not_a_random_start(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"resnet18\.tv_in1k\.safetensors.*from scratch"):
        pretrained(tmp_path, "resnet18.tv_in1k")


# Files that must be refused -------------------------------------------------------------------------


def test_weights_of_a_smaller_network_are_refused(tmp_path: Path) -> None:
    put(tmp_path, "resnet34.pth", timm_state("resnet18"))
    with pytest.raises(WeightsError, match=r"does not belong to resnet34\.tv_in1k: \d+ tensors are missing"):
        pretrained(tmp_path, "resnet34.tv_in1k")


def test_weights_of_a_larger_network_are_refused_although_they_contain_all_names(tmp_path: Path) -> None:
    put(tmp_path, "resnet18.pth", timm_state("resnet34"))
    with pytest.raises(WeightsError, match="tensors are not part of it"):
        pretrained(tmp_path, "resnet18.tv_in1k")


def test_weights_of_another_family_or_width_are_refused(tmp_path: Path, tiny_state: dict[str, Tensor]) -> None:
    put(tmp_path, "resnet18.pth", tiny_state)
    with pytest.raises(WeightsError, match="does not belong"):
        pretrained(tmp_path, "resnet18.tv_in1k")
    put(tmp_path, "convnext_femto.pth", timm_state("convnext_atto"))
    with pytest.raises(WeightsError, match="have another shape"):
        pretrained(tmp_path, "convnext_femto.d1_in1k")


def test_one_missing_tensor_is_noticed(tmp_path: Path, tiny_state: dict[str, Tensor]) -> None:
    for missing in ("blocks.3.0.pw_exp.conv.weight", "bn1.running_mean"):
        state = {key: value for key, value in tiny_state.items() if key != missing}
        assert len(state) == len(tiny_state) - 1
        put(tmp_path / "mine", f"{TINY}.safetensors", state)
        with pytest.raises(WeightsError, match=f"1 tensors are missing .*{missing}"):
            pretrained(tmp_path / "mine")


@pytest.mark.parametrize("name", [f"{TINY}.safetensors", f"{TINY}.pth"])
@pytest.mark.parametrize("keep", [0, 100, 0.5, 0.999])
def test_truncated_files_are_refused(tmp_path: Path, tiny_state: dict[str, Tensor], name: str, keep: float) -> None:
    path = put(tmp_path / "mine", name, tiny_state)
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data)) if keep < 1 else int(keep)])
    with pytest.raises(WeightsError, match=r"cannot be used.*fetch it again"):
        pretrained(tmp_path / "mine")


def test_flipped_bytes_in_a_torch_file_are_noticed(tmp_path: Path, tiny_state: dict[str, Tensor]) -> None:
    path = put(tmp_path / "mine", f"{TINY}.pth", tiny_state)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x40
    path.write_bytes(bytes(data))
    with pytest.raises(WeightsError, match="checksum"):
        pretrained(tmp_path / "mine")


def test_the_hash_in_a_name_is_checked(tmp_path: Path, tiny_state: dict[str, Tensor]) -> None:
    path = put(tmp_path / "mine", "mobilenetv4_conv_small.pth", tiny_state)
    right = path.rename(path.with_name(f"mobilenetv4_conv_small-{weights.sha256(path)[:8]}.pth"))
    assert_all_from(tiny_state, pretrained(tmp_path / "mine"))
    right.rename(path.with_name("mobilenetv4_conv_small-0123abcd.pth"))
    with pytest.raises(WeightsError, match="SHA-256"):
        pretrained(tmp_path / "mine")


def test_values_that_are_not_finite_are_refused(tmp_path: Path, tiny_state: dict[str, Tensor]) -> None:
    broken = {**tiny_state, "conv_stem.weight": torch.full_like(tiny_state["conv_stem.weight"], float("nan"))}
    put(tmp_path / "mine", f"{TINY}.safetensors", broken)
    with pytest.raises(WeightsError, match=r"conv_stem\.weight holds values that are not finite"):
        pretrained(tmp_path / "mine")


class _Attack:
    """Unpickling it would create a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.target,))


@pytest.mark.parametrize("protocol", ["torch", "pickle"])
def test_code_in_a_file_is_not_run(tmp_path: Path, tiny_state: dict[str, Tensor], protocol: str) -> None:
    folder, target = tmp_path / "mine", tmp_path / "attacked"
    folder.mkdir()
    attack = {**tiny_state, "conv_stem.weight": _Attack(target)}
    if protocol == "torch":
        torch.save(attack, folder / f"{TINY}.pth")
    else:
        (folder / f"{TINY}.pth").write_bytes(pickle.dumps(_Attack(target)))
    with pytest.raises(WeightsError):
        pretrained(folder)
    assert not target.exists()


def test_files_that_are_no_weights(tmp_path: Path) -> None:
    text, archive, empty = (tmp_path / name for name in ("a.pth", "b.pth", "c.pth"))
    text.write_text("<html>404</html>")
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("readme.txt", "hello")
    torch.save({"epoch": 3}, empty)
    for path in (text, archive, empty, tmp_path / "missing.pth"):
        with pytest.raises(WeightsError, match="cannot be used"):
            read_state(path)


# What goes together ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("encoder", "decoder", "size", "why"),
    [
        ("vgg16", "deeplabv3plus", 64, r"dilation.*Use U-Net"),
        ("densenet121", "pan", 64, r"dilation.*Use U-Net"),
        ("swin_tiny_patch4_window7_224", "deeplabv3", 64, r"dilation.*Use U-Net"),
        ("vit_tiny_patch16_224", "unet", 64, r"one resolution.*DPT"),
        ("resnet18", "fpn", 80, r"multiple of 32"),
        ("resnet18", "pan", 64, r"at 64 pixels: the features become too small. Use a larger image size"),
    ],
)
def test_probe_says_why_not(encoder: str, decoder: str, size: int, why: str) -> None:
    with pytest.raises(IncompatibleError, match=why):
        probe(encoder, decoder, size)


@pytest.mark.parametrize(
    ("encoder", "decoder", "size"),
    [
        ("resnet18.tv_in1k", "deeplabv3plus", 64),
        ("swin_tiny_patch4_window7_224", "unetplusplus", 96),  # built for 224
        ("vit_tiny_patch16_224", "dpt", 64),
        ("pvt_v2_b0", "upernet", 32),
        ("vgg16", "pspnet", 64),
    ],
)
def test_probe_lets_pass_what_works(encoder: str, decoder: str, size: int) -> None:
    probe(encoder, decoder, size)


def test_unknown_names() -> None:
    for call in (probe, lambda encoder, decoder, size: skeleton(encoder, decoder, 4, size)):
        with pytest.raises(UnknownBackboneError, match="resnet18"):
            call("resnet81", "unet", 64)
        with pytest.raises(UnknownBackboneError, match=r"resnet18\.tv_in1k"):
            call("resnet18.tv_in2k", "unet", 64)
        with pytest.raises(UnknownBackboneError, match="There are: unet"):
            call("resnet18", "nonsense", 64)
    with pytest.raises(UnknownBackboneError):
        build("resnet81", weights="none", classes=4, image_size=64)
