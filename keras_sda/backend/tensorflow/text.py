"""Text in an exported model, as TensorFlow and LiteRT compare it."""

from collections.abc import Sequence

import tensorflow as tf


def text_codes(categories: tf.Tensor, known: Sequence[Sequence[str]]) -> tf.Tensor:
    """Returns which of the known values of its column each text is.

    By comparison with each, which LiteRT does without a table that would have to be filled first.

    Args:
        categories: Text of shape `(rows, columns)`.
        known: The known values of each column.

    Returns:
        int32 of the same shape: the number of the value, for an empty text their count, and one
        more for any other.
    """
    codes = []
    for place, values in enumerate(known):
        names = [*values, ""]
        is_value = tf.equal(categories[:, place : place + 1], tf.constant([names]))
        which = tf.argmax(tf.cast(is_value, tf.int32), axis=1, output_type=tf.int32)
        codes.append(tf.where(tf.reduce_any(is_value, axis=1), which, len(names)))
    return tf.stack(codes, axis=1)
