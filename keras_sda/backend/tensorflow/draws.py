"""The random numbers that TensorFlow draws without XLA, in a form that XLA compiles to the same.

By itself XLA would draw other ones on a processor, by a generator that needs several times as long
as all the rest of a step. The functions stand for those of `tf.random` that Keras calls; what Keras
asks for seldom goes to TensorFlow's own.
"""

import math

import tensorflow as tf

# As they are before `patches` puts these functions in their place.
_tf_uniform = tf.random.stateless_uniform
_tf_normal = tf.random.stateless_normal


def uniform(shape, seed, minval=0, maxval=None, dtype=tf.float32, name=None, alg="philox"):
    """Stands for `tf.random.stateless_uniform`."""
    if tf.as_dtype(dtype) != tf.float32:
        return _tf_uniform(shape, seed, minval, maxval, dtype, name, "philox")
    numbers = _uniform_below_1(shape, seed)
    return numbers if maxval is None else numbers * (maxval - minval) + minval


def _uniform_below_1(shape, seed):
    bits = _tf_uniform(shape, seed, minval=None, maxval=None, dtype=tf.uint32, alg="philox")
    # 23 bits as the fraction of a number from 1 to 2.
    fraction = tf.bitwise.bitwise_and(bits, tf.constant(0x7FFFFF, tf.uint32))
    from_1_to_2 = tf.bitwise.bitwise_or(fraction, tf.constant(0x3F800000, tf.uint32))
    return tf.bitcast(from_1_to_2, tf.float32) - 1.0


def normal(shape, seed, mean=0.0, stddev=1.0, dtype=tf.float32, name=None, alg="philox"):
    """Stands for `tf.random.stateless_normal`."""
    if tf.as_dtype(dtype) != tf.float32:
        return _tf_normal(shape, seed, mean, stddev, dtype, name, "philox")
    # Box and Muller's way, two numbers of two.
    count = tf.reduce_prod(shape)
    first, second = tf.unstack(_uniform_below_1(((count + 1) // 2, 2), seed), axis=1)
    radius = tf.sqrt(-2.0 * tf.math.log(tf.maximum(first, 1e-7)))
    sine, cosine = _on_the_circle(second)
    pairs = tf.stack([sine * radius, cosine * radius], axis=1)
    return tf.reshape(tf.reshape(pairs, (-1,))[:count], shape) * stddev + mean


def _on_the_circle(turns):
    """Returns sine and cosine of so many turns, from 0 to 1, to rounding.

    XLA's own, which are ready for angles of any size, take twice as long as all else of a draw.
    """
    quarter = tf.floor(4.0 * turns + 0.5)
    angle = (4.0 * turns - quarter) * (0.5 * math.pi)  # from the nearest quarter of the circle
    square = angle * angle
    # Chebyshev's polynomials up to an eighth of a turn, as in the Cephes library.
    sine = ((-1.9515295891e-4 * square + 8.3321608736e-3) * square - 1.6666654611e-1) * square
    sine = angle + angle * sine
    cosine = (2.443315711809948e-5 * square - 1.388731625493765e-3) * square
    cosine = 1.0 + square * (square * (cosine + 4.166664568298827e-2) - 0.5)
    is_swapped = tf.equal(quarter, 1.0) | tf.equal(quarter, 3.0)
    is_left = (quarter > 0.5) & (quarter < 2.5)
    is_below = (quarter > 1.5) & (quarter < 3.5)
    return (
        tf.where(is_swapped, cosine, sine) * tf.where(is_below, -1.0, 1.0),
        tf.where(is_swapped, sine, cosine) * tf.where(is_left, -1.0, 1.0),
    )


def dropout(x, rate, seed, rng_alg="philox", noise_shape=None, name=None):
    """Stands for `tf.nn.experimental.stateless_dropout`."""
    return tf.nn.experimental.general_dropout(
        x, rate, lambda shape, dtype: uniform(shape, seed, dtype=dtype), noise_shape, name
    )
