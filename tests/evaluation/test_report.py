"""The evidence report: one well-formed file that needs nothing beside it, says all and escapes what it says."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import typer

from segcore.__main__ import app
from segcore.config import ClassInfo
from segcore.evaluation import report, seal
from segcore.evaluation.report import rerun
from segcore.evaluation.report.evidence import METHOD
from segcore.evaluation.report.markup import Html, script_json, table, tag, text
from segcore.status import RunState
from segcore.store import RunStore
from segcore.workspace import Workspace
from tests import factories

VOID = {"meta", "img", "br", "hr", "link", "input"}
EVIL = "<script>alert('x')</script>&amp;"


class Reader(HTMLParser):
    """Reads a document; notes every attribute, the texts outside of scripts, and what is not closed."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.texts: list[str] = []
        self.feed(document)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("script", "style"):
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def read(store: RunStore, name: str, **options: Any) -> Reader:
    reader = Reader(report.html(store.study(name), store=store, **options))
    assert reader.wrong == [] and reader.open == []
    return reader


def headings(reader: Reader) -> set[str]:
    return {value for tag_, name, value in reader.attributes if (tag_, name) == ("section", "id")}


def test_report_of_a_study_says_all(store: RunStore) -> None:
    factories.make_study(store, "s", seeds=(0, 1, 2))
    reader = read(store, "s", margin=0.02)
    assert headings(reader) == {
        *("results", "verdicts", "costs", "classes", "curves", "previews", "confounds", "origin", "method", "rerun"),
    }
    said = reader.text
    assert "s: which backbone is best on tiny?" in said
    assert "Its mean validation mIoU is" in said
    assert "Margin of practical equivalence: 2 points." in said
    assert "0123456789abcdef" in said  # the files' fingerprint
    assert "python -m segcore study run s --dataset tiny" in said
    assert "Written by segcore 0.1.0" in said
    assert "Satterthwaite" in said and "Holm" in said


def test_one_seed_is_counted_and_its_intervals_are_called_what_they_are(store: RunStore) -> None:
    factories.make_contest(store, seeds=[7])
    said = read(store, "contest").text
    assert "over images alone" in said and "over seeds and images" not in said.replace(METHOD, "")
    row = re.search(r"cannot tell [+-][\d.]+ .*? (\d+) (\d+) 2 more seeds", said)
    assert row is not None and row.groups() == ("1", "40")  # how many seeds, not which


def test_report_loads_nothing(store: RunStore) -> None:
    factories.make_study(store, "s")
    document = report.html(store.study("s"), store=store)
    reader = Reader(document)
    loading = [value for _, name, value in reader.attributes if name in ("src", "href", "srcset", "data", "action")]
    assert loading and all(value.startswith(("#", "data:")) for value in loading)
    assert not re.search(r"@import|url\(", re.findall(r"<style>(.*?)</style>", document, re.DOTALL)[0])
    policy = next(value for tag_, name, value in reader.attributes if (tag_, name) == ("meta", "content"))
    assert policy.startswith("default-src 'none'") and "http" not in policy


def test_charts_are_there_and_are_json(store: RunStore) -> None:
    factories.make_study(store, "s")
    document = report.html(store.study("s"), store=store)
    (found,) = re.findall(r'<script type="application/json" id="charts">(.*?)</script>', document, re.DOTALL)
    charts = json.loads(found)
    places = [value for tag_, name, value in Reader(document).attributes if (tag_, name) == ("div", "id")]
    assert list(charts) == places and len(charts) >= 8
    assert all(chart["data"] for chart in charts.values())


def test_everything_is_escaped(store: RunStore) -> None:
    source = factories.fake_dataset()
    classes = (*source.config.classes[:-1], ClassInfo(name=EVIL, color=(1, 2, 3)))
    evil = replace(source, config=source.config.model_copy(update={"classes": classes}))
    factories.make_study(store, "s", dataset=evil)
    factories.make_run(store, study="s", seed=9, dataset=evil, state=RunState.FAILED, message=f"broken {EVIL}")
    document = report.html(store.study("s"), store=store)
    assert "<script>alert" not in document
    reader = Reader(document)
    assert reader.wrong == [] and reader.text.count(EVIL) >= 3


def test_study_without_a_finished_run_has_a_report_that_says_so(store: RunStore) -> None:
    factories.make_run(store, study="s", state=RunState.QUEUED)
    reader = read(store, "s")
    assert "No run of this study has finished yet, so there is no answer." in reader.text
    assert {"origin", "rerun", "left-out"} <= headings(reader)
    assert not {"verdicts", "classes", "previews"} & headings(reader)


def test_study_without_runs(store: RunStore) -> None:
    run = factories.make_run(store, study="s")
    store.remove_run(run)
    reader = read(store, "s")
    assert "no answer" in reader.text and "dataset add tiny" in reader.text


def test_one_seed_is_said(store: RunStore) -> None:
    factories.make_study(store, "s", seeds=(0,))
    assert "There is one seed each, which says nothing about other seeds" in read(store, "s").text


def test_one_backbone_has_nothing_to_be_compared_with(store: RunStore) -> None:
    factories.make_study(store, "s", encoders=(factories.RESNET18,))
    reader = read(store, "s")
    assert "ResNet-18 is the only backbone with a result" in reader.text
    assert "verdicts" not in headings(reader)


def test_failed_and_collapsed_runs_are_named(store: RunStore) -> None:
    factories.make_study(store, "s")
    factories.make_run(store, study="s", seed=7, state=RunState.FAILED)
    run = store.run("s", f"{factories.LITE0}-seed0")
    for record in run.epochs():
        run.append_epoch(replace(record, top_class=1, top_share=1.0, val_pixel_accuracy=0.45))
    said = read(store, "s").text
    assert "No score rests on these runs." in said and f"{factories.RESNET18}-seed7 failed" in said
    assert "The training loss is no number. Lower the learning rate." in said
    assert "1 run of EfficientNet-Lite0 answered one class everywhere: it has collapsed." in said


def test_previews_show_image_and_truth_where_the_dataset_is(
    store: RunStore, workspace: Workspace, tmp_path: Path
) -> None:
    dataset = factories.add_dataset(workspace, tmp_path / "source")
    factories.make_study(store, "s", dataset=dataset)
    factories.make_study(store, "gone")
    here, gone = read(store, "s"), read(store, "gone")
    pictures = [sum((tag_, name) == ("img", "src") for tag_, name, _ in r.attributes) for r in (here, gone)]
    assert pictures == [2 * 4, 2 * 2]  # two images: image, truth and two predictions; else these alone
    assert "mask (the truth)" in here.text and "not at hand any more" in gone.text


def test_commands_parse_and_ask_for_the_same_runs(store: RunStore) -> None:
    factories.make_study(store, "s", seeds=(0, 1), epochs=7, image_size=96)
    factories.make_run(store, study="s", encoder="resnet18", weights="none", seed=3, epochs=7, image_size=96)
    study = store.study("s")
    lines = rerun.commands(study, study.runs())
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    parsed = []
    for line in lines:
        words = shlex.split(line)[3:]
        command = commands[words[0]].commands[words[1]]
        parsed.append(command.make_context("segcore", words[2:]).params)
    dataset, pretrained, scratch = parsed
    assert (dataset["name"], dataset["ignore"], dataset["group_regex"]) == ("tiny", "unlabeled", factories.GROUP_REGEX)
    assert pretrained["backbones"] == f"{factories.RESNET18},{factories.LITE0}"
    assert (pretrained["seeds"], pretrained["epochs"], pretrained["image_size"]) == ("0,1", 7, 96)
    assert pretrained["batch_size"] == 4 and pretrained["geometry"] is None
    assert (scratch["backbones"], scratch["weights"], scratch["seeds"]) == ("resnet18", "none", "3")
    assert rerun.not_said(study.recipe) == []
    assert rerun.not_said(study.recipe.model_copy(update={"weight_decay": 0.5})) == ["weight decay 0.5"]


def test_runs_on_several_gpus_are_done_again_on_a_cluster(store: RunStore) -> None:
    run = factories.make_run(store, study="s")
    study = store.study("s")
    study.write_recipe(study.recipe.model_copy(update={"gpus_per_run": 2}))
    *_, line = rerun.commands(study, [run])
    assert "--gpus-per-run 2 --on ray" in line


def test_files_for_the_commands(store: RunStore) -> None:
    factories.make_run(store, study="s")
    study = store.study("s")
    assert rerun.classes_csv(study.dataset).splitlines()[:2] == ["name,r,g,b", "unlabeled,0,0,0"]
    assert json.loads(rerun.split_json(study)) == study.split.to_json()


def test_runs_that_differ_are_named(store: RunStore) -> None:
    runs = factories.make_study(store, "s")
    store.extend(runs[:1], 12)
    said = read(store, "s").text
    assert "Runs of study s differ in number of epochs" in said
    assert "Finished after 5 epochs, then trained on to 12" in said


def test_markup_escapes_all_but_markup() -> None:
    assert text("<b>") == "&lt;b&gt;" and text(Html("<b>")) == "<b>"
    assert tag("a", "x", href='"><', class_="c", title=None) == '<a href="&quot;&gt;&lt;" class="c">x</a>'
    assert "<td>&lt;i&gt;</td>" in table(("a", ">b"), [("<i>", 1)])
    assert '<td class="number">1</td>' in table(("a", ">b"), [("<i>", 1)])
    assert script_json({"a": "</script>"}) == '{"a": "\\u003c/script>"}'


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_browser_draws_every_chart_and_asks_the_network_for_nothing(
    store: RunStore, tmp_path: Path, browser: Any, scheme: str
) -> None:
    factories.make_study(store, "s")
    report.write(store.study("s"), tmp_path / "r.html", store=store)
    page = browser.new_page(viewport={"width": 800, "height": 900}, color_scheme=scheme)
    asked, errors = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.goto((tmp_path / "r.html").as_uri())
    page.wait_for_function("document.querySelectorAll('.chart .main-svg').length > 0")
    places, drawn = page.locator(".chart").count(), page.locator(".chart:has(.main-svg)").count()
    overflow = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    page.close()
    assert places == drawn and errors == [] and overflow <= 0
    assert [url for url in asked if not url.startswith(("data:", "blob:"))] == [(tmp_path / "r.html").as_uri()]


def test_test_scores_are_told_only_once_opened_and_with_the_record(store: RunStore) -> None:
    runs = factories.make_study(store, "s", dataset=factories.with_test())
    for run in runs:
        evaluation = run.evaluation()
        assert evaluation is not None
        run.write_evaluation(evaluation, "test")  # whatever stands in the files
    sealed = read(store, "s")
    assert "Sealed: nobody has looked at the" in sealed.text and "Test mIoU" not in sealed.text
    seal.open_test(store.study("s"))
    opened = read(store, "s").text
    assert "When they were opened, and what was known before" in opened
    assert "4 finished runs of 4 runs" in opened and "On the validation images was known: " in opened
    factories.make_run(store, study="s", seed=9, dataset=factories.with_test())
    late = read(store, "s").text
    assert f"{factories.RESNET18}-seed9: trained after the test scores were opened." in late
    assert "1 run finished or trained on since" in late
