"""Who may import whom, read from the source, and what the light half of the package must not load."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
HEAVY = ("torch", "torchvision", "timm", "segmentation_models_pytorch", "albumentations", "mlflow", "ray")
"""Packages that take seconds to import."""

# `data` needs no network to describe images, except where batches for training are made.
TRAINING_DATA = ("segcore.data.loaders", "segcore.data.augment")
# Reading results, drawing figures and talking to the queue work without networks.
LIGHT = (
    *("segcore.evaluation", "segcore.figures", "segcore.data", "segcore.launch", "segcore.tracking"),
    *("segcore.cli", "segcore.ui"),
)
LIGHT_PAGES = ("overview", "dataset", "training", "charts")
# Names of files in a run's directory; all but runs.py must ask a `Run` for them.
RUN_FILES = {
    "status.json",
    "request.json",
    "provenance.json",
    "metrics.jsonl",
    "steps.jsonl",
    "evaluation.npz",
    "best.safetensors",
    "study.json",
    "race.json",
    "test_opened.json",
    "test_scoring.json",
    "mirror.json",
}


@cache
def modules() -> dict[str, Path]:
    """Every module of the project by its dotted name; pages and the entry script as pages.NAME."""
    found = {}
    for path in (ROOT / "segcore").rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    for path in (ROOT / "pages").glob("*.py"):
        found[f"pages.{path.stem}"] = path
    found["pages.streamlit_app"] = ROOT / "streamlit_app.py"
    return found


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(modules()[module].read_text(encoding="utf-8"))


def imported(node: ast.AST) -> Iterator[str]:
    """Names of all modules that the statements below `node` import; `from a import b` gives a and a.b."""
    for statement in ast.walk(node):
        if isinstance(statement, ast.Import):
            yield from (alias.name for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom):
            assert statement.level == 0, "relative imports hide what depends on what"
            yield statement.module or ""
            yield from (f"{statement.module}.{alias.name}" for alias in statement.names)


def is_type_checking(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def imports(module: str) -> set[str]:
    """Everything a module imports at run time, anywhere in it."""
    skipped = {id(child) for node in tree(module).body if is_type_checking(node) for child in ast.walk(node)}
    return {name for node in tree(module).body if id(node) not in skipped for name in imported(node)}


def imports_on_load(module: str) -> set[str]:
    """What a module imports as soon as it is imported itself: statements outside of functions."""
    pending: list[ast.AST] = [node for node in tree(module).body if not is_type_checking(node)]
    found: set[str] = set()
    while pending:
        node = pending.pop()
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            found.update(imported(node))
        elif not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            pending.extend(ast.iter_child_nodes(node))
    return found


def is_in(module: str, *packages: str) -> bool:
    """Whether a module is one of `packages` or lies in one."""
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def loaded_with(module: str) -> dict[str, str]:
    """Every module that importing `module` loads, mapped to the one that asks for it."""
    found, pending = {module: ""}, [module]
    while pending:
        asking = pending.pop()
        for name in imports_on_load(asking):
            if name not in found:
                found[name] = asking
                if name in modules():
                    pending.append(name)
    return found


def names_in(*packages: str) -> list[str]:
    return sorted(name for name in modules() if is_in(name, *packages))


def test_there_is_something_to_check() -> None:
    assert {"segcore", "segcore.config", "segcore.data.splits", "pages.streamlit_app"} <= set(modules())
    assert is_in("segcore.data.store", "segcore.data") and not is_in("segcore.database", "segcore.data")
    assert "segcore.data.store" in loaded_with("segcore.launch.plan")


@pytest.mark.parametrize("module", names_in("segcore"))
def test_only_ui_knows_streamlit_and_nothing_below_knows_ui(module: str) -> None:
    if not is_in(module, "segcore.ui"):
        assert not [name for name in imports(module) if is_in(name, "streamlit", "segcore.ui", "pages")]


@pytest.mark.parametrize("module", names_in("segcore"))
def test_only_the_entry_knows_the_command_line(module: str) -> None:
    if not is_in(module, "segcore.cli", "segcore.__main__"):
        assert not [name for name in imports(module) if is_in(name, "segcore.cli", "segcore.__main__", "typer", "rich")]


@pytest.mark.parametrize(
    ("module", "allowed"),
    [
        ("segcore.errors", set()),
        ("segcore.frozen", {"segcore.errors"}),
        ("segcore.decisions", {"segcore.errors", "segcore.frozen"}),
        ("segcore.config", {"segcore.errors", "segcore.frozen", "segcore.decisions"}),
        ("segcore.text", set()),
    ],
)
def test_the_ground_floor_stands_on_nothing(module: str, allowed: set[str]) -> None:
    ours = {name for name in imports(module) if is_in(name, "segcore") and name in modules()}
    assert ours <= allowed


@pytest.mark.parametrize(
    ("package", "others"),
    [
        ("segcore.data", ("segcore.models", "segcore.training", "segcore.inference", "segcore.launch")),
        ("segcore.models", ("segcore.data", "segcore.training", "segcore.inference", "segcore.launch", "segcore.runs")),
        ("segcore.evaluation", ("segcore.training", "segcore.inference", "segcore.launch")),
        ("segcore.figures", ("segcore.training", "segcore.inference", "segcore.launch")),
        # Validation predicts in the same windows as prediction does.
        ("segcore.training", ("segcore.launch", "segcore.inference.predictor", "segcore.figures")),
        ("segcore.inference", ("segcore.launch", "segcore.figures")),
    ],
)
def test_packages_keep_to_their_floor(package: str, others: tuple[str, ...]) -> None:
    assert names_in(package), f"{package} is gone"
    crossings = [(m, name) for m in names_in(package) for name in imports(m) if is_in(name, *others)]
    assert not crossings


def test_the_loop_gets_model_and_loaders_handed_in() -> None:
    """It may name their types, but neither builds networks nor touches datasets, runs or files."""
    names = imports("segcore.training.loop")
    makers = ("segcore.models.build.build", "segcore.data.loaders.build_loaders", "segcore.data.store", "segcore.runs")
    assert not [name for name in names if is_in(name, *makers, "segcore.store", "segcore.files", "segcore.workspace")]


@pytest.mark.parametrize("module", names_in("segcore.evaluation", "segcore.figures"))
def test_stored_results_need_no_networks_at_all(module: str) -> None:
    assert not [name for name in imports(module) if is_in(name, *HEAVY)]


@pytest.mark.parametrize("module", names_in("segcore.data"))
def test_describing_images_needs_no_networks_at_all(module: str) -> None:
    if module not in TRAINING_DATA:
        assert not [name for name in imports(module) if is_in(name, *HEAVY)]


@pytest.mark.parametrize("page", LIGHT_PAGES)
def test_page_does_not_load_what_takes_seconds(page: str) -> None:
    if f"pages.{page}" not in modules():
        pytest.fail(f"pages/{page}.py is missing")
    for module in (f"pages.{page}", "pages.streamlit_app"):
        heavy = {name: asking for name, asking in loaded_with(module).items() if is_in(name, *HEAVY)}
        assert not heavy


def test_only_runs_knows_the_names_of_its_files() -> None:
    strangers = []
    for module in names_in("segcore", "pages"):
        if module == "segcore.runs":
            continue
        for node in ast.walk(tree(module)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in RUN_FILES:
                strangers.append(f"{module}:{node.lineno} {node.value}")
    assert not strangers


def _loaded(code: str) -> set[str]:
    """Top-level packages that a fresh interpreter has loaded after `code`."""
    code += "\nimport sys; sys.stderr.write('LOADED ' + ' '.join({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stderr.rpartition("LOADED ")[2].split())


def test_what_reads_results_loads_no_networks() -> None:
    light = [name for name in names_in("segcore") if "." not in name.removeprefix("segcore.")]
    light += names_in(*LIGHT)
    light += ["segcore.models.catalog", "segcore.models.weights"]
    heavy_by_purpose = {*TRAINING_DATA, "segcore.__main__"}
    # The pages that look inside networks and at masks may load them, once they are asked for.
    heavy_by_purpose |= {name for name in light if "architectures" in name or "predictions" in name}
    names = sorted(set(light) - heavy_by_purpose)
    loaded = _loaded("\n".join(f"import {name}" for name in names))
    assert "segcore" in loaded
    assert not loaded & {*HEAVY}


def test_help_loads_nothing_heavy() -> None:
    loaded = _loaded("from segcore.__main__ import main; assert main(['--help']) == 0")
    assert "typer" in loaded
    assert not loaded & {*HEAVY, "streamlit", "plotly", "cv2", "scipy", "pandas"}
