"""The pictures of a run: those that training leaves in its folder, and what `plot` draws."""

import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import keras

from keras_sda import datasets, plots
from keras_sda._validation import check_class_labels
from keras_sda.experiments import detecting
from keras_sda.experiments.figures import predicted_classes
from keras_sda.experiments.finished_run import Run
from keras_sda.experiments.run_folder import METRICS
from keras_sda.plots.images import note_rows

# Rows in a strip of reconstructions.
_STRIP = 12


def draw_overview(
    model: Any,
    data: datasets.Data,
    metrics: Mapping[str, Any],
    folder: Path,
    title: str = "",
    rows: bool = True,
) -> None:
    """Writes learning curves, and filters and reconstructions where the model has them.

    Args:
        model: A trained model.
        data: Its data.
        metrics: Histories of `pretraining` and `training`.
        folder: Where to write. Reconstructions that are there already stay.
        title: What the filters are called.
        rows: Whether rows may be seen; if not, no reconstructions are drawn.
    """
    curves = plots.plot_learning_curves(metrics["pretraining"], metrics["training"])
    _save(curves, folder / "learning_curves.png")
    filters = _first_filters(model, data.image_shape)
    if filters is not None:
        kernel, shape = filters
        name = f"{title}: filters" if title else "First-level filters"
        names = _feature_names(data.columns, len(kernel)) if shape is None else None
        figure = plots.plot_filters(kernel, shape, title=name, feature_names=names)
        _save(figure, folder / "filters.png")
    if rows and model.reconstructs:
        draw_reconstructions(model, data, folder)


def draw_reconstructions(model: Any, data: datasets.Data, folder: Path) -> None:
    """Writes a strip of rows, corrupted and reconstructed, unless there is one already."""
    path = folder / "reconstructions.png"
    if not path.exists():
        rows = (data.valid or data.train).x[:_STRIP]
        names = _feature_names(data.columns, rows.shape[-1])
        figure = plots.plot_model_reconstructions(
            model, rows, data.image_shape, feature_names=names
        )
        _save(note_rows(figure), path)


def _feature_names(columns: datasets.Columns | None, count: int) -> tuple[str, ...] | None:
    """Returns the names of the inputs of a table, if a model has as many; else `None`."""
    if columns is None or len(columns.input_names) != count:
        return None
    return columns.input_names


def _save(figure: Any, path: Path) -> None:
    figure.savefig(path, dpi=120)


def _first_filters(model: Any, image_shape: tuple[int, ...] | None) -> Any:
    """Returns the first kernel as a table with the shape of a filter, or `None` without one."""
    for weight in model.weights:
        if weight.path.endswith("kernel"):
            kernel = keras.ops.convert_to_numpy(weight)
            break
    else:
        return None
    if kernel.ndim == 4:  # a convolution: one filter a picture
        shape = kernel.shape[:2]
        kernel = kernel[:, :, 0]
        return kernel.reshape(-1, kernel.shape[-1]), shape
    is_image = image_shape is not None and len(kernel) == math.prod(image_shape)
    return kernel, image_shape if is_image else None


class RunPictures:
    """Draws the pictures that suit the model in a run folder.

    Args:
        run: The run, as `load_run` returns it.
        read_rows: Function that returns the `Split` of rows to draw, as `Run.rows` does; called
            when a picture needs rows, once.
        level: Level of filters, codes and activations, from 0; `None` for every level's filters and
            activations, and the last level's codes.
        method: How codes of many units are drawn: `"pca"` or `"tsne"`.
        dimensions: 2 or 3, for codes; `None` for 3 if there are three units, else 2.
        seed: Seed of what is drawn at random: the noise, the rows among many, the projection.
        show_rows: Whether pictures may be drawn in which a row could be found again; those that
            are say so.

    Example:

    ```python
    run = load_run("runs/digits-seed0")
    pictures = RunPictures(run, run.rows)
    for name, figure in pictures.draw(["filters", "codes"]):
        figure.savefig(f"{name}.png")
    ```
    """

    def __init__(
        self,
        run: Run,
        read_rows: Callable[[], datasets.Split],
        level: int | None = None,
        method: str = "pca",
        dimensions: int | None = None,
        seed: int = 0,
        show_rows: bool = True,
    ) -> None:
        self.run = run
        self.model: Any = run.model
        self.level = level
        self.method = method
        self.dimensions = dimensions
        self.seed = seed
        self.show_rows = show_rows
        self._read_rows = read_rows
        self._rows: datasets.Split | None = None

    def draw(self, kinds: Any = ()) -> Iterator[tuple[str, Any]]:
        """Yields name and figure of each picture of the kinds, by default of all that suit.

        Raises:
            ValueError: Before the first is drawn, if a kind does not suit the model, its history
                or the rows.
        """
        obstacles = {kind: self.obstacle(kind) for kind in kinds or KINDS}
        if not kinds and self.level is not None and all(map(obstacles.get, _OF_LEVELS)):
            kinds = _OF_LEVELS  # a level that is nowhere is refused, too
        for kind, obstacle in obstacles.items():
            if kind in kinds and obstacle:
                suiting = [other for other in KINDS if not self.obstacle(other)]
                raise ValueError(
                    f"No picture `{kind}` of this {type(self.model).__name__}: {obstacle}. What "
                    f"suits it: {', '.join(suiting)}."
                )
        for kind, obstacle in obstacles.items():
            if not obstacle:
                for name, figure in _WAYS[kind][1](self):
                    yield name, note_rows(figure) if kind in SHOWING_ROWS else figure

    def obstacle(self, kind: str) -> str:
        """Returns why there is no picture of a kind: nothing, an empty text, where there is one."""
        if kind in SHOWING_ROWS and not self.show_rows:
            return "a row of the data could be read from it, and rows are to be left out"
        return _WAYS[kind][0](self)

    @property
    def rows(self) -> datasets.Split:
        """Rows in the shape that the model takes, and their labels or `None`."""
        if self._rows is None:
            self._rows = self._read_rows()
        return self._rows

    @property
    def _image_shape(self) -> tuple[int, ...] | None:
        if len(self.model.row_shape) == 3:
            return tuple(self.model.row_shape)
        return self.run.image_shape

    @property
    def _feature_names(self) -> tuple[str, ...] | None:
        return _feature_names(self.run.columns, math.prod(self.model.row_shape))

    @property
    def _num_levels(self) -> int:
        """How many levels have codes."""
        return len(getattr(self.model, "levels", [None]))

    @property
    def _classes(self) -> Any:
        return self.run.classes

    def _hinders_level(self, count: int) -> str:
        if self.level is None or -count <= self.level < count:
            return ""
        if count == 1:
            return f"it has one level of them, number 0, and {self.level} was asked for"
        return f"its levels are 0 to {count - 1}, and {self.level} was asked for"

    def _hinders_filters(self) -> str:
        try:
            kernels = plots.level_kernels(self.model)
        except ValueError:
            return "filters are the kernels of levels, and it has none"
        return self._hinders_level(_count_chained(kernels))

    def _draw_filters(self):
        count = _count_chained(plots.level_kernels(self.model))
        for level in range(count) if self.level is None else [self.level % count]:
            figure = plots.plot_level_filters(
                self.model, level, self._image_shape, feature_names=self._feature_names
            )
            yield f"filters-level{level + 1}", figure  # counted from 1, as in its title

    def _hinders_reconstructions(self) -> str:
        return "" if self.model.reconstructs else "it does not reconstruct its rows"

    def _draw_reconstructions(self):
        rows = self.rows.x[:_STRIP]
        yield (
            "reconstructions",
            plots.plot_model_reconstructions(
                self.model,
                rows,
                self._image_shape,
                self.seed,
                feature_names=self._feature_names,
            ),
        )

    def _hinders_curves(self) -> str:
        history = self.run.metrics
        if history.get("pretraining") or history.get("training"):
            return ""
        return f"learning curves need the history of training, which {METRICS} does not hold"

    def _draw_curves(self):
        history = self.run.metrics
        before, after = history.get("pretraining", []), history.get("training", {})
        yield "curves", plots.plot_learning_curves(before, after)

    def _hinders_codes(self) -> str:
        if not hasattr(self.model, "encode") or not self._num_levels:
            return "it has no codes"
        return self._hinders_level(self._num_levels)

    def _encode(self):
        codes = self.run.encode(self.rows.x, self.level)
        if not hasattr(self.model, "levels"):
            return codes, "Codes"
        level = -1 if self.level is None else self.level
        return codes, f"Codes of level {level % self._num_levels + 1}"

    def _draw_codes(self):
        codes, title = self._encode()
        figure = plots.plot_codes(
            codes,
            self._labels_of_classes(),
            self.method,
            self.dimensions,
            self.seed,
            self._classes,
            title=title,
        )
        yield "codes", figure

    def _labels_of_classes(self):
        """Returns the labels if they are classes, which have colours; fractions have none."""
        y = self.rows.y
        return y if y is not None and y.dtype.kind in "iuU" else None

    def _hinders_activations(self) -> str:
        return self._hinders_codes()

    def _draw_activations(self):
        yield "activations", plots.plot_activations(self.model, self.rows.x, self.level)

    def _hinders_confusion(self) -> str:
        if self.model.num_classes is None:
            return "it does not classify"
        return "" if self.rows.labelled is not None else "the rows have no labels to compare with"

    def _draw_confusion(self):
        x, y = self.rows.labelled or self.rows
        check_class_labels(y, self.model.num_classes, "plot")  # type: ignore[arg-type]
        given = predicted_classes(self.model, x)
        names = self._classes or [str(number) for number in range(self.model.num_classes)]
        yield "confusion", plots.plot_confusion(y, given, names)

    def _hinders_surface(self) -> str:
        if self.model.num_classes is None or tuple(self.model.row_shape) != (2,):
            return "a decision surface needs a classifier of two features"
        return ""

    def _draw_surface(self):
        x, y = self.rows
        yield "surface", plots.plot_decision_surface(self.model, x, y, self._classes)

    def _hinders_manifold(self) -> str:
        if getattr(self.model, "latent_dim", None) != 2:
            return "a manifold needs a variational autoencoder with 2 latent units"
        return self._hinders_images("a manifold")

    def _hinders_images(self, what: str) -> str:
        return "" if self._image_shape is not None else f"{what} is drawn of images only"

    def _draw_manifold(self):
        yield "manifold", plots.plot_manifold(self.model, self._image_shape)

    def _hinders_traversals(self) -> str:
        if not hasattr(self.model, "traverse"):
            return "a traversal needs a variational autoencoder"
        return self._hinders_images("a traversal")

    def _draw_traversals(self):
        yield "traversals", plots.plot_traversals(self.model, image_shape=self._image_shape)

    def _hinders_scores(self) -> str:
        return "" if self.run.detector is not None else "it does not flag rows as outliers"

    def _draw_scores(self):
        detector = self.run.detector
        x, y = detecting.judged(self.rows)
        scores = -detector.score_samples(x)
        yield "scores", plots.plot_scores(scores, detector.threshold_, y)


def _count_chained(kernels):
    """Returns of how many levels filters can be drawn: with convolutions, of the first."""
    return 1 if any(kernel.ndim != 2 for kernel in kernels) else len(kernels)


_OF_LEVELS = ("filters", "codes", "activations")

# For each kind, what hinders it (nothing: an empty text), and what draws it.
_WAYS: dict[str, tuple[Callable[[Any], str], Callable[[Any], Iterator[Any]]]] = {
    "filters": (RunPictures._hinders_filters, RunPictures._draw_filters),
    "reconstructions": (RunPictures._hinders_reconstructions, RunPictures._draw_reconstructions),
    "curves": (RunPictures._hinders_curves, RunPictures._draw_curves),
    "codes": (RunPictures._hinders_codes, RunPictures._draw_codes),
    "activations": (RunPictures._hinders_activations, RunPictures._draw_activations),
    "confusion": (RunPictures._hinders_confusion, RunPictures._draw_confusion),
    "surface": (RunPictures._hinders_surface, RunPictures._draw_surface),
    "manifold": (RunPictures._hinders_manifold, RunPictures._draw_manifold),
    "traversals": (RunPictures._hinders_traversals, RunPictures._draw_traversals),
    "scores": (RunPictures._hinders_scores, RunPictures._draw_scores),
}
KINDS = tuple(_WAYS)

# The kinds that need rows, and those in which somebody could find a row of the data again: what a
# decoder draws may be a row that it has learned by heart.
OF_ROWS = ("reconstructions", "codes", "activations", "confusion", "surface", "scores")
SHOWING_ROWS = ("reconstructions", "codes", "surface", "manifold", "traversals")
