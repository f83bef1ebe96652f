from __future__ import annotations

from pathlib import Path

import pytest

from segcore.config import Recipe, StudyConfig
from segcore.data import dividing
from segcore.decisions import Decision, Exclude, Merge, Rename
from segcore.errors import ConfigError, DatasetError, LaunchError, ModelError, SegcoreError, WeightsError
from segcore.launch import memory, plan
from segcore.launch.memory import Room
from segcore.store import RunStore
from segcore.workspace import Workspace
from tests.factories import add_dataset


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "ensure_scheduler", lambda _workspace: None)


def config(**changes: object) -> StudyConfig:
    values = {"name": "s", "dataset": "tiny", "encoders": ("resnet18",), "weights": "none"}
    return StudyConfig(**{**values, "recipe": Recipe(image_size=64), **changes})


@pytest.mark.usefixtures("quiet")
def test_a_study_is_queued_with_full_names(workspace: Workspace, tmp_path: Path) -> None:
    add_dataset(workspace, tmp_path / "source")
    (run,) = plan.launch_study(config(), workspace)
    assert run.config.encoder == "resnet18"
    assert run.split.val
    (workspace.weights / "resnet18.tv_in1k.safetensors").write_bytes(b"x")
    (second,) = plan.launch_study(config(weights="pretrained"), workspace)
    assert second.config.encoder == "resnet18.tv_in1k"


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize(
    ("changes", "field", "said"),
    [
        ({"dataset": "nothing"}, "dataset", "nothing"),
        ({"encoders": ("resnet81",)}, "encoders", "resnet18"),
        ({"decoder": "unett"}, "decoder", "unet"),
        ({"weights": "pretrained"}, "weights", "train from scratch"),
    ],
)
def test_what_cannot_work_is_refused_beside_its_field(
    workspace: Workspace, tmp_path: Path, changes: dict[str, object], field: str, said: str
) -> None:
    add_dataset(workspace, tmp_path / "source")
    with pytest.raises(SegcoreError, match=said) as caught:
        plan.launch_study(config(**changes), workspace)
    assert caught.value.field == field
    assert RunStore(workspace).runs() == []


@pytest.mark.usefixtures("quiet")
def test_an_encoder_that_the_decoder_refuses_is_refused_before_queueing(workspace: Workspace, tmp_path: Path) -> None:
    add_dataset(workspace, tmp_path / "source")
    with pytest.raises(ModelError) as caught:
        plan.launch_study(config(encoders=("vit_tiny_patch16_224",)), workspace)
    assert caught.value.field == "decoder"


@pytest.mark.usefixtures("quiet")
def test_other_settings_under_an_old_name_are_refused(workspace: Workspace, tmp_path: Path) -> None:
    add_dataset(workspace, tmp_path / "source")
    plan.launch_study(config(), workspace)
    with pytest.raises(ConfigError, match=r"another recipe \(image size 64, not 96\)") as caught:
        plan.launch_study(config(recipe=Recipe(image_size=96)), workspace)
    assert caught.value.field == "name"


@pytest.mark.usefixtures("quiet")
def test_all_missing_weights_are_named_at_once(workspace: Workspace, tmp_path: Path) -> None:
    add_dataset(workspace, tmp_path / "source")
    (workspace.weights / "resnet34.tv_in1k.safetensors").write_bytes(b"x")
    with pytest.raises(WeightsError, match=r"resnet18\.tv_in1k .*same is missing for vgg16\.tv_in1k\."):
        plan.launch_study(config(weights="pretrained", encoders=("resnet18", "resnet34", "vgg16")), workspace)


@pytest.mark.usefixtures("quiet")
def test_weights_are_looked_for_in_the_workspace_of_the_launch(workspace: Workspace, tmp_path: Path) -> None:
    other = Workspace(tmp_path / "other")
    other.ensure_writable()
    add_dataset(other, tmp_path / "source")
    file = other.weights / "resnet18.tv_in1k.safetensors"
    file.write_bytes(b"x")
    (run,) = plan.launch_study(config(weights="pretrained"), other)
    assert run.config.weights_file == file
    assert RunStore(workspace).runs() == []


@pytest.mark.usefixtures("quiet")
def test_a_study_grows_on_the_split_it_began_with(workspace: Workspace, tmp_path: Path) -> None:
    dataset = add_dataset(workspace, tmp_path / "source")
    (first,) = plan.launch_study(config(), workspace)
    dataset.make_split(val=0.5)
    assert dataset.split != first.split
    (second,) = plan.launch_study(config(seeds=(1,)), workspace)
    assert second.config.split_fingerprint == first.config.split_fingerprint
    (other,) = plan.launch_study(config(name="t"), workspace)
    assert other.split == dataset.split


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize(
    "decision",
    [
        Merge(names=("grass", "roof"), into="rest"),
        Exclude(images=("scene00_frame0",)),
        Rename(name="roof", to="house"),
    ],
    ids=lambda decision: decision.kind,
)
def test_a_study_grows_on_the_classes_images_and_scenes_it_began_with(
    workspace: Workspace, tmp_path: Path, decision: Decision
) -> None:
    dataset = add_dataset(workspace, tmp_path / "source")
    (first,) = plan.launch_study(config(), workspace)
    dataset.decide(decision)
    dividing.set_groups(dataset, dividing.given(dataset, dict.fromkeys(dataset.names, "one"), "a map"))
    (second,) = plan.launch_study(config(seeds=(1,)), workspace)
    assert second.config.dataset == first.config.dataset
    assert second.config.dataset_fingerprint == first.config.dataset_fingerprint
    dataset.pairs[0].image.write_bytes(dataset.pairs[1].image.read_bytes())
    with pytest.raises(DatasetError, match="have changed since the study was launched") as caught:
        plan.launch_study(config(seeds=(2,)), workspace)
    assert caught.value.field == "dataset"


@pytest.mark.usefixtures("quiet")
def test_what_is_decided_during_a_launch_is_not_in_half_of_it(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = add_dataset(workspace, tmp_path / "source")
    before = dataset.config, dataset.fingerprint, dataset.split
    check = plan.check_encoders

    def decided_meanwhile(asked: StudyConfig) -> tuple[str, ...]:
        dataset.decide(Exclude(images=("scene00_frame0",)))
        return check(asked)

    monkeypatch.setattr(plan, "check_encoders", decided_meanwhile)
    (run,) = plan.launch_study(config(), workspace)
    assert (run.config.dataset, run.config.dataset_fingerprint, run.split) == before


@pytest.mark.usefixtures("quiet")
def test_a_study_does_not_grow_on_another_dataset(workspace: Workspace, tmp_path: Path) -> None:
    add_dataset(workspace, tmp_path / "source")
    add_dataset(workspace, tmp_path / "second", name="other", seed=1)
    plan.launch_study(config(), workspace)
    with pytest.raises(ConfigError, match="exists with another dataset") as caught:
        plan.launch_study(config(dataset="other", seeds=(1,)), workspace)
    assert caught.value.field == "name"


@pytest.mark.usefixtures("quiet")
def test_each_run_keeps_how_long_it_was_expected_to_take(workspace: Workspace, tmp_path: Path) -> None:
    add_dataset(workspace, tmp_path / "source")
    small, large = plan.launch_study(config(encoders=("resnet18", "vgg16")), workspace)
    first, second = small.status.predicted, large.status.predicted
    assert first is not None and second is not None
    assert 0 < first < second


def test_where_nothing_starts_the_runs_it_is_said_that_they_wait(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_workspace: Workspace) -> None:
        raise LaunchError("It did not come up.")

    add_dataset(workspace, tmp_path / "source")
    monkeypatch.setattr(plan, "ensure_scheduler", refuse)
    with pytest.raises(LaunchError, match=r"did not come up\. 1 run of study 's'.* wait.*queue resume"):
        plan.launch_study(config(), workspace)
    assert len(RunStore(workspace).waiting()) == 1


@pytest.mark.usefixtures("quiet")
def test_backbones_outside_the_catalog_are_counted_and_expected_too(workspace: Workspace, tmp_path: Path) -> None:
    add_dataset(workspace, tmp_path / "source")
    runs = plan.launch_study(config(encoders=("resnet18", "resnet26"), decoder="fpn"), workspace)
    predicted = [run.status.predicted for run in runs]
    assert all(value is not None for value in predicted)


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("encoder", ["efficientnet_b7", "resnet26"])
def test_what_can_never_fit_into_memory_is_refused_before_queueing(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoder: str
) -> None:
    add_dataset(workspace, tmp_path / "source")
    monkeypatch.setattr(memory, "machine_room", lambda _store: Room("this machine's memory", 2.4e9, 2.4e9))
    with pytest.raises(
        ConfigError, match=r"does not fit .* of 2\.4 GB: .* needs about .* \(batch size \d+ fits\)"
    ) as caught:
        plan.launch_study(config(encoders=(encoder,), recipe=Recipe(image_size=64, batch_size=512)), workspace)
    assert caught.value.field == "batch_size"
    assert RunStore(workspace).runs() == []
    # What is only taken by others just now is no reason to refuse.
    monkeypatch.setattr(memory, "machine_room", lambda _store: Room("this machine's memory", 1e15, 1.0))
    assert plan.launch_study(config(encoders=(encoder,)), workspace)
