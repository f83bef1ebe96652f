"""Decisions about a dataset as commands, as one types them; `segcore.cli.decisions` reads them."""

from __future__ import annotations

from segcore.decisions import Decision, Exchange, Exclude, Ignore, Map, Merge, Read, Recolor, Rename, Snap, Use, Value


def command_words(decision: Decision, dataset: str) -> list[str]:
    """Return the words that take a decision about a dataset: "dataset", "check", NAME, "--snap", "8"."""
    command, *flags = _words(decision)
    return ["dataset", command, dataset, *flags]


def _words(decision: Decision) -> tuple[str, ...]:
    match decision:
        case Exclude(images=images):
            return "check", "--exclude", ",".join(images)
        case Map(value=value, to=to):
            return "check", "--map", f"{_value(value)}={to or ''}"
        case Snap(distance=distance):
            return "check", "--snap", str(distance)
        case Read(reading=reading):
            return "check", "--read", reading
        case Exchange(names=(one, other)):
            return "classes", "--rename", f"{one}={other}", "--rename", f"{other}={one}"
        case Merge(names=names, into=into):
            return "classes", "--merge", f"{','.join(names)}={into}"
        case Rename(name=old, to=to):
            return "classes", "--rename", f"{old}={to}"
        case Recolor(name=old, color=color):
            return "classes", "--recolor", f"{old}=#{bytes(color).hex()}"
        case Ignore(names=names):
            return "classes", "--ignore", ",".join(names)
        case Use(names=names):
            return "classes", "--use", ",".join(names)


def _value(value: Value) -> str:
    return str(value) if isinstance(value, int) else f"#{bytes(value).hex()}"
