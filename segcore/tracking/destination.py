"""Where studies are mirrored to: the MLflow server that the environment names. Nothing here imports mlflow.

The variables are MLflow's own: MLFLOW_TRACKING_URI, MLFLOW_EXPERIMENT_NAME, and for credentials
MLFLOW_TRACKING_USERNAME, MLFLOW_TRACKING_PASSWORD and MLFLOW_TRACKING_TOKEN. Credentials are left to MLflow: they are
read here only to be taken out of what is shown.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from importlib.util import find_spec
from urllib.parse import unquote, urlsplit

from segcore.errors import ConfigError, TrackingError
from segcore.text import printable

URI_VARIABLE = "MLFLOW_TRACKING_URI"
EXPERIMENT_VARIABLE = "MLFLOW_EXPERIMENT_NAME"
SECRET_VARIABLES = ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")
EXPERIMENT = "segcore"
"""The experiment where the environment names none."""
INSTALL = 'pip install -e ".[tracking]"'


@dataclass(frozen=True)
class Destination:
    """A tracking server, and the experiment in it."""

    uri: str = field(repr=False)
    """With the credentials that may stand in it; never shown and never written."""
    experiment: str = EXPERIMENT

    @property
    def shown(self) -> str:
        """The address without credentials and query, fit to be read by anybody."""
        address = self.uri.split("?")[0].split("#")[0]
        scheme, mark, rest = address.partition("://")
        if not mark:
            return printable(address, lines=False)
        host, slash, path = rest.partition("/")
        return printable(f"{scheme}://{host.rpartition('@')[2]}{slash}{path}", lines=False)

    @property
    def fingerprint(self) -> str:
        """What tells it from other destinations; credentials do not count."""
        return hashlib.sha256(f"{self.shown}\n{self.experiment}".encode()).hexdigest()[:16]

    def redacted(self, text: str) -> str:
        """Return what another program said, in one line, with every credential taken out."""
        return printable(" ".join(_without(text, self._secrets()).split()), lines=False)

    def _secrets(self) -> list[str]:
        try:
            parts = urlsplit(self.uri)
            found = [parts.password, parts.netloc.rpartition("@")[0], parts.query]
        except ValueError:  # no address at all
            found = [self.uri]
        found += [os.environ.get(name) for name in SECRET_VARIABLES]
        known = {text for secret in found if secret for text in (secret, unquote(secret))}
        return sorted(known, key=len, reverse=True)  # a short one may be part of a longer one


def _without(text: str, secrets: list[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, "***")
    return text


def destination() -> Destination | None:
    """Return where the environment says studies are mirrored to; None where it says nothing."""
    uri = os.environ.get(URI_VARIABLE, "").strip()
    if not uri:
        return None
    return Destination(uri, os.environ.get(EXPERIMENT_VARIABLE, "").strip() or EXPERIMENT)


def installed() -> bool:
    """Whether MLflow's client is there, without importing it."""
    return find_spec("mlflow") is not None


def needed() -> Destination:
    """Return the destination of a mirror that somebody asks for.

    Raises:
        ConfigError: the environment names none.
        TrackingError: MLflow is not installed.
    """
    found = destination()
    if found is None:
        raise ConfigError(f"{URI_VARIABLE} is not set. Set it to the address of your MLflow server: http://host:5000.")
    if not installed():
        raise TrackingError(missing())
    return found


def missing() -> str:
    """Return what to do where MLflow is not installed."""
    return f"{URI_VARIABLE} is set, but MLflow is not installed. Install it with: {INSTALL}"
