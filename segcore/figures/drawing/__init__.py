"""Networks drawn as in the papers, from a `NetworkDescription` to SVG text. No plotly, no torch, no Streamlit.

sheet = draw_networks([description], "macs")
Path("network.svg").write_text(sheet.whole)
"""

from segcore.figures.drawing.scales import SHADES, Shade
from segcore.figures.drawing.sheet import Sheet, draw_networks
from segcore.figures.drawing.stage import stage_svg

__all__ = ["SHADES", "Shade", "Sheet", "draw_networks", "stage_svg"]
