"""Records, tables and masks in; plotly figures and images out. No Streamlit, no torch.

Figures have transparent backgrounds and greys that read on light and on dark, axes of accuracy in percent, a
fixed `uirevision` (an update keeps zoom and hidden lines) and a sentence in place of data where there is none.
"""

from segcore.figures.classes import confusion_heatmap
from segcore.figures.classmaps import class_difference_map, class_map
from segcore.figures.costs import cost_bars, cost_scatter
from segcore.figures.curves import accuracy_curves
from segcore.figures.dataset import class_share_bars, co_occurrence_map
from segcore.figures.images import LegendEntry, class_legend, colorize, overlay
from segcore.figures.ranking import rank_plot
from segcore.figures.sizes import size_curves
from segcore.figures.theme import empty_figure
from segcore.figures.training import run_curves, step_curve
from segcore.figures.verdicts import verdict_matrix

__all__ = [
    "LegendEntry",
    "accuracy_curves",
    "class_difference_map",
    "class_legend",
    "class_map",
    "class_share_bars",
    "co_occurrence_map",
    "colorize",
    "confusion_heatmap",
    "cost_bars",
    "cost_scatter",
    "empty_figure",
    "overlay",
    "rank_plot",
    "run_curves",
    "size_curves",
    "step_curve",
    "verdict_matrix",
]
