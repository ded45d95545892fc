"""Used by all pictures: rows as images, tiled images, and the colours of classes."""

import math

import numpy as np

from keras_sda._validation import as_numbers, check_non_negative_int
from keras_sda.plots.accepted import check_arguments, check_size

# Paul Tol's "muted" scheme, which colour-blind readers can tell apart, too. For text on white, cyan
# and sand are a little darker here, and black and grey replace the pale grey and the olive.
_CLASS_COLOURS = (
    "#332288",
    "#CC6677",
    "#117733",
    "#4FA8D8",
    "#882255",
    "#C2A23A",
    "#44AA99",
    "#AA4499",
    "#000000",
    "#7F7F7F",
)


def class_colour(number):
    """Returns the colour of a class; after the tenth the colours repeat."""
    return _CLASS_COLOURS[int(number) % len(_CLASS_COLOURS)]


def show_as_written(texts):
    """Keeps Matplotlib from reading names with dollar signs as formulas."""
    for text in texts:
        text.set_parse_math(False)


def note_rows(figure):
    """Writes below a picture that rows of the data can be read from it, and returns it."""
    figure.supxlabel("shows rows of the data", fontsize=7, color="0.4", x=0.99, ha="right")
    return figure


def tile_images(images, columns=None, gap=1, background=1.0):
    """Tiles images into one large image.

    Args:
        images: Array of shape `(count, height, width)`.
        columns: Images per row; by default about the number of rows.
        gap: Pixels between two images.
        background: Value of the gaps and of empty places.

    Returns:
        Array of shape `(rows * (height + gap) - gap, columns * (width + gap) - gap)`.

    Example:

    >>> tile_images(np.zeros((3, 2, 2)), columns=2).shape
    (5, 5)
    """
    owner = "tile_images()"
    images = as_numbers(images, owner, "images")
    check_non_negative_int("gap", gap, owner)
    check_arguments(owner, columns=columns, background=background)
    if images.ndim != 3:
        raise ValueError(
            f"Argument `images` of {owner} must have the shape (count, height, width). "
            f"Received shape {images.shape}."
        )
    count, height, width = images.shape
    columns = columns or math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    shape = (rows * (height + gap) - gap, columns * (width + gap) - gap)
    check_size(*shape, owner)
    tiled = np.full(shape, background)
    for index, image in enumerate(images):
        row, column = divmod(index, columns)
        top, left = row * (height + gap), column * (width + gap)
        tiled[top : top + height, left : left + width] = image
    return tiled


def as_images(rows, image_shape):
    """Returns rows as images of shape `(count, height, width)`; colours are averaged.

    Raises:
        ValueError: If a row does not have as many values as an image has pixels.
    """
    rows = np.asarray(rows, dtype="float64")
    values = math.prod(rows.shape[1:])
    if values != math.prod(image_shape):
        raise ValueError(
            f"Argument `image_shape` must have as many pixels as a row has values, {values}. "
            f"Received: image_shape={tuple(image_shape)}"
        )
    images = rows.reshape(len(rows), *image_shape)
    return images.mean(axis=-1) if images.ndim == 4 else images


def shape_of_images(model, image_shape):
    """Returns the given shape, or that of the model's rows if they are images, or `None`."""
    shape = image_shape if image_shape is not None else getattr(model, "row_shape", ())
    return tuple(shape) if len(shape) in (2, 3) else None
