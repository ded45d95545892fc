"""Pictures of reconstructions, drawn while a model trains."""

import importlib.util
import io
import math
from pathlib import Path

import keras
import numpy as np

from keras_sda._validation import check_non_negative_int, check_positive_int, check_rows


class ReconstructionPictures(keras.callbacks.Callback):
    """Draws the model's reconstructions of a few fixed rows at intervals during training.

    Each picture shows the rows, the same rows corrupted, always by the same draw of the noise, and
    their reconstructions. The first picture, number 0, is drawn before training. In `pretrain` each
    level draws its own: the rows are encoded by the levels below, corrupted and reconstructed by
    this one, and decoded again, so that each picture shows rows of the input.

    Weights, histories and random streams are the same as without it. With `every_epochs` it is
    called once per epoch, so that a fast `fit` can take many steps per call; `every_steps` makes it
    take every step by itself, which is slower.

    Args:
        rows: Array of about a dozen rows, of the training data or of other data.
        image_shape: Shape of an image, such as `(28, 28, 1)`; `None` draws images if the rows are
            images, otherwise tables.
        folder: Folder to write PNG files to, created if it does not exist; files of the same name
            are replaced. Names end with the number of epochs or steps done:
            `reconstructions-epoch0003.png`, in `pretrain`
            `reconstructions-level2-epoch0003.png`. `None` shows one picture in the output of a
            notebook cell (one per level) and updates it during training. Every picture says that
            it shows rows of the data: see who may read the folder.
        every_epochs: Epochs between two pictures; 1 if `every_steps` is not given either.
        every_steps: Steps between two pictures, counted across epochs.
        seed: Seed of the noise.

    Raises:
        ValueError: If an argument is not valid; at the start of training, if the model does not
            reconstruct or takes rows of another shape.
        ImportError: If `folder` is `None` and IPython is not installed.

    Example:

    ```python
    pictures = ReconstructionPictures(x[:12], image_shape=(28, 28, 1), folder="pictures")
    sda.pretrain(x, epochs=15, callbacks=[pictures])
    ```
    """

    def __init__(
        self, rows, image_shape=None, folder=None, every_epochs=None, every_steps=None, seed=0
    ):
        super().__init__()
        owner = "ReconstructionPictures"
        self.rows = np.asarray(rows)
        if self.rows.ndim < 2 or not len(self.rows) or self.rows.dtype.kind not in "biuf":
            raise ValueError(
                f"Argument `rows` of {owner} must be an array of a few rows of numbers. "
                f"Received an array of {self.rows.dtype} of shape {self.rows.shape}."
            )
        check_rows(self.rows, owner, name="rows")
        if image_shape is None and self.rows.ndim > 2:
            image_shape = self.rows.shape[1:]
        width = math.prod(self.rows.shape[1:])
        if image_shape is not None and math.prod(image_shape) != width:
            raise ValueError(
                f"Argument `image_shape` of {owner} must have as many pixels as a row has values, "
                f"{width}. Received: image_shape={image_shape!r}"
            )
        self.image_shape = image_shape
        if every_epochs is not None and every_steps is not None:
            raise ValueError(
                f"{owner} takes `every_epochs` or `every_steps`. Received both: "
                f"every_epochs={every_epochs!r}, every_steps={every_steps!r}"
            )
        if every_steps is None:
            every_epochs = 1 if every_epochs is None else every_epochs
            check_positive_int("every_epochs", every_epochs, owner)
        else:
            check_positive_int("every_steps", every_steps, owner)
        self.every_epochs = every_epochs
        self.every_steps = every_steps
        self.seed = check_non_negative_int("seed", seed, owner)
        self.folder = None if folder is None else Path(folder)
        if folder is None and importlib.util.find_spec("IPython") is None:
            raise ImportError(
                f"{owner} without `folder` draws into a notebook, which needs IPython: "
                "`pip install ipython`, or pass folder='pictures' to write files."
            )
        self._layers_below = []
        self._reset()

    @property
    def accepts_step_groups(self):
        """Whether `fit` may take several steps between two calls."""
        return self.every_steps is None

    # Keras need not wait for a hook for batches that does nothing.
    async_safe = accepts_step_groups

    def _reset(self):
        self._steps_before = self._steps = self._drawn_at = 0
        self._display = None

    def on_level_begin(self, level, logs=None):
        self._layers_below = logs["layers_below"]

    def on_train_begin(self, logs=None):
        self._reset()
        # One of Keras' own classes need only have the method.
        able = getattr(self.model, "reconstructs", hasattr(self.model, "reconstruct"))
        if self._level is None and not able:
            raise ValueError(
                "ReconstructionPictures needs a model that reconstructs, such as an autoencoder or "
                f"a stack. Received a {type(self.model).__name__}: leave the callback out."
            )
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
        self._draw("epoch" if self.every_steps is None else "step", 0)

    def on_epoch_end(self, epoch, logs=None):
        self._steps_before = self._steps
        if self.every_epochs is not None and (epoch + 1) % self.every_epochs == 0:
            self._draw("epoch", epoch + 1)

    def on_train_batch_end(self, batch, logs=None):
        if self.every_steps is None:
            return
        self._steps = self._steps_before + batch + 1
        # With `compile(steps_per_execution=...)` several steps may have passed.
        if self._steps // self.every_steps > self._drawn_at // self.every_steps:
            self._drawn_at = self._steps
            if hasattr(self.model, "jax_state_sync"):  # under JAX, variables lag behind the steps
                self.model.jax_state_sync()
            self._draw("step", self._steps)

    @property
    def _level(self):
        """The number of the level that is being pretrained, or `None` in any other `fit`."""
        return getattr(self.model, "level", None)

    def _draw(self, unit, number):
        from keras_sda import plots  # Matplotlib, which takes a while, when it is needed
        from keras_sda.plots.images import note_rows

        title = f"{unit} {number}"
        if self._level is not None:
            title = f"level {self._level + 1}, {title}"
        if self._layers_below and self._level is not None:
            title += ": corrupted and reconstructed codes, decoded to the input"
        if self._level is None:
            figure = plots.plot_model_reconstructions(
                self.model, self.rows, self.image_shape, self.seed, title
            )
        else:
            rows, corrupted, reconstructed = self._level_reconstructions(plots.corrupt_rows)
            figure = plots.plot_reconstructions(
                rows, corrupted, reconstructed, self.image_shape, title
            )
        picture = io.BytesIO()
        note_rows(figure).savefig(picture, format="png", dpi=100)
        if self.folder is None:
            self._show(picture.getvalue())
        else:
            digits = 4 if unit == "epoch" else 7
            level = "" if self._level is None else f"-level{self._level + 1}"
            name = f"reconstructions{level}-{unit}{number:0{digits}}.png"
            (self.folder / name).write_bytes(picture.getvalue())

    def _level_reconstructions(self, corrupt):
        """Returns the rows, the same rows corrupted if there is noise, and reconstructed."""
        codes = self.rows
        for layer in self._layers_below:
            codes = layer(codes)
        noise, layer = self.model.noise, self.model.layer
        corrupted = None
        if noise is not None:
            codes = corrupt(noise, keras.ops.convert_to_numpy(codes), self.seed)
            corrupted = self._decode(codes)
        return self.rows, corrupted, self._decode(layer(layer(codes), reverse=True))

    def _decode(self, codes):
        """Returns codes of the levels below as rows of the input."""
        for layer in reversed(self._layers_below):
            codes = layer(codes, reverse=True)
        return keras.ops.convert_to_numpy(keras.ops.cast(codes, keras.config.floatx()))

    def _show(self, picture):
        from IPython import display

        image = display.Image(data=picture)
        if self._display is None:
            self._display = display.display(image, display_id=True)
        else:
            self._display.update(image)
