"""Looking for label suspects: which images, what is written down, going on after a cancel, and real networks."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from segcore.data.readers import read_mask, read_square
from segcore.data.store import Dataset
from segcore.errors import ConfigError, SegcoreError, WeightsError
from segcore.evaluation.confusion import confusion_counts
from segcore.evaluation.ranking import shared_errors
from segcore.inference.predictor import Prediction, Predictor
from segcore.inference.suspects import KEPT, Search, one_of_each
from segcore.runs import Evaluation, Run, Study
from segcore.status import RunState
from segcore.store import RunStore
from tests import factories

PLANTED = slice(25, 37), slice(24, 40)
"""Within one band of the generated masks."""

Networks = Callable[[Run], Callable[[np.ndarray], Prediction]]


@pytest.fixture
def dataset(store: RunStore, tmp_path: Path) -> Dataset:
    return factories.add_dataset(store.workspace, tmp_path / "source", scenes=8)


@pytest.fixture
def runs(store: RunStore, dataset: Dataset) -> list[Run]:
    found = [factories.make_run(store, dataset=dataset, encoder=factories.LITE0, seed=seed) for seed in (0, 1)]
    for run in found:
        run.best_weights.write_bytes(b"weights")
    return found


@pytest.fixture
def asked() -> list[str]:
    """Runs whose networks predicted, in the order in which they did."""
    return []


@pytest.fixture
def network(runs: list[Run], dataset: Dataset, asked: list[str]) -> Networks:
    """Networks that know every mask by heart, but say the next class in one place of the image that comes first."""
    first = sorted(runs[0].split.val)[0]
    known = {}
    for pair in dataset.pairs:
        labels, _ = read_mask(pair.mask, dataset.table)
        labels[labels == 255] = 0
        if pair.name == first:
            labels[PLANTED] = (labels[PLANTED] + 1) % 3
        known[read_square(pair.image, 64).tobytes()] = labels

    def load(run: Run) -> Callable[[np.ndarray], Prediction]:
        def predict(image: np.ndarray) -> Prediction:
            asked.append(run.name)
            labels = known[image.tobytes()]
            return Prediction(labels, np.full(labels.shape, 0.9 - 0.2 * run.config.seed, np.float32))

        return predict

    return load


def test_what_both_say_against_the_mask_is_found(runs: list[Run], dataset: Dataset, network: Networks) -> None:
    search = Search(tuple(runs), dataset)
    assert search.images == tuple(sorted(runs[0].split.val)) and len(search.images) > 2
    assert search.found() == {}
    told: list[tuple[int, int]] = []
    assert search.go_on(lambda done, total: told.append((done, total)), network) == []
    assert told == [(done, len(search.images)) for done in range(len(search.images) + 1)]
    found = search.found()
    assert list(found) == list(search.images)
    places = found[search.images[0]]
    truth, _ = read_mask(dataset.pair(search.images[0]).mask, dataset.table)
    (true,) = np.unique(truth[PLANTED]).tolist()
    (place,) = places
    assert (place.true, place.taken, place.pixels) == (true, (true + 1) % 3, 12 * 16)
    assert place.box == (24 / 64, 25 / 64, 40 / 64, 37 / 64)
    assert place.confidence == pytest.approx(0.7)
    assert not any(found[name] for name in search.images[1:])


def test_a_cancelled_search_goes_on_where_it_ended(
    runs: list[Run], dataset: Dataset, network: Networks, asked: list[str]
) -> None:
    search = Search(tuple(runs), dataset)

    class Cancelled(Exception):
        pass

    def cancel(done: int, _total: int) -> None:
        if done == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        search.go_on(cancel, network)
    assert len(search.found()) == 2 and len(asked) == 4
    with open(search.path, "a") as file:
        file.write('{"image": "' + search.images[2])  # torn by a kill
    search.go_on(network=network)
    assert len(asked) == 2 * len(search.images)
    again = Search(tuple(reversed(runs)), dataset)
    assert list(again.found()) == list(search.images)
    again.go_on(network=network)
    assert len(asked) == 2 * len(search.images), "all of it was there"


def test_of_many_searches_the_last_ones_are_kept(runs: list[Run], dataset: Dataset, network: Networks) -> None:
    study, mine = Study(runs[0].path.parent), Search(tuple(runs), dataset)
    for age in range(1, KEPT + 2):
        path = study.suspects_path(f"of-{age}")
        path.write_text("{}\n")
        os.utime(path, (-age, -age))
    mine.go_on(network=network)
    kept = {study.suspects_path(f"of-{age}") for age in range(1, KEPT)}
    assert set(study.path.glob("suspects-*")) == {mine.path, *kept}


def test_one_of_each_backbone_and_of_the_same_seed(store: RunStore, dataset: Dataset, runs: list[Run]) -> None:
    others = [factories.make_run(store, dataset=dataset, encoder=factories.RESNET18, seed=seed) for seed in (1, 0)]
    factories.make_run(store, dataset=dataset, encoder="mobilenetv3_small_050.lamb_in1k", state=RunState.FAILED, done=0)
    every = [*runs, *others]
    assert one_of_each(every) == [runs[0], others[1]]
    assert one_of_each(every, [runs[1]]) == [runs[1], others[0]]
    assert one_of_each(every, runs) == [*runs, others[1]]


def test_other_weights_begin_anew(runs: list[Run], dataset: Dataset, network: Networks) -> None:
    search = Search(tuple(runs), dataset)
    search.go_on(network=network)
    os.utime(runs[1].best_weights, (1, 1))
    assert Search(tuple(runs), dataset).found() == {}
    assert Study(runs[0].path.parent).runs() == runs, "what is kept beside the runs is no run"


def test_an_unreadable_image_is_named_and_the_others_are_done(
    runs: list[Run], dataset: Dataset, network: Networks
) -> None:
    search = Search(tuple(runs), dataset)
    gone = dataset.pair(search.images[1]).image
    gone.rename(gone.with_suffix(".away"))
    (error,) = search.go_on(network=network)
    assert gone.name in str(error)
    assert list(search.found()) == [name for name in search.images if name != search.images[1]]
    gone.with_suffix(".away").rename(gone)
    assert search.go_on(network=network) == []
    assert list(search.found()) == list(search.images)


def test_one_network_or_one_without_weights_is_refused(store: RunStore, runs: list[Run], dataset: Dataset) -> None:
    with pytest.raises(ConfigError, match="two of them"):
        Search((runs[0], runs[0]), dataset)
    other = factories.make_run(store, study="other", dataset=dataset, encoder=factories.LITE0)
    with pytest.raises(ConfigError, match="different studies"):
        Search((runs[0], other), dataset)
    runs[1].best_weights.unlink()
    with pytest.raises(WeightsError, match="no weights"):
        Search(tuple(runs), dataset).found()


def test_images_of_several_folds_were_learnt_from_by_one_of_them(store: RunStore, dataset: Dataset) -> None:
    runs = factories.make_fold_study(store, encoders=[factories.RESNET18])
    assert not Search(tuple(runs), dataset).images


@pytest.mark.parametrize("geometry", ["resize", "crop"])
def test_real_networks_keep_within_what_counts_allow(geometry: str, store: RunStore, dataset: Dataset) -> None:
    runs = []
    for seed in (0, 1):
        run = factories.make_run(store, dataset=dataset, encoder=factories.LITE0, seed=seed, with_weights=seed == 0)
        if runs:
            shutil.copy(runs[0].best_weights, run.best_weights)
        config = run.config
        run.write_config(config.model_copy(update={"recipe": config.recipe.model_copy(update={"geometry": geometry})}))
        runs.append(run)
    search = Search(tuple(runs), dataset)
    assert search.go_on() == []
    evaluations = []
    for run in runs:
        predictor, counts = Predictor.from_run(run.path), []
        for name in search.images:
            pair = dataset.pair(name)
            truth, _ = read_mask(pair.mask, dataset.table)
            counts.append(confusion_counts(predictor.predict(read_square(pair.image, 64)).labels, truth, 3))
        evaluations.append(Evaluation(list(search.images), list(search.images), np.stack(counts), 1))
    bounds = {error.image: error for error in shared_errors(evaluations)}
    places = search.found()
    assert any(places.values()), "random networks that are the same agree on something wrong"
    for name, found in places.items():
        pair = (bounds[name].true, bounds[name].taken) if name in bounds else None
        assert sum(place.pixels for place in found if (place.true, place.taken) == pair) <= bounds[name].at_most


def test_damaged_weights_end_the_search(runs: list[Run], dataset: Dataset) -> None:
    with pytest.raises(SegcoreError):
        Search(tuple(runs), dataset).go_on()
