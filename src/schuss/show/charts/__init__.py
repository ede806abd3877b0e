"""Results as pictures, drawn with matplotlib, without pyplot and without global state.

A function that draws one panel takes `ax`, the axes to draw into, and returns them; without `ax` it makes a figure of
its own (`ax.figure`). A function whose name ends in `_figure` draws a whole page and returns the Figure.
"""

from schuss.show.charts.activations import activation_curves, gallery_figure, layers_figure
from schuss.show.charts.comparison import learning_rate_figure, loss_figure, score_table
from schuss.show.charts.descent import descent_path, descents_figure, rule_figure
from schuss.show.charts.flow import flow_figure, flow_history_figure, flow_map, flow_profile, flow_profiles
from schuss.show.charts.training import loss_curves, training_figure

__all__ = [
    "activation_curves", "descent_path", "descents_figure", "flow_figure", "flow_history_figure", "flow_map",
    "flow_profile", "flow_profiles", "gallery_figure", "layers_figure", "learning_rate_figure", "loss_curves",
    "loss_figure", "rule_figure", "score_table", "training_figure",
]  # fmt: skip
