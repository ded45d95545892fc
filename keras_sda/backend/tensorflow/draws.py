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
    angle = 2.0 * math.pi * second
    pairs = tf.stack([tf.sin(angle) * radius, tf.cos(angle) * radius], axis=1)
    return tf.reshape(tf.reshape(pairs, (-1,))[:count], shape) * stddev + mean


def dropout(x, rate, seed, rng_alg="philox", noise_shape=None, name=None):
    """Stands for `tf.nn.experimental.stateless_dropout`."""
    return tf.nn.experimental.general_dropout(
        x, rate, lambda shape, dtype: uniform(shape, seed, dtype=dtype), noise_shape, name
    )
