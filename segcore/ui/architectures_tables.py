"""The tables of the architectures screen: blocks as the papers list them, stages, totals, and every layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape as html_escape
from typing import TYPE_CHECKING, Any

import streamlit as st

from segcore.models import catalog
from segcore.models.tables import PaperRow, find_layers, layer_rows, paper_table, stage_rows, total_rows
from segcore.text import plural, scaled
from segcore.ui.architectures_choice import NONE_CHOSEN, backbone_label, try_describe
from segcore.ui.components import escape
from segcore.ui.state import Key
from segcore.ui.tables import csv_text

if TYPE_CHECKING:
    from segcore.models.description import Layer, NetworkDescription
    from segcore.ui.architectures_choice import Chosen

_COUNT = st.column_config.NumberColumn(format="localized")
_MILLIONS = st.column_config.NumberColumn(
    format="%.1f", help="Multiplications with addition for one image, in millions."
)
_COLUMNS: dict[str, Any] = {
    "Stride": st.column_config.NumberColumn(
        help="Output stride: how many pixels of the image lie between two neighbouring points of the stage's output."
    ),
    "Sees": st.column_config.TextColumn(
        help="Receptive field: side of the square of the image that one point of the output can depend on. "
        "“Everything” where attention or pooling lets it depend on the whole image. Attention within windows counts "
        "as that, too, though it takes several blocks to get across."
    ),
    "Parameters": _COUNT,
    "Multiply-adds (M)": _MILLIONS,
    "Multiply-adds": _COUNT,
    "Share of multiply-adds (%)": st.column_config.NumberColumn(format="%.1f"),
    "Memory (MB)": st.column_config.NumberColumn(
        format="%.1f", help="What training keeps of each image for the backward pass, in single precision."
    ),
    "Built of": st.column_config.TextColumn(width="medium"),
    "Module": st.column_config.TextColumn(help="What timm or smp calls the piece in which the stage ends."),
}
_STYLE = """<style>
.segcore-paper {overflow-x: auto}
.segcore-paper table {border-collapse: collapse; font-size: 0.9rem; min-width: 100%}
.segcore-paper th, .segcore-paper td {border-bottom: 1px solid rgba(128, 136, 148, 0.45); padding: 0.4rem 0.8rem;
  text-align: center; white-space: nowrap}
.segcore-paper thead th {border-bottom-width: 2px}
.segcore-paper td.none {opacity: 0.5}
</style>"""


def draw(chosen: Chosen) -> None:
    """Draw all tables of the chosen networks."""
    if not chosen.networks:
        st.info(NONE_CHOSEN)
        return
    _draw_paper_table(chosen)
    st.subheader("Totals", anchor=False)
    _draw_rows(total_rows(chosen.networks), "totals")
    for place, found in enumerate(chosen.networks):
        st.subheader(f"Stages of {escape(found.title)}", anchor=False)
        _draw_rows(stage_rows(found), f"stages-{found.encoder_name}-{found.decoder_name}")
        _draw_layers(found, place)


def _draw_paper_table(chosen: Chosen) -> None:
    """Draw the backbones of one family beside each other, as in table 1 of most papers."""
    st.subheader("Backbones, block by block", anchor=False)
    proposed = _proposed([found.encoder_name for found in chosen.networks])
    options = [*catalog.BACKBONES, *(name for name in proposed if name not in catalog.BACKBONES)]
    names = st.multiselect(
        "Backbones beside each other",
        options,
        default=proposed,
        format_func=backbone_label,
        key=Key.NETWORK_MEMBERS.of(",".join(proposed)),
        help="At first the whole family of what is chosen above. [a; b] × 3 is a block of a, then b, three times over.",
    )
    networks = []
    for name in names:
        found = try_describe(name, chosen.decoder, chosen.image_size)
        if found is not None:
            networks.append(found)
    if not networks:
        st.caption("Choose backbones to put into the table.")
        return
    titles = [catalog.title(found.encoder_name) for found in networks]
    rows = paper_table(networks)
    st.html(_STYLE + paper_html(titles, rows))
    st.caption(
        f"Made from the networks themselves, for images of {chosen.image_size} × {chosen.image_size} pixels. "
        "Strides of blocks are left out: the first block of a row does the halving. Shortcuts are in the drawing."
    )
    _download(_paper_csv_rows(titles, rows), "blocks")


def _proposed(chosen: Sequence[str]) -> list[str]:
    """The catalog's families of the chosen backbones, and those that it does not have."""
    names: list[str] = []
    for name in chosen:
        backbone = catalog.find(name)
        family = [one.name for one in catalog.BACKBONES.values() if backbone and one.family == backbone.family]
        names += family or [name]
    return list(dict.fromkeys(names))


def paper_html(titles: Sequence[str], rows: Sequence[PaperRow]) -> str:
    """Return the papers' table as HTML; every text in it is escaped."""
    shared = all(len({size for size in row.sizes if size}) <= 1 for row in rows)
    head = "".join(f"<th>{html_escape(title)}</th>" for title in titles)
    sizes = "<th>Output size</th>" if shared else ""
    lines = [f'<div class="segcore-paper"><table><thead><tr><th>Level</th>{sizes}{head}</tr></thead><tbody>']
    for row in rows:
        size = next((size for size in row.sizes if size), "")
        cells = "".join(_cell(lines, "" if shared else own) for lines, own in zip(row.cells, row.sizes, strict=True))
        lines.append(f"<tr><td>{row.level}</td>{f'<td>{size}</td>' if shared else ''}{cells}</tr>")
    return "".join(lines) + "</tbody></table></div>"


def _cell(lines: Sequence[str], size: str) -> str:
    if not lines:
        return '<td class="none" title="This network has no features of this resolution">–</td>'
    return f"<td>{'<br>'.join(html_escape(line) for line in (*((size,) if size else ()), *lines))}</td>"


def _paper_csv_rows(titles: Sequence[str], rows: Sequence[PaperRow]) -> list[dict[str, object]]:
    return [
        {
            "Level": row.level,
            "Backbone": title,
            "Output size": size,
            "Blocks": ", ".join(lines),
        }
        for row in rows
        for title, size, lines in zip(titles, row.sizes, row.cells, strict=True)
        if lines
    ]


def _draw_rows(rows: Sequence[Mapping[str, object]], name: str) -> None:
    """Draw a table as high as it is long, with its download."""
    columns = {column: shown for column, shown in _COLUMNS.items() if column in rows[0]}
    st.dataframe(list(rows), hide_index=True, width="stretch", height="content", column_config=columns)
    _download(rows, name)


def _download(rows: Sequence[Mapping[str, object]], name: str) -> None:
    st.download_button(
        "Download as CSV",
        csv_text(rows),
        file_name=f"{name}.csv",
        mime="text/csv",
        key=Key.NETWORK_CSV.of(name),
        icon=":material/download:",
        on_click="ignore",
    )


def _draw_layers(found: NetworkDescription, place: int) -> None:
    """Draw all layers: what a search finds, or folded under their stages."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        search = st.text_input(
            f"Find among its {plural(len(found.layers), 'layer')}",
            key=Key.NETWORK_SEARCH.of(str(place)),
            placeholder="Words of part, name or kind, for example conv layer3",
        )
        _download(layer_rows(found.layers), f"layers-{found.encoder_name}-{found.decoder_name}")
    if search.strip():
        layers = find_layers(found, search)
        parameters = sum(layer.parameters for layer in layers)
        st.caption(
            f"{plural(len(layers), 'layer')} of {len(found.layers):,}, {parameters:,} parameters. "
            "Output is channels × height × width."
        )
        if layers:
            _draw_layer_table(layers)
        return
    for index, stage in enumerate(found.stages):
        inside = [layer for layer in found.layers if layer.stage == index]
        fold = st.expander(
            f"{found.stage_title(index)} · {plural(len(inside), 'layer')} · {scaled(stage.parameters)} parameters · "
            f"{scaled(stage.macs)} multiply-adds",
            key=Key.NETWORK_LAYERS.of(f"{place}:{index}"),
            on_change="rerun",
        )
        if fold.open:
            with fold:
                _draw_layer_table(inside)


def _draw_layer_table(layers: Sequence[Layer]) -> None:
    st.dataframe(
        layer_rows(layers),
        hide_index=True,
        width="stretch",
        height="content" if len(layers) < 15 else 420,
        column_config={column: _COLUMNS[column] for column in ("Parameters", "Multiply-adds")},
    )
