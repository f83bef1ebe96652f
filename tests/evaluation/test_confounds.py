"""What studies, and the runs of one, differ in besides their backbones, from made-up runs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from segcore.config import ClassInfo, StudyConfig
from segcore.data.splits import Split
from segcore.evaluation import confounds
from segcore.files import write_json
from segcore.runs import Run, Study
from segcore.status import RunState
from segcore.store import RunStore
from tests import factories


def study(store: RunStore, name: str, **options: Any) -> Study:
    factories.make_run(store, study=name, **options)
    return store.study(name)


def record(run: Run, **values: Any) -> None:
    """Add to what a run wrote down when it began."""
    run.write_provenance({**run.provenance(), **values})


def named(found: list[confounds.Confound], name: str) -> confounds.Confound:
    (one,) = [confound for confound in found if confound.name == name]
    return one


def test_one_study_of_equal_runs_has_none(store: RunStore) -> None:
    factories.make_study(store)
    assert confounds.differences([store.study("study")]) == []
    assert confounds.pairable([store.study("study")]) == ""
    assert confounds.differences([]) == [] and confounds.pairable([]) == ""


def test_studies_of_one_split_and_recipe_are_paired_without_a_word(store: RunStore) -> None:
    studies = [study(store, "a"), study(store, "b", encoder=factories.LITE0, seed=3)]
    assert confounds.differences(studies) == []
    assert confounds.pairable(studies) == ""


def test_a_difference_in_the_recipe_is_named_with_both_values(store: RunStore) -> None:
    studies = [study(store, "short", epochs=6), study(store, "long", epochs=30, image_size=96, decoder="fpn")]
    found = confounds.differences(studies)
    assert [confound.name for confound in found] == ["decoder", "epochs", "image_size"]
    epochs = named(found, "epochs")
    assert epochs.values == {"short": "6", "long": "30"}
    assert epochs.sentence.startswith("The number of epochs differs: 6 in short, 30 in long. What trained longer")
    assert named(found, "decoder").values == {"short": "unet", "long": "fpn"}
    assert confounds.pairable(studies) == ""  # the images are the same


def test_another_split_is_refused_for_pairing(store: RunStore) -> None:
    source = factories.fake_dataset()
    turned = replace(source, split=Split(source.split.val, source.split.train))
    studies = [study(store, "a", dataset=source), study(store, "b", dataset=turned)]
    split = named(confounds.differences(studies), "split")
    assert split.values == {"a": source.split.fingerprint[:12], "b": turned.split.fingerprint[:12]}
    assert confounds.pairable(studies) == f"They are not paired image by image. {split.sentence}"


def test_another_version_of_the_dataset_is_refused_and_another_name_is_not(store: RunStore) -> None:
    source = factories.fake_dataset()
    same = factories.fake_dataset("copy")
    changed = replace(source, fingerprint="fedcba9876543210")
    a, b, c = (
        study(store, name, dataset=d) for name, d in (("a", source), ("b", same), ("c", changed))
    )  # fmt: skip
    assert confounds.differences([a, b]) == [] and confounds.pairable([a, b]) == ""
    version = named(confounds.differences([a, c]), "dataset version")
    assert version.values == {"a": "tiny 01234567", "c": "tiny fedcba98"}
    assert "not paired" in confounds.pairable([a, c])
    assert named(confounds.differences([b, c]), "dataset").values == {"b": "copy 01234567", "c": "tiny fedcba98"}


def test_other_classes_are_named(store: RunStore) -> None:
    source = factories.fake_dataset()
    classes = (*source.config.classes[:-1], ClassInfo(name="water", color=(0, 0, 255)))
    other = replace(source, config=source.config.model_copy(update={"classes": classes}), fingerprint="f" * 16)
    found = confounds.differences([study(store, "a", dataset=source), study(store, "b", dataset=other)])
    assert named(found, "classes").values == {"a": "3 classes with roof", "b": "3 classes with water"}


def test_folds_differ_between_studies(store: RunStore) -> None:
    one, folded = study(store, "one"), study(store, "folded")
    for run in folded.runs():
        run.write_config(run.config.model_copy(update={"fold": 0, "folds": 5}))
    assert named(confounds.differences([one, folded]), "folds").values == {"one": "one split", "folded": "5 folds"}
    assert "5 folds in folded" in confounds.pairable([one, folded])


def test_weights_of_a_common_backbone_differ_by_tag_and_by_file(store: RunStore) -> None:
    a = study(store, "a", encoder="resnet18.tv_in1k")
    b = study(store, "b", encoder="resnet18.a1_in1k")
    tags = named(confounds.differences([a, b]), "weights")
    assert tags.values == {"a": "resnet18 tv_in1k", "b": "resnet18 a1_in1k"}
    c = study(store, "c", encoder="resnet18.tv_in1k")
    record(c.runs()[0], weights={"sha256": "abcdef0123" + "0" * 54})
    files = named(confounds.differences([a, c]), "weights file")
    assert files.values == {"a": "resnet18.tv_in1k 00000000", "c": "resnet18.tv_in1k abcdef01"}
    # Backbones that only one of them has are what is compared.
    assert confounds.differences([a, study(store, "d", encoder=factories.LITE0)]) == []


def test_start_from_scratch_beside_pretrained(store: RunStore) -> None:
    scratch = study(store, "s", encoder="resnet18", weights="none")
    found = confounds.differences([study(store, "p"), scratch])
    assert named(found, "start").values == {"p": "pretrained", "s": "from scratch"}
    factories.make_run(store, study="p", encoder="resnet18", weights="none")
    assert confounds.differences([store.study("p")]) == []  # of one backbone it is what is compared
    factories.make_run(store, study="p", encoder=factories.LITE0)
    (start,) = confounds.differences([store.study("p")])
    assert (start.name, start.within) == ("start", "p")
    assert "(pretrained: 2 runs of ResNet-18, EfficientNet-Lite0; from scratch: 1 run of ResNet-18)" in start.sentence


def test_precision_counts_as_it_was_used(store: RunStore) -> None:
    a, b = study(store, "a"), study(store, "b")
    a.write_execution({"precision": "fp32", "memory_format": "contiguous"})
    assert named(confounds.differences([a, b]), "precision").sentence == (
        "The precision may differ: fp32 in a, not recorded in b."
    )
    b.write_execution({"precision": "bf16", "memory_format": "contiguous"})
    found = confounds.differences([a, b])
    assert [confound.name for confound in found] == ["precision"]
    assert found[0].values == {"a": "fp32", "b": "bf16"}


def test_hardware_threads_and_the_packages_that_differ(store: RunStore) -> None:
    a, b = study(store, "a"), study(store, "b")
    record(
        a.runs()[0],
        hardware={"device": "cpu", "cpu": "Xeon", "threads": 2},
        packages={"torch": "2.4", "timm": "1.0"},
        git_commit="a" * 40,
    )
    record(
        b.runs()[0],
        hardware={"device": "cuda", "cpu": "Xeon", "gpu": "H100", "threads": 8},
        packages={"torch": "2.5", "timm": "1.0"},
        git_commit="a" * 40,
    )
    found = confounds.differences([a, b])
    assert named(found, "hardware").values == {"a": "Xeon", "b": "H100"}
    assert named(found, "packages").values == {"a": "torch 2.4", "b": "torch 2.5"}
    assert "segcore" not in [confound.name for confound in found]


def test_runs_of_one_study_that_were_made_longer(store: RunStore) -> None:
    factories.make_study(store, seeds=(0, 1, 2), epochs=6)
    run = store.run("study", f"{factories.RESNET18}-seed1")
    store.extend([run], 30)
    (confound,) = confounds.differences([store.study("study")])
    assert (confound.name, confound.within, confound.values) == ("epochs", "study", {"study": "6 and 30"})
    assert confound.sentence.startswith(
        "Runs of study study differ in number of epochs "
        "(6: 5 runs of ResNet-18, EfficientNet-Lite0; 30: 1 run of ResNet-18)."
    )


def test_runs_of_one_study_on_another_machine_and_from_another_file(store: RunStore) -> None:
    runs = factories.make_study(store, encoders=(factories.RESNET18,), seeds=(0, 1, 2))
    for at, run in enumerate(runs):
        record(run, hardware={"device": "cpu", "cpu": "Xeon", "threads": 2 if at else 4})
    record(runs[2], weights={"sha256": "f" * 64})
    found = confounds.differences([store.study("study")])
    assert [confound.name for confound in found] == ["threads", "weights file"]
    assert found[0].values == {"study": "2 and 4"}
    assert "00000000 (2 runs) and ffffffff (1 run)" in found[1].sentence
    assert all(confound.within == "study" for confound in found)


def test_a_run_that_went_on_elsewhere(store: RunStore) -> None:
    runs = factories.make_study(store, encoders=(factories.RESNET18,))
    for run in runs:
        record(run, hardware={"device": "cpu", "cpu": "Xeon"})
    record(runs[0], resumed=[{"hardware": {"device": "cpu", "cpu": "EPYC"}}])
    (confound,) = confounds.differences([store.study("study")])
    assert confound.values == {"study": "Xeon and Xeon, then EPYC"}


def test_a_run_that_has_not_begun_differs_in_nothing(store: RunStore) -> None:
    a = study(store, "a")
    record(a.runs()[0], hardware={"device": "cpu", "cpu": "Xeon"})
    b = study(store, "b", state=RunState.QUEUED)
    factories.make_run(store, study="a", seed=1, state=RunState.QUEUED)
    assert confounds.differences([a, b]) == []


def test_a_study_without_runs_is_compared_by_its_recipe(store: RunStore) -> None:
    a, b = study(store, "a", epochs=6), study(store, "b", epochs=7)
    store.remove_run(b.runs()[0])
    found = confounds.differences([a, b])
    assert [(confound.name, dict(confound.values)) for confound in found] == [("epochs", {"a": "6", "b": "7"})]


def test_a_damaged_run_is_passed_over(store: RunStore) -> None:
    factories.make_study(store)
    write_json(store.study("study").runs()[0].path / "config.json", {"broken": True})
    assert confounds.differences([store.study("study")]) == []


@pytest.mark.parametrize("name", sorted(set(StudyConfig(name="a", dataset="b", encoders=("c",)).recipe.to_json())))
def test_every_field_of_the_recipe_has_a_title(name: str) -> None:
    confound = confounds.Confound(name, {}, "")
    assert confound.title and "_" not in confound.title


def test_backbones_pretrained_on_other_data_are_a_confound(store: RunStore) -> None:
    encoders = (factories.RESNET18, factories.LITE0, "convnext_tiny.fb_in22k_ft_in1k")
    factories.make_study(store, encoders=encoders)
    (found,) = confounds.differences([store.study("study")])
    assert (found.name, found.title, found.within) == ("pretraining", "data of the pretraining", "study")
    assert "(ImageNet-1k: 4 runs of ResNet-18, EfficientNet-Lite0; ImageNet-22k → ImageNet-1k: 2 runs of " in (
        found.sentence
    )


def test_an_unknown_pretraining_is_not_taken_for_the_same(store: RunStore) -> None:
    factories.make_study(store, encoders=(factories.RESNET18, "regnety_032.swag_ft_in1k"))
    (found,) = confounds.differences([store.study("study")])
    assert found.values == {"study": "ImageNet-1k and unknown (swag_ft_in1k)"}


def test_studies_pretrained_on_other_data_are_told_apart_and_scratch_has_none(store: RunStore) -> None:
    one, other = study(store, "one"), study(store, "other", encoder="convnext_tiny.fb_in22k_ft_in1k")
    scratch = study(store, "scratch", encoder="resnet18", weights="none")
    assert named(confounds.differences([one, other]), "pretraining").values == {
        "one": "ImageNet-1k",
        "other": "ImageNet-22k → ImageNet-1k",
    }
    assert "pretraining" not in {c.name for c in confounds.differences([one, scratch])}  # "start" says it
