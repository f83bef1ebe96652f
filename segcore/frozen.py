"""The base of all configurations: frozen, validated when made, one line of documentation a field."""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from segcore.errors import ConfigError


class Config(BaseModel):
    """Base of all configurations: frozen, no unknown fields, bad values raise `ConfigError`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise config_error(error) from error

    def to_json(self) -> dict[str, Any]:
        """Return the configuration as plain JSON values; `from_json` is its inverse."""
        return self.model_dump(mode="json")

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        """Rebuild a configuration written by `to_json`."""
        return cls(**value)

    @classmethod
    def help(cls, field: str) -> str:
        """Return the one-line description of a field."""
        return cls.model_fields[field].description or ""


def config_error(error: ValidationError) -> ConfigError:
    """Turn pydantic's first complaint into one line that names the field, its value and the rule."""
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"]) or None
    message = first["msg"].removeprefix("Value error, ").removesuffix(".")
    if first["type"] == "extra_forbidden":
        message = "no such setting"
    elif first["type"] not in ("value_error", "missing"):
        given = repr(first["input"])
        message = f"{message}, not {given if len(given) <= 120 else given[:120] + '…'}"
    if first["type"] == "multiple_of":
        step = first["ctx"]["multiple_of"]
        message += f"; the nearest is {max(1, round(first['input'] / step)) * step}"
    return ConfigError(f"{field}: {message}." if field else f"{message}.", field=field)
