"""Pictures of data, models and runs.

Functions return a `matplotlib.figure.Figure` and show nothing; save it, or let a notebook draw it.
"""

from keras_sda.plots.activations import count_units, plot_activations
from keras_sda.plots.classifiers import plot_confusion, plot_decision_surface
from keras_sda.plots.codes import plot_codes, project_codes
from keras_sda.plots.curves import plot_learning_curves
from keras_sda.plots.filters import (
    chain_kernels,
    level_kernels,
    plot_filters,
    plot_level_filters,
)
from keras_sda.plots.images import tile_images
from keras_sda.plots.label_curves import plot_label_curves
from keras_sda.plots.latent import plot_manifold, plot_traversals
from keras_sda.plots.reconstructions import (
    corrupt_rows,
    plot_model_reconstructions,
    plot_reconstructions,
)
from keras_sda.plots.scores import plot_scores

__all__ = [
    "chain_kernels",
    "corrupt_rows",
    "count_units",
    "level_kernels",
    "plot_activations",
    "plot_codes",
    "plot_confusion",
    "plot_decision_surface",
    "plot_filters",
    "plot_label_curves",
    "plot_learning_curves",
    "plot_level_filters",
    "plot_manifold",
    "plot_model_reconstructions",
    "plot_reconstructions",
    "plot_scores",
    "plot_traversals",
    "project_codes",
    "tile_images",
]
