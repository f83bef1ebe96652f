"""The stored catalog: torn lines, resuming, versions, decoders and sizes; licences; which weights are here."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from segcore.errors import UnknownBackboneError, WorkspaceError
from segcore.models import atlas as module
from segcore.models.atlas import Atlas, Entry, Published
from segcore.models.licenses import FREE, NON_COMMERCIAL, commercial
from segcore.models.weights_here import here
from segcore.workspace import Workspace
from tests.atlases import FULL, made_up, write_atlas


def entry(name: str = "resnet18", **values: object) -> Entry:
    return Entry(name, "resnet", paper="1512.03385", parameters=2, macs=3, features=((64, 2),), **values)  # type: ignore[arg-type]


def test_nothing_is_there_before_the_first(workspace: Workspace) -> None:
    contents = Atlas(workspace, "unet", 256).read()
    assert not contents.entries
    assert contents.total is None
    assert not contents.complete


def test_what_is_written_is_read(workspace: Workspace) -> None:
    written = entry(weights=(Published("tv_in1k", "bsd-3-clause", "timm/resnet18.tv_in1k"),))
    refused = Entry("vit", "vision_transformer", why_not="It does not go.", reason="does not go")
    atlas = write_atlas(workspace, [written, refused])
    contents = Atlas(workspace, "unet", 256).read()
    assert contents.entries == {"resnet18": written, "vit": refused}
    assert contents.complete
    assert [found.works for found in contents.entries.values()] == [True, False]
    assert atlas.path.parent == workspace.catalog


def test_a_torn_line_costs_one_architecture_and_the_next_writer_goes_on(workspace: Workspace) -> None:
    atlas = write_atlas(workspace, [entry("a"), entry("b")], total=3)
    whole = atlas.path.read_bytes()
    atlas.path.write_bytes(whole[:-20])  # killed while writing b
    assert list(atlas.read().entries) == ["a"]
    assert atlas.read().total == 3
    atlas.begin(3)
    for name in ("b", "c"):
        atlas.append(entry(name))
    assert list(atlas.read().entries) == ["a", "b", "c"]
    assert atlas.read().complete


def test_a_damaged_first_line_is_written_again(workspace: Workspace) -> None:
    atlas = write_atlas(workspace, [entry("a")], total=2)
    atlas.path.write_bytes(atlas.path.read_bytes().replace(b'{"total": 2}', b'{"tot'))
    assert atlas.read().total is None
    atlas.begin(2)
    assert atlas.read().total == 2
    assert list(atlas.read().entries) == ["a"]


@pytest.mark.parametrize("line", ['{"weights": 3}', '{"architecture": "x", "module": "y", "features": [[1]]}', "[1]"])
def test_a_foreign_line_is_passed_over(workspace: Workspace, line: str) -> None:
    atlas = write_atlas(workspace, [entry("a")])
    with open(atlas.path, "a") as file:
        file.write(line + "\n")
    assert list(atlas.read().entries) == ["a"]


def test_fields_of_a_later_version_do_not_hide_an_entry(workspace: Workspace) -> None:
    atlas = write_atlas(workspace, [entry("a")])
    atlas.path.write_text(atlas.path.read_text().replace('"module"', '"new": 1, "module"'))
    assert list(atlas.read().entries) == ["a"]


def test_another_version_decoder_or_size_is_another_catalog(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_atlas(workspace, [entry()])
    assert not Atlas(workspace, "fpn", 256).read().entries
    assert not Atlas(workspace, "unet", 512).read().entries
    assert [len(found.entries) for found in Atlas(workspace, "fpn", 256).siblings()] == [1]
    for package in module.PACKAGES:
        changed = {**module.versions(), package: "99.0"}
        with monkeypatch.context() as patched:
            patched.setattr(module, "versions", lambda changed=changed: changed)
            assert not Atlas(workspace, "unet", 256).read().entries
            assert not Atlas(workspace, "fpn", 256).siblings()
    assert Atlas(workspace, "unet", 256).read().entries


def test_unknown_decoder(workspace: Workspace) -> None:
    with pytest.raises(UnknownBackboneError, match="There are: unet"):
        Atlas(workspace, "../unet", 256)


def test_a_workspace_that_cannot_be_written(workspace: Workspace) -> None:
    workspace.catalog.write_text("in the way")
    with pytest.raises(WorkspaceError, match="catalog"):
        Atlas(workspace, "unet", 256).begin(1)


def test_a_full_catalog_is_read_at_once(workspace: Workspace) -> None:
    atlas = write_atlas(workspace)
    began = time.perf_counter()
    contents = atlas.read()
    cold = time.perf_counter() - began
    assert len(contents.entries) == FULL
    assert contents.complete
    assert cold < 1.0  # 0.05 s on an idle machine
    assert atlas.read() is contents


@pytest.mark.parametrize(
    ("licences", "answer"),
    [
        (["mit"], True),
        (["cc-by-nc-4.0"], False),
        (["cc-by-nc-4.0", "apache-2.0"], True),
        (["cc-by-nc-4.0", "dinov3-license"], None),
        ([None], None),
        ([], None),
    ],
)
def test_commercial_use(licences: list[str | None], answer: bool | None) -> None:
    weights = tuple(Published(f"t{place}", licence, None) for place, licence in enumerate(licences))
    assert entry(weights=weights).commercial is answer


def test_licences_are_one_thing_or_the_other() -> None:
    assert not set(FREE) & set(NON_COMMERCIAL)
    assert all(commercial(name) for name in FREE)
    assert not any("nc" in name.split("-") or "noncommercial" in name for name in FREE)


def test_weights_here(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the workspace's folder under three kinds of names, in the Hub's cache, and nowhere else."""
    (workspace.weights / "resnet18.tv_in1k.safetensors").touch()
    (workspace.weights / "vgg16-397923af.pth").touch()
    (workspace.weights / "resnet34.other_tag.safetensors").touch()
    cache = tmp_path / "hub"
    snapshot = cache / "models--microsoft--Florence-2-base" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot / "model.safetensors").touch()
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("abc")
    (cache / "models--timm--vgg19.tv_in1k").mkdir()  # begun, without a file
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    names = ["resnet18.tv_in1k", "resnet18.a1_in1k", "vgg16.tv_in1k", "resnet34.tv_in1k", "vgg19.tv_in1k"]
    repositories: dict[str, str | None] = {name: f"timm/{name}" for name in names}
    repositories["davit_base_fl.msft_florence2"] = "microsoft/Florence-2-base"
    repositories["gcvit_tiny.in1k"] = None
    found = here(repositories, [workspace.weights])
    assert found == {"resnet18.tv_in1k", "vgg16.tv_in1k", "davit_base_fl.msft_florence2"}


def test_weights_here_asks_no_network(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setattr("segcore.models.weights.hub_reachable", lambda: pytest.fail("the Hub was asked"))
    (workspace.weights / "resnet18.other.safetensors").touch()
    repositories = {name: where for found in made_up() for name, where in found.encoders.items()}
    began = time.perf_counter()
    assert here(repositories, [workspace.weights]) == frozenset()
    assert time.perf_counter() - began < 1.0
