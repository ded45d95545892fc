"""The levels of a stack, made from arguments that are one value or one per level."""

import keras

from keras_sda import initializers, losses
from keras_sda._validation import (
    check_bool,
    check_positive_int,
    get_activation,
    per_level,
)
from keras_sda.datasets.outside_memory import rows_to_describe
from keras_sda.layers import ColumnSwapNoise
from keras_sda.layers.noise import copy_noise, get_noise
from keras_sda.layers.tied_dense import TiedDense
from keras_sda.regularizers import UNIT_ACTIVATIONS


def check_hidden_units(hidden_units, owner, each="level", remedy=""):
    """Returns the units of each level as a list of whole numbers of at least 1.

    Args:
        hidden_units: What was given for the argument of this name.
        owner: Who asks, for error messages.
        each: What a level is called there.
        remedy: What to do without any level.
    """
    if not isinstance(hidden_units, (list, tuple)) or not hidden_units:
        raise ValueError(
            f"Argument `hidden_units` of {owner} must list the units of each {each}, at least "
            f"one{remedy}. Received: hidden_units={hidden_units!r}"
        )
    return [check_positive_int("hidden_units", units, owner) for units in hidden_units]


def build_levels(
    input_dim, hidden_units, activation, tied, kernel_initializer, seeds, owner, dtype=None
):
    """Returns one built `TiedDense` per level, the lowest first.

    Args:
        input_dim: Number of features of a row.
        hidden_units: Number of hidden units of each level.
        activation: Activation of the codes, or one per level.
        tied: Whether decoders share the kernels of the encoders, or one per level.
        kernel_initializer: Initial kernels; each level draws its own. `"auto"` goes by the level's
            activation.
        seeds: For each level that of its kernel and that of its visible kernel.
        owner: Who asks, for error messages.
        dtype: Dtype or policy of the layers.
    """
    num_levels = len(hidden_units)
    activations = per_level("activation", activation, num_levels, owner)
    tieds = [check_bool("tied", each, owner) for each in per_level("tied", tied, num_levels, owner)]
    for each in activations:
        get_activation("activation", each, owner)
    levels = []
    width = input_dim
    for level, (units, (seed, visible_seed)) in enumerate(zip(hidden_units, seeds, strict=True)):
        initializer = initializers.for_activation(kernel_initializer, activations[level])
        if initializer == "he_normal" and kernel_initializer == "auto" and tieds[level]:
            initializer = initializers.he_normal_of_tied(width, units)
        layer = TiedDense(
            units,
            activation=activations[level],
            tied=tieds[level],
            kernel_initializer=initializers.for_level(initializer, level, seed),
            visible_kernel_initializer=initializers.for_level(
                initializer, num_levels + level, visible_seed
            ),
            dtype=dtype,
            name=f"level_{level + 1}",
        )
        layer.build((None, width))
        levels.append(layer)
        width = units
    return levels


def build_noises(noise, noise_level, widths, seeds, owner, dtype=None):
    """Returns one built noise layer, or `None`, per level.

    Args:
        noise: Name, Keras layer or `None`, or one per level.
        noise_level: Level of a noise given by name, or one per level.
        widths: Number of columns of each level's input.
        seeds: Seed of each level's noise.
        owner: Who asks, for error messages.
        dtype: Dtype or policy of the layers.
    """
    num_levels = len(seeds)
    rates = per_level("noise_level", noise_level, num_levels, owner)
    kinds = per_level("noise", noise, num_levels, owner)
    if isinstance(noise, keras.layers.Layer):  # each level draws its own
        kinds[1:] = [copy_noise(noise, seed=seed, on_codes=True) for seed in seeds[1:]]
    layers = [
        get_noise(kind, rate, owner, seed=seed, dtype=dtype, name=f"noise_{level + 1}")
        for level, (kind, rate, seed) in enumerate(zip(kinds, rates, seeds, strict=True))
    ]
    for layer, width in zip(layers, widths, strict=True):
        if layer is not None:
            layer.build((None, width))
    return layers


def choose_losses(levels, reconstruction_loss, owner):
    """Returns the loss of each level and gives each layer above the first the matching decoder.

    `"auto"` stays at the first level until data are there.
    """
    chosen = per_level("reconstruction_loss", reconstruction_loss, len(levels), owner)
    for level, loss in enumerate(chosen):
        losses.check_reconstruction_loss(loss, owner)
        if level == 0:
            continue
        if isinstance(loss, losses.ColumnwiseLoss):
            raise ValueError(
                f"{owner} takes a ColumnwiseLoss at the first level alone, as codes have no "
                f"columns of a table. Received one at level {level + 1}: use 'auto' there."
            )
        activation = keras.activations.serialize(levels[level - 1].activation)
        within_unit = activation in UNIT_ACTIVATIONS
        if loss == "auto":
            chosen[level] = "binary_crossentropy" if within_unit else "squared_error"
        elif loss == "binary_crossentropy" and not within_unit:
            raise ValueError(
                f"{owner} cannot rebuild the codes of level {level} by cross-entropy, which "
                f"needs values in [0, 1]: their activation is {activation!r}. Use "
                "reconstruction_loss='auto' or 'squared_error' there."
            )
        is_entropy = chosen[level] == "binary_crossentropy"
        decoder = "sigmoid" if is_entropy else "linear"
        levels[level].visible_activation = keras.activations.get(decoder)
    return chosen


def noise_by_columns(groups, noise_level, seed):
    """Returns the noise of each level of a stack on the columns of a table.

    The first level's swaps whole columns; those above have codes, which are swapped one by one.

    Args:
        groups: The columns, as `datasets.Columns.groups`.
        noise_level: Rate of all levels, or a list with one for each.
        seed: Seed of the noise layer.
    """
    if not isinstance(noise_level, (list, tuple)):
        return ColumnSwapNoise(noise_level, groups=groups, seed=seed)
    first = ColumnSwapNoise(noise_level[0], groups=groups, seed=seed)
    return [first] + ["swap"] * (len(noise_level) - 1)


def losses_by_columns(groups, x, num_levels):
    """Returns the loss of each level of a stack on the columns of a table.

    Args:
        groups: The columns, as `datasets.Columns.groups`.
        x: Their inputs on training rows, NumPy array of shape `(rows, inputs)`.
        num_levels: Number of levels.
    """
    return [losses.ColumnwiseLoss.fit(groups, rows_to_describe(x))] + ["auto"] * (num_levels - 1)
