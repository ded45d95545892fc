"""TensorBoard logs for each level, by Keras' own callback."""

import importlib.util
from pathlib import Path

import keras
import numpy as np

from keras_sda._validation import check_image_shape, check_non_negative_int, check_path

_COLUMNS = 10


class LevelTensorBoard(keras.callbacks.TensorBoard):
    """Writes curves, histograms of the weights and pictures of the filters for TensorBoard.

    Keras' own callback, with a folder for each level (`level1`, `level2`, ...; `fit` if there are
    no levels), so that TensorBoard shows the levels as separate runs. It is called once per epoch,
    so that a fast `fit` can take many steps per call, unless `update_freq` asks for batches.

    Args:
        log_dir: Folder to write to.
        image_shape: Shape of an image, such as `(28, 28, 1)`, to draw the first level's filters as
            images: the 100 with the largest weights, each with its own grey scale. `None` draws
            none.
        histogram_freq: Epochs between two histograms of each weight, and between two pictures of
            the filters; 0 for none.
        **kwargs: As for `keras.callbacks.TensorBoard`.

    Raises:
        ImportError: If TensorBoard or TensorFlow, which writes its files, is not installed.

    Example:

    ```python
    board = LevelTensorBoard("logs", image_shape=(28, 28, 1))
    sda.pretrain(x, callbacks=[board])      # then: tensorboard --logdir logs
    ```
    """

    def __init__(self, log_dir="logs", image_shape=None, histogram_freq=1, **kwargs):
        if importlib.util.find_spec("tensorboard") is None:
            raise ImportError(
                "LevelTensorBoard needs TensorBoard, which is not installed: "
                '`pip install "keras-sda[tensorboard]"`.'
            )
        if importlib.util.find_spec("tensorflow") is None:
            raise ImportError(
                "LevelTensorBoard needs TensorFlow, which is not installed: "
                "`pip install tensorflow`, or use keras.callbacks.CSVLogger."
            )
        owner = "LevelTensorBoard"
        check_path("log_dir", log_dir, owner)
        check_non_negative_int("histogram_freq", histogram_freq, owner)
        if image_shape is not None:
            check_image_shape("image_shape", image_shape, owner)
        # The graph of a step would be traced once more just to be drawn.
        kwargs = {"write_graph": False, **kwargs}
        super().__init__(log_dir=str(log_dir), histogram_freq=histogram_freq, **kwargs)
        self.image_shape = image_shape
        self._top_dir = log_dir

    @property
    def accepts_step_groups(self):
        """Whether several steps may pass between two calls."""
        return self.update_freq == "epoch" and not self.write_steps_per_second

    def set_model(self, model):
        level = getattr(model, "level", None)
        folder = "fit" if level is None else f"level{level + 1}"
        self.log_dir = str(Path(self._top_dir) / folder)
        super().set_model(model)

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)
        if self.image_shape is None or not self.histogram_freq or epoch % self.histogram_freq:
            return
        kernel = self._kernel()
        if kernel is not None:
            with self.summary.create_file_writer(str(Path(self.log_dir) / "filters")).as_default():
                picture = mosaic(kernel, self.image_shape)
                self.summary.image("filters", picture[None, :, :, None], step=epoch)

    def _kernel(self):
        """Returns the first kernel whose inputs are images of the given shape, if there is one."""
        for weight in self.model.weights:
            is_kernel = weight.path.endswith("kernel") and len(weight.shape) == 2
            if is_kernel and weight.shape[0] == np.prod(self.image_shape):
                return keras.ops.convert_to_numpy(weight.value)
        return None


def mosaic(kernel: np.ndarray, image_shape: tuple[int, ...]) -> np.ndarray:
    """Returns filters as one picture in [0, 1], each scaled to its own range.

    Args:
        kernel: Array of shape `(pixels, units)`.
        image_shape: Shape of an image; colours are averaged.

    Returns:
        Array of shape `(rows * (height + 1), 10 * (width + 1))`, for up to ten rows.
    """
    strongest = np.argsort(-np.linalg.norm(kernel, axis=0), kind="stable")[: _COLUMNS**2]
    images = kernel[:, np.sort(strongest)].T.reshape(-1, *image_shape)
    images = images.reshape(*images.shape[:3], -1).mean(axis=3).astype("float32")
    low, high = (f(images, axis=(1, 2), keepdims=True) for f in (np.min, np.max))
    images = (images - low) / np.where(high > low, high - low, 1)
    rows = -(-len(images) // _COLUMNS)
    missing = rows * _COLUMNS - len(images)
    images = np.pad(images, ((0, missing), (0, 1), (0, 1)), constant_values=1)
    _, height, width = images.shape
    grid = images.reshape(rows, _COLUMNS, height, width).transpose(0, 2, 1, 3)
    return grid.reshape(rows * height, _COLUMNS * width)
