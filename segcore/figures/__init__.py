"""Records, tables and masks in; plotly figures and images out. No Streamlit, no torch.

Figures have transparent backgrounds and greys that read on light and on dark, axes of accuracy in percent, a
fixed `uirevision` (an update keeps zoom and hidden lines) and a sentence in place of data where there is none.
"""

from segcore.figures.classes import class_iou_bars, confusion_heatmap, one_class_bars
from segcore.figures.curves import accuracy_curves, run_curves, step_curve
from segcore.figures.dataset import class_share_bars
from segcore.figures.images import LegendEntry, class_legend, colorize, error_map, overlay
from segcore.figures.results import cost_bars, cost_scatter, result_bars
from segcore.figures.theme import empty_figure

__all__ = [
    "LegendEntry",
    "accuracy_curves",
    "class_iou_bars",
    "class_legend",
    "class_share_bars",
    "colorize",
    "confusion_heatmap",
    "cost_bars",
    "cost_scatter",
    "empty_figure",
    "error_map",
    "one_class_bars",
    "overlay",
    "result_bars",
    "run_curves",
    "step_curve",
]
