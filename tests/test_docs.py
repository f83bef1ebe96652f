"""What README promises is there: every command it shows parses, every name it imports exists."""

from __future__ import annotations

import ast
import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

import segcore
from segcore.__main__ import app

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PREFIX = "python -m segcore "


def blocks(language: str) -> list[str]:
    """Code blocks of README in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


def shown_commands() -> list[str]:
    """Every command line of ours that README shows, without what stands before it."""
    text = "\n".join(blocks("bash")).replace("\\\n", " ")
    return [line[len(PREFIX) :] for line in text.splitlines() if line.startswith(PREFIX)]


def leaves(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command below a group, with the words that lead to it."""
    for name, below in getattr(command, "commands", {}).items():
        yield from leaves(below, (*path, name)) if hasattr(below, "commands") else [((*path, name), below)]


COMMANDS = dict(leaves(typer.main.get_command(app)))


def parse(line: str) -> tuple[str, ...]:
    """Parse a command line as `main` does, without carrying it out; return the command's words."""
    words = shlex.split(line, comments=True)
    for size in (2, 1):
        found = COMMANDS.get(tuple(words[:size]))
        if found is not None:
            found.make_context("segcore", words[size:])
            return tuple(words[:size])
    raise AssertionError(f"README shows an unknown command: {line}")


@pytest.mark.parametrize("line", shown_commands())
def test_shown_command_parses(line: str) -> None:
    assert parse(line) in COMMANDS


def test_parsing_refuses_what_the_command_line_refuses() -> None:
    with pytest.raises(typer.TyperException):
        parse("study run x --dataset d --backbones a --no-such-flag")


def test_every_command_is_shown() -> None:
    assert {parse(line) for line in shown_commands()} == set(COMMANDS)


@pytest.mark.parametrize("command", [pytest.param(found, id=" ".join(words)) for words, found in COMMANDS.items()])
def test_every_flag_and_command_has_help(command: Any) -> None:
    assert command.help
    assert not [parameter.name for parameter in command.params if not getattr(parameter, "help", "")]


def test_every_listing_and_result_has_json() -> None:
    without = [words for words, found in COMMANDS.items() if "--json" not in {o for p in found.params for o in p.opts}]
    assert not without


@pytest.mark.parametrize("code", blocks("python"))
def test_library_example_uses_what_exists(code: str) -> None:
    tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module(node.module or "")
            assert not [alias.name for alias in node.names if not hasattr(module, alias.name)]
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "segcore":
            assert node.attr in segcore.__all__


def test_there_is_a_library_example() -> None:
    assert len(blocks("python")) == 1
    assert len(blocks("python")[0].splitlines()) <= 15


def test_every_page_has_its_section() -> None:
    pages = {path.stem for path in (ROOT / "pages").glob("*.py")}
    headings = {heading.lower() for heading in re.findall(r"^### (\w+)", README, flags=re.MULTILINE)}
    assert pages <= headings


def test_links_into_the_repository_lead_somewhere() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if not link.startswith("http")]
    assert links
    assert not [link for link in links if not (ROOT / link).exists()]


def test_public_names_are_sorted_and_importable() -> None:
    assert segcore.__all__ == sorted(segcore.__all__)
    assert not [name for name in segcore.__all__ if not hasattr(segcore, name)]
