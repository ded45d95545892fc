"""The denoiser that supervised training leaves behind: kept as pretraining made it."""

import warnings
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np

from keras_sda import backend
from keras_sda.layers.tied_dense import TiedDense
from keras_sda.models.unrolled import UnrolledAutoencoder

# How entries of a saved model that are ours begin; Keras' own are numbers.
_PREFIX = "denoiser_"
_STATES = ("shared", "kept", "lost")


class KeepsDenoiser(keras.Model):
    """Adds to a stack the denoiser that reconstructs its rows, before and after supervised `fit`.

    Until then the denoiser is `autoencoder`, over the very layers of the stack. Supervised `fit`
    moves these away from their decoders, so that the first one keeps a frozen copy of them if they
    have been pretrained. The copy is no part of the Keras model: neither `weights` nor `summary`
    list it, no step reads it, and `fit` computes the same with it as without. Files of the model or
    of its weights hold it. `pretrain` makes the shared layers the denoiser again.

    A subclass sets `autoencoder`, `head` and `keep_denoiser` in its constructor.
    """

    autoencoder: UnrolledAutoencoder
    keep_denoiser: bool
    head: Any
    # "shared": the stack's own layers; "kept": a copy of them; "lost": trained on labels without
    # one; "unknown": read from a file of an earlier version, which does not tell.
    denoiser_state = "shared"
    # That before the latest `fit`.
    _state_before = "shared"

    @property
    def denoiser(self) -> UnrolledAutoencoder:
        """The autoencoder, all levels up and down, that reconstructs, denoises and scores rows.

        Raises:
            ValueError: If supervised training has changed the layers and no copy was kept.
        """
        if self.denoiser_state == "kept":
            # Within another object, as Keras would track the copy, train it and list it.
            return self._kept_denoiser.autoencoder
        if self.denoiser_state == "lost":
            raise ValueError(
                f"This {type(self).__name__} was trained on labels without a pretrained denoiser "
                "to keep, so its reconstructions and scores would mean nothing: call pretrain(x) "
                "before fit(x, y), with keep_denoiser=True."
            )
        if self._may_have_moved():
            warnings.warn(
                f"This {type(self).__name__} comes from a file of an earlier version, without a "
                "kept denoiser: if it was trained on labels after pretraining, its reconstructions "
                "and scores mean little; train it again to mend that.",
                stacklevel=3,
            )
        return self.autoencoder

    @property
    def reconstructs(self) -> bool:
        """Whether the model has a denoiser whose reconstructions can be trusted."""
        return self.denoiser_state != "lost" and not self._may_have_moved()

    @backend.in_own_scope
    def before_training(self):
        """Keeps a copy of the denoiser before the first supervised `fit` changes its layers."""
        self._state_before = self.denoiser_state
        if self.head is None or self.denoiser_state in ("kept", "lost"):
            return
        if self.keep_denoiser and self._is_pretrained() and not self._may_have_moved():
            self._keep_copy([values_of(layer) for layer in self.autoencoder.levels])
        else:
            self.denoiser_state = "lost"

    def after_failed_training(self):
        """Drops a copy that was made for a `fit` which has put the layers back."""
        if self._state_before != self.denoiser_state:
            self.share_denoiser()
            self.denoiser_state = self._state_before

    def share_denoiser(self):
        """Makes the stack's own layers the denoiser, as pretraining has just trained them."""
        self.denoiser_state = "shared"
        self.__dict__.pop("_kept_denoiser", None)

    def _is_pretrained(self):
        """Whether any training on reconstruction has moved the visible bias, which starts at 0."""
        bias = self.autoencoder.levels[0].visible_bias
        return bool(keras.ops.convert_to_numpy(bias).any())

    def _may_have_moved(self):
        """Whether labels may have moved the layers of a file that does not tell.

        They have not while the head is the zeros that a classifier's starts with.
        """
        if self.denoiser_state != "unknown":
            return False
        kernel = getattr(self.head, "kernel", None)
        return kernel is None or bool(keras.ops.convert_to_numpy(kernel).any())

    def _keep_copy(self, values):
        """Makes the copy, from the values of each level's variables by name."""
        levels = [
            _copy(layer, kept) for layer, kept in zip(self.autoencoder.levels, values, strict=True)
        ]
        copy = UnrolledAutoencoder(
            levels,
            noise=self.autoencoder.noise,
            reconstruction_loss=self.autoencoder.reconstruction_loss,
            seed=self.seed,
            dtype=self.dtype_policy,
            name="denoiser",
        )
        self._kept_denoiser = SimpleNamespace(autoencoder=copy)
        self.denoiser_state = "kept"

    def save_own_variables(self, store):
        """Adds to Keras' file whether there is a kept denoiser, and its variables."""
        super().save_own_variables(store)
        if self.head is None or self.denoiser_state == "unknown":
            return
        store[f"{_PREFIX}state"] = np.array(_STATES.index(self.denoiser_state), "int32")
        if self.denoiser_state == "kept":
            for number, layer in enumerate(self.denoiser.levels):
                for name, value in values_of(layer).items():
                    store[f"{_PREFIX}{number}_{name}"] = value

    @backend.in_own_scope
    def load_own_variables(self, store):
        """Takes the kept denoiser from Keras' file; one of version 0.2.0 does not say."""
        names = list(store.keys())
        ours = {name: np.array(store[name]) for name in names if name.startswith(_PREFIX)}
        super().load_own_variables({name: store[name] for name in names if name not in ours})
        if self.head is None:
            return
        self.share_denoiser()
        if not ours:
            self.denoiser_state = "unknown"
            return
        state = _STATES[int(ours[f"{_PREFIX}state"])]
        if state == "kept":
            count = len(self.autoencoder.levels)
            self._keep_copy(
                [_without_prefix(f"{_PREFIX}{number}_", ours) for number in range(count)]
            )
        self.denoiser_state = state


def values_of(layer):
    """Returns the values of a level's variables, by name."""
    names = ("kernel", "bias", "visible_bias", *(() if layer.tied else ("visible_kernel",)))
    return {name: keras.ops.convert_to_numpy(getattr(layer, name)) for name in names}


def _without_prefix(prefix, values):
    return {name[len(prefix) :]: each for name, each in values.items() if name.startswith(prefix)}


def _copy(layer, values):
    """Returns a frozen layer like another one, with the given values."""
    config = layer.get_config()
    # Zeros draw no random numbers, so that what is trained afterwards stays the same.
    zeros = {name: "zeros" for name in config if name.endswith("_initializer")}
    copy = TiedDense.from_config(
        {**config, **zeros, "tied": "visible_kernel" not in values, "trainable": False}
    )
    copy.build((None, layer.input_dim))
    for name, value in values.items():
        getattr(copy, name).assign(value)
    return copy
