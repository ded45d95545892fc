"""The pictures of a finished run: what `keras-sda plot` draws."""

import json
import math
from collections.abc import Callable, Iterator
from typing import Any

from keras_sda import datasets, plots
from keras_sda._validation import check_class_labels
from keras_sda.datasets.batches import BATCH_SIZE
from keras_sda.experiments.run_folder import METRICS, Run

# Rows in a strip of reconstructions.
_STRIP = 12


class RunPictures:
    """Draws the pictures that suit the model in a run folder.

    Args:
        run: The run, as `run_folder.load_run` returns it.
        read_rows: Function that returns the `Split` of rows to draw; called when a picture needs
            rows, once.
        level: Level of filters, codes and activations, from 0; `None` for every level's filters and
            activations, and the last level's codes.
        method: How codes of many units are drawn: `"pca"` or `"tsne"`.
        dimensions: 2 or 3, for codes; `None` for 3 if there are three units, else 2.
        seed: Seed of what is drawn at random: the noise, the rows among many, the projection.

    Example:

    ```python
    run = load_run("runs/digits-seed0")
    pictures = RunPictures(run, lambda: run.rows(None))
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
    ) -> None:
        self.run = run
        self.model: Any = run.model
        self.level = level
        self.method = method
        self.dimensions = dimensions
        self.seed = seed
        self._read_rows = read_rows
        self._rows: datasets.Split | None = None

    def draw(self, kinds: Any = ()) -> Iterator[tuple[str, Any]]:
        """Yields name and figure of each picture of the kinds, by default of all that suit.

        Raises:
            ValueError: Before the first is drawn, if a kind does not suit the model, its history
                or the rows.
        """
        obstacles = {kind: getattr(self, f"_hinders_{kind}")() for kind in kinds or KINDS}
        if not kinds and self.level is not None and all(map(obstacles.get, _OF_LEVELS)):
            kinds = _OF_LEVELS  # a level that is nowhere is refused, too
        for kind, obstacle in obstacles.items():
            if kind in kinds and obstacle:
                suiting = [other for other in KINDS if not getattr(self, f"_hinders_{other}")()]
                raise ValueError(
                    f"No picture `{kind}` of this {type(self.model).__name__}: {obstacle}. What "
                    f"suits it: {', '.join(suiting)}."
                )
        for kind, obstacle in obstacles.items():
            if not obstacle:
                yield from getattr(self, f"_draw_{kind}")()

    @property
    def rows(self) -> datasets.Split:
        """Rows in the shape that the model takes, and their labels or `None`."""
        if self._rows is None:
            x, y = self._read_rows()
            shape = tuple(self.model.row_shape)
            if x.shape[1:] != shape and math.prod(x.shape[1:]) == math.prod(shape):
                x = x.reshape(len(x), *shape)
            self._rows = datasets.Split(x, y)
        return self._rows

    @property
    def _image_shape(self) -> tuple[int, ...] | None:
        if len(self.model.row_shape) == 3:
            return tuple(self.model.row_shape)
        shape = self.run.config.get("image_shape")
        return None if shape is None else tuple(shape)

    @property
    def _history(self) -> dict[str, Any]:
        path = self.run.folder / METRICS
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}

    @property
    def _num_levels(self) -> int:
        """How many levels have codes."""
        return len(getattr(self.model, "levels", [None]))

    @property
    def _classes(self) -> Any:
        return self.run.config.get("classes")

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
            figure = plots.plot_level_filters(self.model, level, self._image_shape)
            yield f"filters-level{level + 1}", figure  # counted from 1, as in its title

    def _hinders_reconstructions(self) -> str:
        return "" if hasattr(self.model, "reconstruct") else "it does not reconstruct its rows"

    def _draw_reconstructions(self):
        rows = self.rows.x[:_STRIP]
        yield (
            "reconstructions",
            plots.plot_model(self.model, rows, self._image_shape, self.seed),
        )

    def _hinders_curves(self) -> str:
        history = self._history
        if history.get("pretraining") or history.get("finetuning"):
            return ""
        return f"learning curves need the history of training, which {METRICS} does not hold"

    def _draw_curves(self):
        history = self._history
        before, after = history.get("pretraining", []), history.get("finetuning", {})
        yield "curves", plots.plot_learning_curves(before, after)

    def _hinders_codes(self) -> str:
        if not hasattr(self.model, "encode") or not self._num_levels:
            return "it has no codes"
        return self._hinders_level(self._num_levels)

    def _encode(self):
        if not hasattr(self.model, "levels"):
            return self.model.encode(self.rows.x), "Codes"
        level = -1 if self.level is None else self.level
        codes = self.model.encode(self.rows.x, level=level)
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
        return "" if self.rows.y is not None else "the rows have no labels to compare with"

    def _draw_confusion(self):
        x, y = self.rows
        check_class_labels(y, self.model.num_classes, "plot")  # type: ignore[arg-type]
        given = self.model.predict(x, batch_size=BATCH_SIZE, verbose=0).argmax(axis=1)
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


def _count_chained(kernels):
    """Returns of how many levels filters can be drawn: with convolutions, of the first."""
    return 1 if any(kernel.ndim != 2 for kernel in kernels) else len(kernels)


_OF_LEVELS = ("filters", "codes", "activations")

KINDS = (
    "filters",
    "reconstructions",
    "curves",
    "codes",
    "activations",
    "confusion",
    "surface",
    "manifold",
    "traversals",
)
