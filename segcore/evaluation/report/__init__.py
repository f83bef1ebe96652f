"""The evidence report: all that is known of a study in one HTML file that needs nothing beside it.

It holds the answer, every verdict with its numbers, every chart, previews of predictions, what else could explain a
difference, what was left out, the data, recipe and machine, and the commands that do it again. Nothing here imports
torch.
"""

from __future__ import annotations

from pathlib import Path

from segcore.errors import ConfigError
from segcore.evaluation.findings import Findings, gather
from segcore.evaluation.report import classes, evidence, pictures, results, tested
from segcore.evaluation.report.markup import paragraph, tag
from segcore.evaluation.report.page import Page
from segcore.evaluation.report.tables import tables
from segcore.evaluation.verdicts import MARGIN
from segcore.files import atomic_path, describe_os_error
from segcore.progress import Progress, silent
from segcore.runs import Study
from segcore.store import RunStore
from segcore.workspace import Workspace

__all__ = ["html", "write"]


def html(study: Study, *, store: RunStore | None = None, margin: float = MARGIN, progress: Progress = silent) -> str:
    """Return the report of a study as one HTML document, about 5 MB; a study without results has one, too.

    Args:
        study: what it is about.
        store: where its dataset is looked for, for the previews; by default the workspace in use.
        margin: of practical equivalence, as a share: 0.01 is one point.
        progress: told how many of its parts are done.

    Raises:
        ConfigError: a margin that is not between 0 and 1.
        WorkspaceError: the study is damaged.
    """
    return _page(gather([study], margin=margin), store.workspace if store else Workspace(), progress)


def write(
    study: Study,
    out: Path,
    *,
    store: RunStore | None = None,
    margin: float = MARGIN,
    folder: Path | None = None,
    progress: Progress = silent,
) -> list[Path]:
    """Write the report of a study to `out`, and its tables as CSV into `folder`; return the paths of the tables.

    Raises:
        ConfigError: `out` is a folder, `folder` a file, or the margin is not between 0 and 1.
        WorkspaceError: the study is damaged, or the files cannot be written.
    """
    if out.is_dir():
        raise ConfigError(f"{out} is a folder; give the name of a file, such as {out / 'report.html'}.", field="out")
    if folder is not None and folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file; give a folder for the tables.", field="csv")
    findings = gather([study], margin=margin)
    written = {out: _page(findings, store.workspace if store else Workspace(), progress)}
    if folder is not None:
        written |= {folder / name: text for name, text in tables(findings).items()}
    for path, text in written.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise describe_os_error(error, path.parent) from error
        with atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return [path for path in written if path != out]


def _page(findings: Findings, workspace: Workspace, progress: Progress) -> str:
    study = findings.studies[0]
    page = Page(f"{study.name}: which backbone is best on {study.dataset.name}?")
    parts = (
        lambda: results.add_contenders(page, findings),
        lambda: results.add_verdicts(page, findings),
        lambda: results.add_costs(page, findings),
        lambda: classes.add_classes(page, findings),
        lambda: classes.add_sizes(page, findings),
        lambda: classes.add_curves(page, findings),
        lambda: pictures.add_previews(page, findings, workspace),
        lambda: tested.add_test(page, findings),
        lambda: evidence.add_doubts(page, findings),
        lambda: evidence.add_origin(page, findings),
        lambda: evidence.add_method(page, findings),
    )
    for done, add in enumerate(parts):
        progress(done, len(parts))
        add()
    progress(len(parts), len(parts))
    head = (
        paragraph("Evidence report of one study: every number with how far it can be trusted.", class_="soft"),
        tag("div", *results.answer_texts(findings), class_="answer"),
    )
    return page.html(head, (evidence.footer(),))
