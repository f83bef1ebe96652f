"""Judging a trained run again: the counts that it has, other classes, what it has met, the seal, the process."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segcore import reevaluate
from segcore.config import ClassInfo
from segcore.data.store import Dataset, DatasetStore
from segcore.errors import ConfigError, NotFoundError, SealError, SplitError, WorkspaceError
from segcore.evaluation import reevaluation, seal
from segcore.evaluation.classmap import match
from segcore.evaluation.metrics import scores
from segcore.evaluation.reevaluating import Reevaluating
from segcore.files import write_json
from segcore.inference import reevaluation as inference
from segcore.inference import scoring
from segcore.inference.predictor import Predictor
from segcore.inherited import inheritable
from segcore.launch import reevaluation as launch
from segcore.runs import Run
from segcore.status import OTHER_WORKER, RunState
from segcore.store import RunStore
from segcore.workspace import Workspace
from tests import factories


@pytest.fixture
def home(trained: Callable[[str], Path], tmp_path: Path) -> Path:
    """A workspace with a study of two seeds: 4 images to train, 2 to validate, 2 to test, which are sealed."""
    shutil.copytree(trained("resize"), tmp_path / "home")
    return tmp_path / "home"


@pytest.fixture
def run(home: Path) -> Run:
    return RunStore(Workspace(home)).study("s").runs()[0]


OTHERS = (
    ClassInfo(name="Roof", color=(1, 1, 1)),
    ClassInfo(name="void", color=(0, 0, 0), ignore=True),
    ClassInfo(name="PAVED AREA", color=(2, 2, 2)),
    ClassInfo(name="lawn", color=(3, 3, 3)),
    ClassInfo(name="water", color=(4, 4, 4)),
    ClassInfo(name="sand", color=(5, 5, 5)),
)


@pytest.fixture
def other(home: Path, tmp_path: Path) -> Dataset:
    """Another dataset with two classes more, in another order, and images never met; with test images of its own."""
    config = factories.write_dataset(tmp_path / "other", name="other", classes=OTHERS, seed=5)
    return DatasetStore(Workspace(home)).add(config, val=0.25, test=0.25)


@pytest.mark.parametrize("geometry", ["resize", "crop"])
def test_on_its_own_validation_images_a_run_gets_the_counts_it_has(
    trained: Callable[[str], Path], tmp_path: Path, geometry: str
) -> None:
    """Bit for bit, and the same scores."""
    shutil.copytree(trained(geometry), tmp_path / "home")
    for run in RunStore(Workspace(tmp_path / "home")).study("s").runs():
        result, own = reevaluate(run), run.evaluation()
        assert own is not None
        np.testing.assert_array_equal(result.counts, own.counts)
        assert (result.names, result.groups, result.epoch) == (own.names, own.groups, own.epoch)
        assert result.scores.miou == scores(own.counts).miou
        assert (result.classes.unanswered, result.classes.unasked, result.left_out) == ((), (), 0)
        assert result.own_split and result.met.trained == () and result.met.validated == tuple(own.names)


def test_what_was_trained_on_is_said(run: Run) -> None:
    with pytest.raises(SealError, match="study open-test s"):
        reevaluate(run, part="all")
    result = reevaluate(run, part="train")
    assert result.met.trained == run.split.train
    assert reevaluation.acquaintance(result.met, len(result.names)) == "4 of 4 images were trained on"


def test_other_classes_in_another_order(run: Run, other: Dataset) -> None:
    """Held against the network's own predictions, one by one."""
    result = reevaluate(run, "other", "train", {"grass": "lawn"})
    assert result.classes.to == (1, 2, 0)  # paved-area, grass, roof
    assert result.classes.unanswered == ("water", "sand")
    assert result.met.trained == result.met.validated == () and not result.own_split
    assert other.split is not None and result.names == list(other.split.train)
    predictor, size = Predictor.from_run(run.path), run.config.recipe.image_size
    wanted = np.zeros_like(result.counts)
    for at, name in enumerate(result.names):
        image, truth = other.read(name)
        assert image.shape[0] == 2 * size
        shrunk = np.asarray(Image.fromarray(image).reduce(2))
        answer, true = predictor.predict(shrunk).labels, truth[1::2, 1::2]
        np.add.at(wanted[at], (true[true < 255], answer[true < 255]), 1)
    assert wanted.sum() == result.counts.sum()
    assert np.abs(wanted - result.counts).sum() <= 0.01 * wanted.sum()  # reducing rounds otherwise
    kept = result.classes.common_counts(result.counts)
    assert kept.sum() == result.counts[:, [0, 1, 2]].sum() < result.counts.sum()
    assert result.left_out == pytest.approx(1 - kept.sum() / result.counts.sum())


def test_fewer_classes_than_the_network_has(run: Run, home: Path, tmp_path: Path) -> None:
    config = factories.write_dataset(tmp_path / "few", name="few", classes=OTHERS[:3], seed=6)
    DatasetStore(Workspace(home)).add(config)
    result = reevaluate(run, "few", "all")
    assert result.counts.shape == (8, 2, 3)
    assert result.classes.unasked == ("grass",)
    assert len(result.names) == 8
    foreign = result.counts[:, :, 1].sum()
    assert result.classes.common_counts(result.counts)[:, :, -1].sum() == foreign


def test_nothing_in_common(run: Run, home: Path, tmp_path: Path) -> None:
    strangers = tuple(ClassInfo(name=f"x{at}", color=(at, 0, 0)) for at in range(3))
    config = factories.write_dataset(tmp_path / "strange", name="strange", classes=strangers)
    DatasetStore(Workspace(home)).add(config)
    with pytest.raises(ConfigError, match="no class in common"):
        reevaluate(run, "strange")
    assert run.reevaluation_names() == []


# What the network has met ------------------------------------------------------------------------------


def copy_of(run: Run, names: tuple[str, ...], folder: Path, home: Path) -> Dataset:
    """Add a dataset that has images of the run's own under other names, and a new one of the same file size."""
    config = factories.write_dataset(folder, name="copies", seed=9)
    mine = DatasetStore(Workspace(home)).get("tiny")
    for number, name in enumerate(names):
        target = config.images / f"scene{number:02d}_frame0.png"
        shutil.copyfile(mine.pair(name).image, target)
    size = mine.pair(names[0]).image.stat().st_size
    alike = config.images / "scene03_frame1.png"
    with open(alike, "ab") as file:  # PNG readers pass over what stands behind the end
        file.write(b"x" * max(0, size - alike.stat().st_size))
    return DatasetStore(Workspace(home)).add(config, val=0.25)


def test_images_are_known_again_in_another_dataset(run: Run, home: Path, tmp_path: Path) -> None:
    """Under other names and with other masks."""
    learnt = run.split.train[0]
    copy_of(run, (learnt, run.split.val[0]), tmp_path / "copies", home)
    result = reevaluate(run, "copies", "all")
    assert result.met.trained == ("scene00_frame0",)
    assert result.met.validated == ("scene01_frame0",)
    assert reevaluation.acquaintance(result.met, 8) == (
        "1 of 8 images was trained on; 1 of 8 images was used to choose the best epoch"
    )


def test_without_its_own_dataset_nobody_can_tell(run: Run, home: Path, other: Dataset) -> None:
    DatasetStore(Workspace(home)).remove("tiny")
    result = reevaluate(run, "other")
    assert result.met.trained == () and "is not here any more" in result.met.unknown
    assert "is not here any more" in reevaluation.read(run, result.key).met.unknown


# The seal ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["test", "all"])
def test_the_seal_is_not_gone_round(run: Run, part: reevaluation.Judged) -> None:
    with pytest.raises(SealError, match="study open-test s"):
        reevaluate(run, part=part)
    assert run.reevaluation_names() == []
    seal.open_test(RunStore(Workspace(run.path.parents[2])).study("s"))
    result = reevaluate(run, part=part)
    assert set(run.split.test) <= set(result.names)
    if part == "test":
        scored = scoring.evaluate(run, "test")
        np.testing.assert_array_equal(result.counts, scored.counts)


def test_not_by_copies_of_the_sealed_images_either(run: Run, home: Path, tmp_path: Path) -> None:
    copy_of(run, run.split.test[:1], tmp_path / "copies", home)
    with pytest.raises(SealError, match="study open-test s"):
        reevaluate(run, "copies", "all")


def test_nor_those_of_another_study(run: Run, home: Path, other: Dataset) -> None:
    """Which stay sealed as long as nobody has opened that study."""
    reevaluate(run, "other", "test")  # no study keeps them sealed yet
    store = RunStore(Workspace(home))
    factories.make_run(store, study="second", dataset=other)
    with pytest.raises(SealError, match=r"test images of study 'second'.*study open-test second"):
        reevaluate(run, "other", "test")
    reevaluate(run, "other", "val")
    seal.open_test(store.study("second"))
    reevaluate(run, "other", "test")


# Kept beside the run -----------------------------------------------------------------------------------


def test_it_is_kept_and_read_again(run: Run) -> None:
    result = reevaluate(run)
    again = reevaluation.read(run, result.key)
    assert again.scores.miou == result.scores.miou
    np.testing.assert_array_equal(again.counts, result.counts)
    for name in ("dataset", "part", "split", "epoch", "time", "version", "commit", "classes", "table", "met", "names"):
        assert getattr(again, name) == getattr(result, name), name
    assert reevaluate(run).key == result.key and run.reevaluation_names() == [result.key]  # in its place
    assert reevaluate(run, mapping={"grass": None}).key != result.key
    (newest, oldest), damaged = reevaluation.read_all(run)
    assert newest.time > oldest.time and not damaged


def test_a_damaged_result_is_named_and_the_others_are_read(run: Run) -> None:
    whole, broken = reevaluate(run), reevaluate(run, part="train")
    path = run.reevaluation_path(broken.key)
    path.write_bytes(path.read_bytes()[:-200])
    (found,), (error,) = reevaluation.read_all(run)
    assert found.key == whole.key and "is damaged" in str(error)
    path.unlink()
    value = run.reevaluation(whole.key)
    del value.about["classes"]
    run.write_reevaluation(broken.key, value)
    with pytest.raises(WorkspaceError, match="is not understood"):
        reevaluation.read(run, broken.key)


def test_removing_moves_it_to_the_trash(run: Run, home: Path) -> None:
    result = reevaluate(run)
    reevaluation.remove(run, result.key)
    assert run.reevaluation_names() == []
    assert len(list((home / ".trash").rglob("*.npz"))) == 1
    with pytest.raises(NotFoundError, match="there are: none"):
        reevaluation.remove(run, result.key)
    with pytest.raises(NotFoundError):
        reevaluation.read(run, result.key)


def test_what_no_longer_holds_is_said(run: Run, home: Path, other: Dataset) -> None:
    result, whole = reevaluate(run, "other"), reevaluate(run, "other", "train")
    assert reevaluation.outdated(run, result) == reevaluation.outdated(run, whole) == []
    assert other.split is not None
    other.make_split(val=0.5, seed=1)
    assert reevaluation.outdated(run, result) == ["dataset other was divided anew since"]
    other.set_split(type(other.split)(*(getattr(other.split, part) for part in ("train", "val"))))
    image = other.pairs[0].image
    image.write_bytes(image.read_bytes() + b"more")
    assert reevaluation.outdated(run, result) == ["dataset other has changed since"]
    DatasetStore(Workspace(home)).remove("other")
    assert reevaluation.outdated(run, result) == ["dataset other is not here any more"]
    own, evaluation = reevaluate(run), run.evaluation()
    assert evaluation is not None and reevaluation.outdated(run, own) == []
    run.write_evaluation(type(evaluation)(evaluation.names, evaluation.groups, evaluation.counts, 7))
    assert reevaluation.outdated(run, own) == ["it is of the weights of epoch 1, and the run has others now"]


def test_parts_that_are_not_there(run: Run, other: Dataset, home: Path) -> None:
    with pytest.raises(ConfigError, match="there are train, val, test, all"):
        reevaluate(run, part="every")  # type: ignore[arg-type]
    with pytest.raises(NotFoundError, match="no dataset 'nowhere'"):
        reevaluate(run, "nowhere")
    (other.path / "split.json").unlink()
    with pytest.raises(SplitError, match="--part all"):
        reevaluate(run, "other")
    assert len(reevaluate(run, "other", "all").names) == 8


def test_a_run_that_trains_is_left_alone(run: Run) -> None:
    factories.set_state(run, RunState.RUNNING, done=1)
    with pytest.raises(WorkspaceError, match="trains just now"):
        reevaluate(run)


# The process -------------------------------------------------------------------------------------------


def wait(run: Run) -> Reevaluating:
    deadline = time.monotonic() + 120
    while run.reevaluating.running():
        assert time.monotonic() < deadline, run.reevaluating.log.read_text()
        time.sleep(0.1)
    said = run.reevaluating.read(Reevaluating)
    assert said is not None
    return said


def test_the_detached_process_judges_and_can_be_watched(run: Run, other: Dataset) -> None:
    assert run.reevaluating.read(Reevaluating) is None
    assert launch.start(run, "other", "val", {"grass": "lawn"})
    assert run.reevaluating.running()
    assert not launch.start(run, "other", "val", {})  # one at a time
    said = wait(run)
    assert said.state == "finished", run.reevaluating.log.read_text()
    assert said.pid != os.getpid() and said.images == 2
    result = reevaluation.read(run, said.key)
    assert result.classes == match([c.name for c in run.config.dataset.trained_classes], [
        info.name for info in OTHERS if not info.ignore], {"grass": "lawn"})  # fmt: skip


def test_what_cannot_be_judged_is_said_by_the_process(run: Run) -> None:
    wish = json.dumps({"dataset": "tiny", "part": "test", "given": {}})
    assert inference.main([str(run.path), wish]) == 1
    said = run.reevaluating.read(Reevaluating)
    assert said is not None and said.state == "failed" and "study open-test s" in said.message
    run.best_weights.unlink()
    assert inference.main([str(run.path), wish.replace("test", "val")]) == 1
    said = run.reevaluating.read(Reevaluating)
    assert said is not None and "is missing" in said.message


def test_cancelling_leaves_nothing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    network = inference.Network.of

    def stop_first(run: Run, device: object) -> object:
        run.reevaluating.ask_to_stop()
        return network(run, device)  # type: ignore[arg-type]

    monkeypatch.setattr(inference.Network, "of", stop_first)
    assert inference.main([str(run.path), json.dumps({"dataset": "tiny", "part": "val", "given": {}})]) == 0
    said = run.reevaluating.read(Reevaluating)
    assert said is not None and said.state == "cancelled"
    assert run.reevaluation_names() == [] and not run.reevaluating.asked_to_stop()


def test_only_one_process_is_at_it(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    run.make_reevaluations()
    with inheritable(run.reevaluating.lock):
        assert (
            inference.main([str(run.path), json.dumps({"dataset": "tiny", "part": "val", "given": {}})]) == OTHER_WORKER
        )
        assert not launch.start(run, "tiny", "val", {})
    assert "Another process judges" in capfd.readouterr().err


def test_a_process_that_died_is_told_from_one_that_works(run: Run) -> None:
    run.make_reevaluations()
    write_json(
        run.reevaluating.said,
        {"state": "running", "dataset": "d", "part": "val", "host": "gone", "pid": 1, "heartbeat": 1.0},
    )
    said = run.reevaluating.read(Reevaluating)
    assert said is not None and said.state == "interrupted"


def test_a_run_that_is_removed_meanwhile_is_not_made_anew(
    run: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare = inference.prepare

    def remove(*arguments: object, **options: object) -> object:
        shutil.move(run.path, home / "away")
        return prepare(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(inference, "prepare", remove)
    assert inference.main([str(run.path), json.dumps({"dataset": "tiny", "part": "val", "given": {}})]) == 0
    assert not run.path.exists()


def test_usage_share_and_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    assert inference.main([]) == 2
    assert "usage" in capsys.readouterr().err
    said = Reevaluating("running", "d", "val", image=1, images=4, predicting=100.0, heartbeat=110.0)
    assert (said.share, said.seconds_left) == (0.25, pytest.approx(30.0))
    assert Reevaluating("running", "d", "val", images=4).seconds_left is None
