"""Made-up catalogs of architectures, as large as the real one, without probing anything."""

from __future__ import annotations

from collections.abc import Sequence

from segcore.models import catalog
from segcore.models.atlas import Atlas, Entry, Published
from segcore.models.lineage import MODULES
from segcore.workspace import Workspace

REASONS = ("the backbone keeps one resolution", "its probe took too long")
FULL = 1300
"""About as many as timm has."""


def made_up(count: int = FULL) -> list[Entry]:
    """Return the curated backbones, then others named after timm's modules; every fifth of these does not work."""
    entries = [
        Entry(
            backbone.name,
            module=backbone.family,
            weights=(Published(backbone.tag, backbone.license, f"timm/{backbone.encoder}"),),
            parameters=backbone.unet_parameters,
            encoder_parameters=backbone.parameters,
            macs=backbone.unet_macs,
            encoder_macs=backbone.unet_macs // 2,
            features=((64, 2), (128, 4)),
            seconds=0.5,
        )
        for backbone in catalog.BACKBONES.values()
    ]
    modules = list(MODULES)
    others = [_other(place, modules[place % len(modules)]) for place in range(max(0, count - len(entries)))]
    return [*entries, *others][:count]


def _other(place: int, module: str) -> Entry:
    name = f"{module}_made_up_{place}"
    licences = ("apache-2.0", "cc-by-nc-4.0", None)
    weights = () if place % 4 == 3 else (Published("in1k", licences[place % 3], f"timm/{name}.in1k"),)
    if place % 5 == 4:
        reason = REASONS[place % len(REASONS)]
        why_not = f"Backbone {name!r} does not go: {reason}."
        return Entry(name, module, paper="2010.11929", weights=weights, why_not=why_not, reason=reason, seconds=0.1)
    size = 1_000_000 * (1 + place)
    return Entry(
        name,
        module,
        paper="2010.11929" if place % 2 else "",
        weights=weights,
        parameters=size + 3_000_000,
        encoder_parameters=size,
        macs=900 * size,
        encoder_macs=500 * size,
        features=((32, 4), (64, 8)),
        seconds=0.9,
    )


def write_atlas(
    workspace: Workspace,
    entries: Sequence[Entry] | None = None,
    *,
    total: int | None = None,
    decoder: str = "unet",
    image_size: int = 256,
) -> Atlas:
    """Write what was found, by default of all architectures there are."""
    found = made_up() if entries is None else list(entries)
    atlas = Atlas(workspace, decoder, image_size)
    atlas.begin(len(found) if total is None else total)
    for entry in found:
        atlas.append(entry)
    return atlas
