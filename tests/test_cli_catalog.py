"""`segcore catalog`: what it lists, what it says of the rest, and that Ctrl-C keeps what was found."""

from __future__ import annotations

import json

import pytest

from segcore.__main__ import main
from segcore.background import Cancelled
from segcore.launch import probing
from segcore.models.atlas import Atlas
from segcore.progress import Progress
from segcore.workspace import Workspace
from tests.atlases import REASONS, made_up, write_atlas

ENTRIES = made_up(60)
WORKS = [entry for entry in ENTRIES if entry.works]


@pytest.fixture
def never_probed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "fill", lambda *_: pytest.fail("there was nothing to probe"))


@pytest.mark.usefixtures("never_probed")
def test_a_complete_catalog_is_listed_at_once(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    write_atlas(workspace, ENTRIES)
    assert main(["catalog"]) == 0
    printed = capsys.readouterr()
    rows = printed.out.splitlines()[2:]
    assert [row.split()[0] for row in rows] == [entry.architecture for entry in WORKS]
    resnet = next(row for row in rows if row.startswith("resnet18 "))
    assert all(told in resnet for told in ("ResNet", "2015", "11.2 M", "5.50 G", "tv_in1k", "bsd-3-clause"))
    assert f"{len(WORKS)} of 60 architectures work in U-Net at 256 × 256 pixels." in printed.err
    for reason in REASONS:
        assert f"{sum(entry.reason == reason for entry in ENTRIES)}: {reason}" in printed.err


@pytest.mark.usefixtures("never_probed")
def test_json_has_everything(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    write_atlas(workspace, ENTRIES, decoder="fpn", image_size=512)
    (workspace.weights / "resnet18.tv_in1k.safetensors").touch()
    assert main(["catalog", "--decoder", "fpn", "--image-size", "512", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["decoder"], document["image_size"]) == ("fpn", 512)
    assert (document["total"], document["complete"], document["works"]) == (60, True, len(WORKS))
    assert sum(document["reasons"].values()) == 60 - len(WORKS)
    assert set(document["versions"]) == {"timm", "smp", "torch"}
    resnet = next(row for row in document["architectures"] if row["architecture"] == "resnet18")
    assert resnet["weights_here"] == ["resnet18.tv_in1k"]
    assert (resnet["family"], resnet["year"], resnet["commercial"]) == ("ResNet", 2015, True)
    assert resnet["features"] == [[64, 2], [128, 4]]
    assert resnet["weights"] == [
        {"tag": "tv_in1k", "license": "bsd-3-clause", "repository": "timm/resnet18.tv_in1k"},
    ]


@pytest.mark.usefixtures("never_probed")
def test_stored_probes_nothing(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["catalog", "--stored", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["architectures"] == []
    write_atlas(workspace, ENTRIES[:10], total=60)
    assert main(["catalog", "--stored"]) == 0
    assert "10 of 60 are probed so far" in capsys.readouterr().err


@pytest.mark.parametrize("ending", [KeyboardInterrupt, Cancelled])
def test_ctrl_c_keeps_what_was_found(
    workspace: Workspace,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    ending: type[BaseException],
) -> None:
    def interrupted(atlas: Atlas, _progress: Progress) -> None:
        write_atlas(atlas.workspace, ENTRIES[:7], total=60)
        raise ending

    monkeypatch.setattr(probing, "fill", interrupted)
    assert main(["catalog"]) == 130
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "Kept what was found: 7 of 60 architectures" in printed.err
    assert len(Atlas(workspace, "unet", 256).read().entries) == 7


@pytest.mark.usefixtures("workspace", "never_probed")
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--decoder", "unett"], "--decoder: No decoder is called 'unett'. Did you mean unet"),
        (["--image-size", "250"], "--image-size: "),
    ],
)
def test_bad_input_is_refused(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["catalog", *words]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert told in printed.err
