"""Checks of arguments and data, whose error messages share one wording.

Every message says what was expected and what was received and, where it is not obvious, what to do.
"""

import difflib
import math
import numbers
import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

# Rows checked at a time, so that a check never copies the whole of a large array.
_CHUNK_ROWS = 4096
# Sizes that NumPy and the backends can count.
_LARGEST_INT = 2**63 - 1
# Characters of a name that a list of several shows.
_NAME = 40


def wrong_argument(name: str, owner: str, expected: str, received: Any) -> ValueError:
    """Returns the error that an argument is answered with which must do what is `expected`."""
    return ValueError(
        f"Argument `{name}` of {owner} must {expected}. Received: {name}={shown(received, 200)}"
    )


def check_positive_int(name: str, value: Any, owner: str) -> int:
    """Returns `value` as an `int` if it is a whole number of at least 1."""
    return _check_int(name, value, owner, least=1)


def check_non_negative_int(name: str, value: Any, owner: str) -> int:
    """Returns `value` as an `int` if it is a whole number of at least 0."""
    return _check_int(name, value, owner, least=0)


def _check_int(name: str, value: Any, owner: str, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < least:
        raise wrong_argument(name, owner, f"be a whole number of at least {least}", value)
    if int(value) > _LARGEST_INT:
        raise wrong_argument(name, owner, f"be a whole number of at most {_LARGEST_INT}", value)
    return int(value)


def check_fraction(name: str, value: Any, owner: str, *, below_one: bool = False) -> float:
    """Returns `value` as a `float` if it lies in [0, 1] (in [0, 1) with `below_one`)."""
    interval = "[0, 1)" if below_one else "[0, 1]"
    valid = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not valid or not 0 <= value <= 1 or (below_one and value == 1):
        raise wrong_argument(name, owner, f"lie in {interval}", value)
    return float(value)


def check_share(name: str, value: Any, owner: str) -> float:
    """Returns `value` as a `float` if it lies in (0, 1)."""
    share = check_fraction(name, value, owner)
    if share in (0, 1):
        raise wrong_argument(name, owner, "lie in (0, 1)", value)
    return share


def check_non_negative(name: str, value: Any, owner: str) -> float:
    """Returns `value` as a `float` if it is a finite number of at least 0."""
    valid = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not valid or not _is_finite(value) or value < 0:
        raise wrong_argument(name, owner, "be a finite number of at least 0", value)
    return float(value)


def check_positive(name: str, value: Any, owner: str) -> float:
    """Returns `value` as a `float` if it is a finite number above 0."""
    if check_non_negative(name, value, owner) == 0:
        raise wrong_argument(name, owner, "be a finite number above 0", value)
    return float(value)


def check_choice(name: str, value: Any, choices: Sequence[Any], owner: str) -> Any:
    """Returns `value` if it is one of `choices`."""
    # Arrays compare each of their entries.
    is_array = isinstance(value, np.ndarray)
    if is_array or not any(value is choice or value == choice for choice in choices):
        listed = ", ".join(repr(choice) for choice in choices)
        raise wrong_argument(name, owner, f"be one of {listed}", value)
    return value


def shown(value: Any, most: int = 60) -> str:
    """Returns a value as Python writes it, cut where it is longer: it may come from a file.

    Example:

    >>> shown("a" * 100, most=8)
    "'aaaaaaa..."
    """
    text = " ".join(repr(value).split())
    return text if len(text) <= most else f"{text[:most]}..."


def listed(names: Iterable[Any], most: int = 8) -> str:
    """Returns names with commas between them: of many the first ones, each of at most 40 letters.

    Example:

    >>> listed(["a", "b", "c"], most=2)
    'a, b and 1 more'
    """
    texts = [str(name) for name in names]
    cut = [text if len(text) <= _NAME else f"{text[:_NAME]}..." for text in texts[:most]]
    return ", ".join(cut) + (f" and {len(texts) - most} more" if len(texts) > most else "")


def check_bool(name: str, value: Any, owner: str) -> bool:
    """Returns `value` as a `bool` if it is true or false, or 0 or 1."""
    if not isinstance(value, (bool, np.bool_)) and not (
        isinstance(value, numbers.Integral) and value in (0, 1)
    ):
        raise wrong_argument(name, owner, "be True or False", value)
    return bool(value)


def check_seed(name: str, value: Any, owner: str) -> int | None:
    """Returns `value` if it is a whole number of at least 0, or `None`."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 0:
        raise wrong_argument(name, owner, "be a whole number of at least 0, or None", value)
    return int(value)


def check_number(name: str, value: Any, owner: str) -> float:
    """Returns `value` as a `float` if it is a finite number."""
    valid = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not valid or not _is_finite(value):
        raise wrong_argument(name, owner, "be a finite number", value)
    return float(value)


def _is_finite(value: Any) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # of a whole number that no float holds
        return False


def get_activation(name: str, value: Any, owner: str) -> Any:
    """Returns the function that Keras knows by a name; a function as it is."""
    import keras  # here and below: reading data does not wait for it

    try:
        return keras.activations.get(value)
    except (ValueError, TypeError) as error:
        expected = "be the name of a Keras activation, such as 'relu', or a function"
        raise wrong_argument(name, owner, expected, value) from error


def get_initializer(name: str, value: Any, owner: str) -> Any:
    """Returns the initializer that Keras knows by a name; an initializer as it is."""
    import keras

    try:
        found = keras.initializers.get(value)
    except (ValueError, TypeError):
        found = None
    if found is None:
        expected = "be the name of a Keras initializer, such as 'he_normal', or an initializer"
        raise wrong_argument(name, owner, expected, value)
    return found


def did_you_mean(name: Any, known: Iterable[str]) -> str:
    """Returns "did you mean NAME? " for the known name most like a wrong one, or no text.

    Example:

    >>> did_you_mean("epoch", ["seed", "epochs"])
    'did you mean epochs? '
    """
    close = difflib.get_close_matches(str(name), known, n=1)
    return f"did you mean {close[0]}? " if close else ""


def per_level(name: str, value: Any, num_levels: int, owner: str) -> list[Any]:
    """Repeats a single value for every level, or checks that a list has one entry per level."""
    if not isinstance(value, (list, tuple)):
        return [value] * num_levels
    if len(value) != num_levels:
        raise ValueError(
            f"Argument `{name}` of {owner} must be one value or a list with one entry per level, "
            f"here {num_levels}. Received {len(value)} entries: {name}={shown(value)}"
        )
    return list(value)


def unmasked(array: Any) -> Any:
    """Returns a masked array as a plain one, where what is masked is missing; others as is."""
    if not isinstance(array, np.ma.MaskedArray):
        return array
    return np.ma.filled(array.astype("float64"), np.nan) if array.mask.any() else array.data


def as_numbers(value: Any, owner: str, name: str) -> np.ndarray:
    """Returns a non-empty array of finite numbers, made of anything that NumPy takes."""
    try:
        array = np.asarray(unmasked(value))
    except (ValueError, TypeError) as error:  # such as rows of different lengths
        raise wrong_argument(name, owner, "be an array of numbers", value) from error
    if array.dtype.kind not in "biuf" or array.ndim == 0 or array.size == 0:
        raise ValueError(
            f"Argument `{name}` of {owner} must be an array of numbers, not empty. Received: "
            f"{name}={shown(value)}"
        )
    if not np.isfinite(array).all():
        raise ValueError(
            f"Argument `{name}` of {owner} must be an array of finite numbers. Received one that "
            "holds NaN or infinity: remove or fill such values first."
        )
    return array


def check_path(name: str, value: Any, owner: str) -> Any:
    """Returns `value` if it can name a file or a folder."""
    if not isinstance(value, (str, os.PathLike)) or not str(value):
        raise wrong_argument(name, owner, "be the path of a file or folder, or a name", value)
    return value


def check_text(name: str, value: Any, owner: str) -> str:
    """Returns `value` if it is text, not empty."""
    if not isinstance(value, str) or not value:
        raise wrong_argument(name, owner, "be text, not empty", value)
    return value


def check_verbose(value: Any, owner: str) -> Any:
    """Returns `value` if it says how much training tells: `"auto"`, 0, 1 or 2."""
    return check_choice("verbose", value, ("auto", 0, 1, 2), owner)


def check_image_shape(name: str, value: Any, owner: str) -> None:
    """Checks that `value` is a height and a width and, if there is a third number, channels."""
    is_shape = isinstance(value, (list, tuple)) and len(value) in (2, 3)
    for size in value if is_shape else (0,):
        if isinstance(size, bool) or not isinstance(size, numbers.Integral) or size < 1:
            expected = "be the shape of an image, such as (28, 28) or (28, 28, 1)"
            raise wrong_argument(name, owner, expected, value)


def check_rows(
    x: np.ndarray,
    owner: str,
    *,
    shape: tuple[int, ...] | None = None,
    within: tuple[float, float] | None = None,
    name: str = "x",
) -> None:
    """Checks that `x` is a non-empty array of finite numbers, before anything is trained on it.

    Args:
        x: Array of shape `(rows, ...)`.
        owner: The caller's name in the error message.
        shape: Expected shape of one row, such as `(784,)`; `None` for any.
        within: Range of the decoder's output, in which every value must lie: (0, 1) for
            cross-entropy and sigmoid, (-1, 1) for tanh; `None` for no bounds.
        name: The array's name in the error message.
    """
    if x.dtype.kind not in "biuf":
        raise ValueError(f"{owner} needs numbers in `{name}`. Received an array of {x.dtype}.")
    if shape is not None and x.shape[1:] != tuple(shape):
        is_flat = len(shape) > 1 and x.shape[1:] == (math.prod(shape),)
        remedy = ": load images with flatten=False, or reshape them" if is_flat else ""
        raise ValueError(
            f"{owner} expects `{name}` of shape (rows, {', '.join(map(str, shape))}). "
            f"Received shape {x.shape}{remedy}."
        )
    if x.ndim == 0 or x.size == 0:
        raise ValueError(
            f"{owner} needs at least one row and one column in `{name}`. Received shape {x.shape}."
        )
    for start in range(0, len(x), _CHUNK_ROWS):
        chunk = x[start : start + _CHUNK_ROWS]
        _check_finite(chunk, start, name, owner, "remove or fill such values first")
        if x.dtype == "float64" and np.abs(chunk).max() > _largest():
            raise ValueError(
                f"{owner} needs numbers up to {_largest():.2g}, which float32 can hold, but "
                f"`{name}` reaches {np.abs(chunk).max():.3g} from row {start} on: scale the data."
            )
        if within is not None and (chunk.min() < within[0] or chunk.max() > within[1]):
            raise ValueError(_out_of_bounds(owner, name, within, start, chunk))


def _check_finite(chunk, start, name, owner, remedy):
    """Refuses rows, of which the first has the number `start`, that hold NaN or infinity."""
    finite = np.isfinite(chunk)
    if not finite.all():
        row = start + int(np.argwhere(~finite)[0][0])
        raise ValueError(
            f"{owner} needs finite numbers in `{name}`, but row {row} holds NaN or infinity: "
            f"{remedy}."
        )


def _largest():
    """Returns the largest number of the type that Keras computes with."""
    import keras

    return float(np.finfo("float64" if keras.config.floatx() == "float64" else "float32").max)


def _out_of_bounds(owner, name, within, start, chunk):
    span = f"from row {start} on it ranges from {chunk.min():.6g} to {chunk.max():.6g}"
    if within == (0, 1):
        return (
            f"{owner} uses cross-entropy or a sigmoid output, which need `{name}` in [0, 1], but "
            f"{span}: scale the data to [0, 1], or use reconstruction_loss='squared_error' or "
            "'auto', with a linear output."
        )
    return (
        f"{owner} reconstructs `{name}` through an activation whose values lie in "
        f"[{within[0]}, {within[1]}], but {span}: scale the data, or use a linear output."
    )


def lies_within_unit(x: np.ndarray) -> bool:
    """Whether every value of `x` lies in [0, 1]; reads `x` once, without copying it."""
    for start in range(0, len(x), _CHUNK_ROWS):
        chunk = x[start : start + _CHUNK_ROWS]
        if chunk.min() < 0 or chunk.max() > 1:
            return False
    return True


def check_same_length(x: Any, y: Any, owner: str) -> None:
    """Checks that there is one label per row."""
    if np.ndim(y) == 0:
        raise ValueError(f"{owner} needs one label per row in `y`. Received a single value.")
    if len(x) != len(y):
        raise ValueError(
            f"{owner} needs one label per row. Received {len(x)} rows in `x` and "
            f"{len(y)} labels in `y`."
        )


def check_weights(weights: np.ndarray, x: Any, owner: str) -> None:
    """Checks that there is one weight per row, none of them negative and at least one above 0."""
    if weights.dtype.kind not in "biuf" or weights.ndim == 0 or weights.size != len(weights):
        raise ValueError(
            f"{owner} needs one number per row in `sample_weight`. Received an array of "
            f"{weights.dtype} of shape {weights.shape}."
        )
    if len(weights) != len(x):
        raise ValueError(
            f"{owner} needs one weight per row. Received {len(x)} rows in `x` and "
            f"{len(weights)} weights in `sample_weight`."
        )
    if not np.isfinite(weights).all() or weights.min() < 0 or weights.max() <= 0:
        raise ValueError(
            f"{owner} needs finite numbers of at least 0 in `sample_weight`, and at least one "
            f"above 0. Received numbers from {weights.min():g} to {weights.max():g}."
        )


def check_targets(
    y: np.ndarray, owner: str, within: tuple[float, float] | None, loss: str | None
) -> None:
    """Checks that targets are finite numbers, which the loss can measure.

    Args:
        y: Array of shape `(rows, ...)`.
        owner: The caller's name in the error message.
        within: Range in which every target must lie; `None` for no bounds.
        loss: The loss' name in the error message.
    """
    if y.dtype.kind not in "biuf":
        raise ValueError(f"{owner} needs numbers in `y`. Received an array of {y.dtype}.")
    for start in range(0, len(y), _CHUNK_ROWS):
        chunk = y[start : start + _CHUNK_ROWS]
        _check_finite(chunk, start, "y", owner, "leave out rows without a target")
        if within is not None and (chunk.min() < within[0] or chunk.max() > within[1]):
            raise ValueError(
                f"{owner} measures by {loss}, which needs targets in [{within[0]}, {within[1]}]. "
                f"Received targets from {chunk.min():.6g} to {chunk.max():.6g}: scale them, or "
                "compile with another loss, such as 'mean_squared_error'."
            )


def check_class_labels(y: np.ndarray, num_classes: int, owner: str) -> None:
    """Checks that `y` holds whole class numbers from 0 to `num_classes - 1`, one per row."""
    if y.ndim == 2 and y.shape[1] > 1:
        raise ValueError(
            f"{owner} expects integer class labels of shape (rows,) for sparse categorical "
            f"cross-entropy. Received shape {y.shape}, which looks like one-hot labels: pass "
            "y.argmax(axis=1), or compile with loss='categorical_crossentropy'."
        )
    if y.dtype.kind not in "biu":
        raise ValueError(
            f"{owner} expects integer class labels from 0 to {num_classes - 1}. "
            f"Received labels of {y.dtype}: convert them, for example with y.astype('int64')."
        )
    if y.size and (y.min() < 0 or y.max() >= num_classes):
        raise ValueError(
            f"{owner} expects class labels from 0 to {num_classes - 1}. "
            f"Received labels from {y.min()} to {y.max()}."
        )
