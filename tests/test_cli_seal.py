"""`study open-test`: it asks, says what is written down, and prints validation and test scores side by side."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import replace

import pytest

from segcore.__main__ import main
from segcore.evaluation import seal
from segcore.evaluation.scoring import Scoring
from segcore.launch import scoring as process
from segcore.runs import Study
from segcore.store import RunStore
from tests import factories


class Terminal(io.StringIO):
    """A terminal on which the answer was typed already."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def study(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> Study:
    """Two backbones with two seeds; the process that would predict is replaced by one that makes scores up."""
    factories.make_study(store, dataset=factories.with_test())

    def score(study: Study) -> bool:
        runs = seal.to_score(study)
        for run in runs:
            factories.score_test(run)
        study.scoring.write(Scoring("finished", runs=len(runs), done=len(runs)))
        return bool(runs)

    monkeypatch.setattr(process, "start", score)
    return store.study("study")


def test_without_a_terminal_it_needs_yes(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", "open-test", "study"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "cannot be taken back" in printed.err and "Add --yes" in printed.err
    assert not seal.opened(study)


@pytest.mark.parametrize(("answer", "code", "opened"), [("n\n", 130, False), ("y\n", 0, True)])
def test_on_a_terminal_it_asks(
    study: Study,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
    code: int,
    opened: bool,
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    assert main(["study", "open-test", "study"]) == code
    said = capsys.readouterr().err
    assert "opens the test scores of 4 runs of study study on 2 images" in said
    assert "Written down for good: the time" in said
    assert seal.opened(study) is opened


def test_scores_stand_side_by_side(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", "open-test", "study", "--yes"]) == 0
    printed = capsys.readouterr()
    header = next(line for line in printed.out.splitlines() if line.startswith("backbone"))
    assert header.split() == ["backbone", "val", "mIoU", "test", "mIoU"]
    row = next(line for line in printed.out.splitlines() if line.startswith("ResNet-18"))
    assert row.count("(n = 2)") == 2
    assert "The choice was made on the validation images" in printed.out
    assert "Opened: 2 test images" in printed.err
    assert main(["study", "open-test", "study"]) == 0  # nothing is new, so nothing is asked
    assert len(seal.openings(study)) == 1


def test_json_holds_all_of_it(store: RunStore, study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", "open-test", "study", "--yes", "--json"]) == 0
    capsys.readouterr()
    factories.make_run(store, seed=2, dataset=factories.with_test())
    assert main(["study", "open-test", "study", "--yes", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["study"], found["state"], found["test_images"]) == ("study", "opened", 2)
    assert [opening["scored"] for opening in found["openings"]] == [0, 4]
    by_encoder = {row["label"]: row for row in found["contenders"]}
    assert by_encoder[factories.RESNET18]["test"]["seeds"] == [0, 1, 2]
    assert by_encoder[factories.LITE0]["val"]["n"] == 2
    assert len(found["verdicts"]) == 1
    assert found["late"] == {"resnet18.tv_in1k-seed2": "trained after the test scores were opened"}


def test_what_could_not_be_scored_is_said(
    study: Study, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(study: Study) -> bool:
        first, *others = seal.to_score(study)
        for run in others:
            factories.score_test(run)
        study.scoring.write(Scoring("finished", runs=4, done=4, refused={first.name: "its weights are missing"}))
        return True

    monkeypatch.setattr(process, "start", refuse)
    assert main(["study", "open-test", "study", "--yes"]) == 1
    assert "has no test scores: its weights are missing" in capsys.readouterr().err


def test_a_study_without_test_images(store: RunStore, capsys: pytest.CaptureFixture[str]) -> None:
    factories.make_run(store, study="without")
    assert main(["study", "open-test", "without", "--yes"]) == 2
    assert "has no test images" in capsys.readouterr().err
    assert main(["study", "open-test", "nowhere", "--yes"]) == 2


def test_scores_of_a_run_that_trained_on_are_left_out(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", "open-test", "study", "--yes"]) == 0
    run = study.runs()[0]
    evaluation = run.evaluation()
    assert evaluation is not None
    run.write_evaluation(replace(evaluation, epoch=9))
    capsys.readouterr()
    assert main(["study", "open-test", "study"]) == 2  # its new weights want an opening of their own
    assert "again cannot be taken back" in capsys.readouterr().err
