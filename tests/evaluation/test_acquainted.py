"""Who else knows a study's test images: other studies, and those that were removed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from segcore.data.splits import Split
from segcore.errors import WorkspaceError
from segcore.evaluation import acquainted, seal
from segcore.runs import Recounted, Study
from segcore.status import RunState
from segcore.store import RunStore
from tests import factories

REMOVED = {"study": "study", "images": 2, "how": "removed"}


@pytest.fixture
def study(store: RunStore) -> Study:
    """Two backbones on a split with two test images."""
    return make(store)


def make(store: RunStore, name: str = "study") -> Study:
    factories.make_study(store, name, dataset=factories.with_test())
    return store.study(name)


def test_other_studies_that_met_the_images_are_named(store: RunStore, study: Study) -> None:
    source = factories.with_test()
    factories.make_run(store, study="same", dataset=source)
    seal.open_test(store.study("same"))
    train, val, test = source.split.train, source.split.val, source.split.test
    turned = replace(source, split=Split((*train, test[0]), (test[1],), val))
    factories.make_run(store, study="turned", dataset=turned)
    factories.make_run(store, study="other", dataset=factories.with_test("other"))
    opening = seal.open_test(study, store=store)
    assert sorted(opening.elsewhere, key=lambda row: (row["study"], row["how"])) == [
        {"study": "same", "images": 2, "how": "tested"},
        {"study": "turned", "images": 1, "how": "trained"},
        {"study": "turned", "images": 1, "how": "validated"},
    ]


def test_what_was_judged_again_is_known(store: RunStore, study: Study) -> None:
    """Before the study was there, nothing sealed its test images: networks of any dataset may have been judged on them.

    What a study has met in its own parts is told as that alone."""
    source = factories.with_test()
    train, val, test = source.split.train, source.split.val, source.split.test
    turned = replace(source, split=Split((*train, test[0]), val))
    same = factories.make_run(store, study="same", dataset=turned)
    other = factories.make_run(store, study="other", dataset=factories.with_test("other"))
    for run, dataset in ((same, "tiny"), (other, "tiny"), (other, "other")):
        names = list(test) if dataset == "tiny" else ["elsewhere"]
        found = Recounted(names, names, np.zeros((len(names), 3, 3), np.int64), {"dataset": dataset})
        run.write_reevaluation(f"{dataset}-all-0", found)
    damaged = other.reevaluation_path("damaged")
    damaged.write_bytes(b"no counts")
    assert sorted(acquainted.elsewhere(study, store), key=lambda row: (row["study"], row["how"])) == [
        {"study": "other", "images": 2, "how": "judged"},
        {"study": "same", "images": 1, "how": "judged"},
        {"study": "same", "images": 1, "how": "trained"},
    ]


def test_opened_tests_of_a_removed_study_stay_known_when_the_trash_is_emptied(store: RunStore, study: Study) -> None:
    opening = seal.open_test(study)
    store.remove_study(study)
    store.workspace.empty_trash()
    again = make(store)
    assert not seal.opened(again)  # these networks are judged anew, but not on images that nobody knows
    assert acquainted.elsewhere(again, store) == [REMOVED]
    assert seal.open_test(again, store=store).elsewhere == [REMOVED]
    assert acquainted.sentence(REMOVED) == (
        "Study study has 2 of them as test images that were opened, before it was removed."
    )
    (record,) = store.removed_tests()
    assert record["openings"][0]["time"] == opening.time  # nothing of what was written down is lost
    factories.make_run(store, study="unlike", dataset=factories.with_test("unlike"))
    assert acquainted.elsewhere(store.study("unlike"), store) == []


def test_a_study_that_was_never_opened_leaves_nothing(store: RunStore, study: Study) -> None:
    store.remove_study(study)
    assert store.removed_tests() == []
    assert acquainted.elsewhere(make(store), store) == []


def test_what_is_taken_back_from_the_trash_speaks_for_itself(store: RunStore, study: Study) -> None:
    other = make(store, "other")
    seal.open_test(study)
    store.remove_study(study).replace(study.path)
    assert acquainted.elsewhere(other, store) == [{"study": "study", "images": 2, "how": "tested"}]
    store.remove_study(study)
    assert acquainted.elsewhere(other, store) == [REMOVED]  # once


def test_damaged_records_are_not_taken_for_a_seal(store: RunStore, study: Study) -> None:
    seal.open_test(study)
    (study.path / "test_opened.json").write_text("{")
    store.remove_study(study)
    again = make(store)
    assert acquainted.elsewhere(again, store) == [REMOVED]
    (store.workspace.root / "opened_tests.json").write_text('{"removed": [{}]}')
    with pytest.raises(WorkspaceError, match=r"opened_tests\.json is damaged"):
        acquainted.elsewhere(again, store)


def test_a_study_without_its_split_can_be_removed(store: RunStore, study: Study) -> None:
    seal.open_test(study)
    (study.path / "split.json").unlink()
    store.remove_study(study)
    assert not study.exists() and store.removed_tests() == []


def test_a_study_that_trains_is_not_written_down(store: RunStore, study: Study) -> None:
    seal.open_test(study)
    factories.make_run(store, seed=9, state=RunState.RUNNING, dataset=factories.with_test())
    with pytest.raises(WorkspaceError, match="is training"):
        store.remove_study(study)
    assert store.removed_tests() == []
