"""What a person decided about a dataset: images left out, classes merged, colours given a meaning.

The masks stay as they are. `DatasetConfig.decisions` lists the decisions in the order in which they were
taken, and `replay` says what the masks then mean; taking one out of the list undoes it. A later decision
names classes as the earlier ones left them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from segcore.errors import ConfigError, nearest
from segcore.frozen import Config

Color = tuple[int, int, int]
Value = Color | int
"""What a mask holds in a pixel: a colour, or a value of an index mask."""
Reading = Literal["colors", "index"]
"""What the values of a mask are: colours of the class table, or rows of it."""

SNAP_STEPS = (4, 8, 16, 32, 64)
"""Distances in RGB within which a check counts the colours near a class's."""

ClassName = Annotated[str, Field(min_length=1, max_length=80)]


def _check_color(color: Sequence[int], what: str) -> None:
    if any(not 0 <= value <= 255 for value in color):
        raise ValueError(f"colour {color} of {what} is outside 0-255")


class ClassInfo(Config):
    """One row of a class table."""

    name: ClassName = Field(description="What the class is called.")
    color: Color = Field(description="Its colour in RGB masks and on screen, 0-255 each.")
    ignore: bool = Field(False, description="Leave its pixels out of loss and scores.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_color(self.color, f"class {self.name!r}")
        return self


# The kinds of decision ----------------------------------------------------------------------------------


class Exclude(Config):
    """Leave images out."""

    kind: Literal["exclude"] = "exclude"
    images: tuple[str, ...] = Field(min_length=1, description="Names of the images to leave out.")

    @property
    def text(self) -> str:
        more = f" and {len(self.images) - 3} more" if len(self.images) > 3 else ""
        return f"leave out {', '.join(self.images[:3])}{more}"


class Map(Config):
    """Give a colour or value that the class table does not have a class, or ignore it."""

    kind: Literal["map"] = "map"
    value: Value = Field(description="The colour (r, g, b), or the value of index masks.")
    to: ClassName | None = Field(None, description="The class it stands for; none to ignore its pixels.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if isinstance(self.value, tuple):
            _check_color(self.value, "the decision")
        elif not 0 <= self.value <= 65_535:
            raise ValueError(f"{self.value} is no value of an index mask; those are 0-65535")
        return self

    @property
    def text(self) -> str:
        return f"{describe_value(self.value)} is {self.to or 'ignored'}"


class Snap(Config):
    """Give colours that the class table does not have the class of the nearest colour that it has."""

    kind: Literal["snap"] = "snap"
    distance: int = Field(
        ge=1, le=128, description="How far from a class's colour a colour may be: the length of the difference in RGB."
    )

    @property
    def text(self) -> str:
        return f"colours within {self.distance} of a class's are that class"


class Read(Config):
    """Read masks of values in the other way than the one that fits most of their pixels."""

    kind: Literal["read"] = "read"
    reading: Reading = Field(
        description="What the values of masks are: colors (those of their palette, or greys) or index (rows of the "
        "class table)."
    )

    @property
    def text(self) -> str:
        return f"values of masks are read as {READINGS[self.reading]}"


READINGS: dict[Reading, str] = {"colors": "colours", "index": "rows of the class table"}


class Rename(Config):
    """Call a class otherwise."""

    kind: Literal["rename"] = "rename"
    name: ClassName = Field(description="The class.")
    to: ClassName = Field(description="Its new name.")

    @property
    def text(self) -> str:
        return f"{self.name} is called {self.to}"


class Exchange(Config):
    """Call two classes each like the other."""

    kind: Literal["exchange"] = "exchange"
    names: tuple[ClassName, ClassName] = Field(description="The classes.")

    @property
    def text(self) -> str:
        return f"{self.names[0]} and {self.names[1]} exchange their names"


class Recolor(Config):
    """Show a class in another colour; masks are read as before."""

    kind: Literal["recolor"] = "recolor"
    name: ClassName = Field(description="The class.")
    color: Color = Field(description="Its colour on screen, 0-255 each.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_color(self.color, f"class {self.name!r}")
        return self

    @property
    def text(self) -> str:
        return f"{self.name} is shown as #{bytes(self.color).hex()}"


class Merge(Config):
    """Make one class of several."""

    kind: Literal["merge"] = "merge"
    names: tuple[ClassName, ...] = Field(min_length=1, description="The classes.")
    into: ClassName = Field(description="The class they become; a new name, or a class there is.")

    @property
    def text(self) -> str:
        return f"{', '.join(self.names)} become {self.into}"


class Ignore(Config):
    """Leave classes out of loss and scores."""

    kind: Literal["ignore"] = "ignore"
    names: tuple[ClassName, ...] = Field(min_length=1, description="The classes.")

    @property
    def text(self) -> str:
        return f"{', '.join(self.names)} ignored"


class Use(Config):
    """Learn and score classes that were ignored."""

    kind: Literal["use"] = "use"
    names: tuple[ClassName, ...] = Field(min_length=1, description="The classes.")

    @property
    def text(self) -> str:
        return f"{', '.join(self.names)} used"


Decision = Annotated[
    Exclude | Map | Snap | Read | Rename | Exchange | Recolor | Merge | Ignore | Use,
    Field(discriminator="kind"),
]


# What they come to --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Meaning:
    """What masks mean after all decisions."""

    classes: tuple[ClassInfo, ...]
    """The classes there are then, ignored ones too; those that are learnt are labels 0 .. C-1 in this order."""
    rows: tuple[int, ...]
    """For each row of the class table its class: a position in `classes`."""
    mapped: tuple[tuple[Value, int | None], ...] = ()
    """Colours and values beside the table, each with its class's position, or None where they are ignored."""
    snap: int = 0
    """Colours this far from one that is known are it; 0 for none."""
    reading: Reading | None = None
    """How masks of values are read; None for the way that fits most of their pixels."""
    excluded: frozenset[str] = frozenset()
    """Names of the images left out."""

    @cached_property
    def trained(self) -> tuple[ClassInfo, ...]:
        """The classes that are learnt and scored, by label."""
        return tuple(info for info in self.classes if not info.ignore)

    def label(self, position: int | None) -> int | None:
        """Return the label of the class at a position of `classes`; None where it is ignored."""
        if position is None or self.classes[position].ignore:
            return None
        return sum(not info.ignore for info in self.classes[:position])


@lru_cache(maxsize=64)
def replay(table: tuple[ClassInfo, ...], decisions: tuple[Decision, ...]) -> Meaning:
    """Return what masks with the classes of `table` mean after `decisions`.

    Raises:
        ConfigError: a decision names a class that is not there (any more), or makes two classes of one name.
    """
    state = _Replay(table, [_Class(info, {row}) for row, info in enumerate(table)])
    for number, decision in enumerate(decisions):
        try:
            state.take(decision)
        except ConfigError as error:
            raise ConfigError(f"Decision {number + 1} ({decision.text}): {error}", field="decisions") from error
    return state.meaning()


def in_order(wanted: Sequence[Rename | Merge]) -> list[Rename | Merge | Exchange]:
    """Return changes of names that are meant to be made at once, in an order in which each name is free when taken.

    Where none is free, as where two classes are to be called like each other, names are exchanged first.
    """
    waiting = [(_old_names(one), one.into if isinstance(one, Merge) else one.to) for one in wanted]
    found: list[Rename | Merge | Exchange] = []
    while waiting:
        taken = [name for old, _ in waiting for name in old]
        at = next((at for at, (old, new) in enumerate(waiting) if new not in taken or new in old), None)
        if at is None:
            there, new = waiting[0][0][0], waiting[0][1]
            found.append(Exchange(names=(there, new)))
            other = {there: new, new: there}
            waiting = [(tuple(other.get(name, name) for name in old), to) for old, to in waiting]
            waiting = [entry for entry in waiting if entry[0] != (entry[1],)]
            continue
        old, new = waiting.pop(at)
        found.append(Merge(names=old, into=new) if len(old) > 1 else Rename(name=old[0], to=new))
    return found


def _old_names(one: Rename | Merge) -> tuple[str, ...]:
    return one.names if isinstance(one, Merge) else (one.name,)


def describe_value(value: Value) -> str:
    """Return an unknown colour or value as text."""
    return f"value {value}" if isinstance(value, int) else f"colour {value}"


@dataclass
class _Class:
    """A class while decisions are replayed: how it is shown, and the table's rows in it."""

    info: ClassInfo
    rows: set[int]
    values: list[Value] = field(default_factory=list)


@dataclass
class _Replay:
    table: tuple[ClassInfo, ...]
    classes: list[_Class]
    ignored: list[Value] = field(default_factory=list)
    order: list[Value] = field(default_factory=list)
    snap: int = 0
    reading: Reading | None = None
    excluded: set[str] = field(default_factory=set)

    def take(self, decision: Decision) -> None:
        match decision:
            case Exclude():
                self.excluded.update(decision.images)
            case Map():
                self._map(decision)
            case Snap():
                self.snap = decision.distance
            case Read():
                self.reading = decision.reading
            case Rename():
                self._change(self.find(decision.name), name=decision.to)
            case Exchange():
                one, other = (self.find(name) for name in decision.names)
                one.info, other.info = (
                    ClassInfo(**{**mine.info.to_json(), "name": theirs.info.name})
                    for mine, theirs in ((one, other), (other, one))
                )
            case Recolor():
                self._change(self.find(decision.name), color=decision.color)
            case Merge():
                self._merge(decision)
            case Ignore():
                for found in [self.find(name) for name in decision.names]:
                    self._change(found, ignore=True)
            case Use():
                for found in [self.find(name) for name in decision.names]:
                    self._change(found, ignore=False)

    def find(self, name: str) -> _Class:
        for one in self.classes:
            if one.info.name == name:
                return one
        names = [one.info.name for one in self.classes]
        raise ConfigError(f"there is no class {name!r}; there are {', '.join(names)}.{nearest(name, names)}")

    def _change(self, one: _Class, **changes: object) -> None:
        one.info = ClassInfo(**{**one.info.to_json(), **changes})
        for other in self.classes:
            if other is one:
                continue
            if other.info.name == one.info.name:
                raise ConfigError(
                    f"a class is called {one.info.name!r} already. Merge the two, or choose another name."
                )
            if other.info.color == one.info.color and not (other.info.ignore and one.info.ignore):
                raise ConfigError(
                    f"the classes {other.info.name!r} and {one.info.name!r} would both have the colour "
                    f"{one.info.color}. Choose another."
                )

    def _merge(self, decision: Merge) -> None:
        merged = [self.find(name) for name in dict.fromkeys(decision.names)]
        there = [one for one in self.classes if one.info.name == decision.into]
        target = there[0] if there else merged[0]
        members = [one for one in self.classes if one is target or any(one is other for other in merged)]
        if len(members) < 2:
            raise ConfigError("one class alone cannot be merged. Name two or more, or rename it.")
        ignore = target.info.ignore if there else all(one.info.ignore for one in members)
        for one in members:
            if one is not target:
                target.rows |= one.rows
                target.values += one.values
                self.classes.remove(one)
        self._change(target, name=decision.into, ignore=ignore)

    def _map(self, decision: Map) -> None:
        value = decision.value
        rows = [
            row for row, info in enumerate(self.table) if (info.color if isinstance(value, tuple) else row) == value
        ]
        if rows:
            name = self.table[rows[0]].name
            raise ConfigError(f"{describe_value(value)} is the table's class {name!r}. Merge or ignore that class.")
        target = None if decision.to is None else self.find(decision.to)
        for one in self.classes:
            one.values = [other for other in one.values if other != value]
        self.ignored = [other for other in self.ignored if other != value]
        (self.ignored if target is None else target.values).append(value)
        if value not in self.order:
            self.order.append(value)

    def meaning(self) -> Meaning:
        row_of = {row: place for place, one in enumerate(self.classes) for row in one.rows}
        value_of: dict[Value, int | None] = {v: place for place, one in enumerate(self.classes) for v in one.values}
        value_of.update(dict.fromkeys(self.ignored))
        return Meaning(
            classes=tuple(one.info for one in self.classes),
            rows=tuple(row_of[row] for row in range(len(self.table))),
            mapped=tuple((value, value_of[value]) for value in self.order),
            snap=self.snap,
            reading=self.reading,
            excluded=frozenset(self.excluded),
        )
