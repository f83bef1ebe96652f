"""Where weights come from: local folder, Hub cache, Hub; all with a Hub of our own on this machine."""

from __future__ import annotations

import hashlib
import http.server
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from segcore.errors import WeightsError
from segcore.models import weights
from segcore.models.weights import WeightsSource, fetch, hub_reachable, locate
from segcore.workspace import Workspace

ENCODER = "resnet18.tv_in1k"


@pytest.fixture(autouse=True)
def no_network(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty workspace, an empty Hub cache, and no Hub."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def online(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.delenv("TRANSFORMERS_OFFLINE", raising=False)


@pytest.fixture
def hub(online: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, int]]:
    """A server in HF_ENDPOINT; `answer["status"]` is what it answers."""
    answer = {"status": 200}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(answer["status"])
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}/")
    yield answer
    server.shutdown()
    server.server_close()


def touch(folder: Path, name: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(b"weights")
    return folder / name


def put_into_cache(folder: Path, encoder: str) -> Path:
    """Write a file as huggingface_hub lays it out."""
    repository = folder / f"models--timm--{encoder}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("abc")
    return touch(repository / "snapshots" / "abc", "model.safetensors")


@pytest.mark.parametrize(
    "name",
    ["resnet18.tv_in1k.safetensors", "resnet18.tv_in1k.pth", "resnet18.pt", "resnet18-f37072fd.pth", "resnet18.bin"],
)
def test_local_files_by_any_usual_name(tmp_path: Path, name: str) -> None:
    file = touch(tmp_path / "mine", name)
    source = locate(ENCODER, [tmp_path / "missing", tmp_path / "mine"])
    assert (source.kind, source.path, source.encoder) == ("local", file, ENCODER)


@pytest.mark.parametrize(
    "name",
    ["resnet18.a1_in1k.safetensors", "resnet18d.pth", "resnet180.pth", "resnet18.txt", "wide_resnet18.pth", "resnet18"],
)
def test_files_of_other_networks_are_left_alone(tmp_path: Path, name: str) -> None:
    touch(tmp_path / "mine", name)
    with pytest.raises(WeightsError):
        locate(ENCODER, [tmp_path / "mine"])


def test_the_tag_wins_over_the_bare_name(tmp_path: Path) -> None:
    touch(tmp_path, "resnet18.safetensors")
    exact = touch(tmp_path, "resnet18.tv_in1k.pth")
    assert locate(ENCODER, [tmp_path]).path == exact


def test_default_folders_come_in_order(tmp_path: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    third = touch(workspace.weights, "resnet18.pth")
    assert locate(ENCODER).path == third
    monkeypatch.setenv("SEGCORE_WEIGHTS", f"{tmp_path / 'one'}{os.pathsep}{tmp_path / 'two'}")
    second = touch(tmp_path / "two", "resnet18.pth")
    assert locate(ENCODER).path == second
    first = touch(tmp_path / "one", "resnet18.pth")
    assert locate(ENCODER).path == first


def test_local_before_cache_before_hub(tmp_path: Path, hub: dict[str, int]) -> None:
    source = locate(ENCODER)
    assert (source.kind, source.path) == ("hub", None)
    cached = put_into_cache(tmp_path / "hub", ENCODER)
    source = locate(ENCODER)
    assert (source.kind, source.path) == ("hub cache", cached)
    assert fetch(source) is source
    touch(tmp_path / "mine", "resnet18.pth")
    assert locate(ENCODER, [tmp_path / "mine"]).kind == "local"


def test_nowhere_says_where_to_put_which_file(tmp_path: Path, workspace: Workspace) -> None:
    with pytest.raises(WeightsError) as caught:
        locate(ENCODER)
    text = str(caught.value)
    assert caught.value.field == "weights"
    for part in (ENCODER, f"{ENCODER}.safetensors", str(workspace.weights), "HF_HUB_OFFLINE", "from scratch"):
        assert part in text
    with pytest.raises(WeightsError, match=r"huggingface\.co/timm/tf_efficientnet_b7\.ra_in1k"):
        locate("tf_efficientnet_b7.ra_in1k")


def test_reachability_follows_the_answer(hub: dict[str, int]) -> None:
    assert hub_reachable()
    for status, reachable in ((404, True), (429, True), (403, False), (407, False), (502, False)):
        hub["status"] = status
        assert hub_reachable() is reachable, status


def test_offline_asks_nobody(hub: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(weights, "_ask", lambda *_: pytest.fail("asked although offline"))
    assert not hub_reachable()


def test_a_closed_port_is_decided_quickly(online: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{port}")
    start = time.monotonic()
    with pytest.raises(WeightsError, match=f"127.0.0.1:{port} cannot be reached"):
        locate(ENCODER)
    assert time.monotonic() - start < 2


def test_a_silent_hub_is_decided_in_two_seconds(online: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as silent:  # accepts and never answers, as a firewall may
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        start = time.monotonic()
        assert not hub_reachable()
        assert time.monotonic() - start < 2


def test_a_name_look_up_that_hangs_is_given_up(online: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "_ask", lambda *_: time.sleep(3) or True)
    start = time.monotonic()
    assert not hub_reachable(timeout=0.2)
    assert time.monotonic() - start < 1


def test_a_download_that_fails_is_our_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> str:
        raise ConnectionResetError("connection reset by peer")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", fail)
    with pytest.raises(WeightsError, match=r"connection reset by peer.*resnet18\.tv_in1k\.safetensors") as caught:
        fetch(WeightsSource("hub", None, ENCODER, "the Hub"))
    assert caught.value.field == "weights"


def test_a_download_takes_the_file_that_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    def only_old_format(repository: str, name: str, **_: object) -> str:
        assert repository == f"timm/{ENCODER}"
        if name != "pytorch_model.bin":
            raise EntryNotFoundError("404")
        return str(touch(tmp_path, name))

    monkeypatch.setattr("huggingface_hub.hf_hub_download", only_old_format)
    source = fetch(WeightsSource("hub", None, ENCODER, "the Hub"))
    assert source.path == tmp_path / "pytorch_model.bin"

    def gone(*_: object, **__: object) -> str:
        raise LocalEntryNotFoundError("cannot reach the Hub")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", gone)
    with pytest.raises(WeightsError, match="cannot reach the Hub"):
        fetch(WeightsSource("hub", None, ENCODER, "the Hub"))


def test_sha256(tmp_path: Path) -> None:
    file = touch(tmp_path, "some.pth")
    assert weights.sha256(file) == hashlib.sha256(b"weights").hexdigest()
    source = WeightsSource("local", file, ENCODER, "local file", "abc")
    assert source.to_json()["path"] == str(file) and source.to_json()["sha256"] == "abc"
