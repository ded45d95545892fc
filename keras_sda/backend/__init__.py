"""What only one Keras backend can do, behind one interface.

The rest of the package speaks `keras.ops` and `keras.random`, and asks here for what these cannot
give. Which backend Keras runs on is asked in this file alone, once: each of the folders
`tensorflow`, `jax` and `torch` answers to the same names, with the same arguments, and says by a
constant what it lacks. How the functions are meant is told in `tensorflow`, where most have
something to do; `common` holds what is the same everywhere, `one_device` the answers of backends
without strategies for several devices.

Constants:
    EXPORT_FORMATS: Formats that `export` can write and check.
    EXPORTS_TEXT: Whether a graph that is exported may read text.
    FINDS_LOGITS: Whether Keras computes the cross-entropy of a softmax's outputs from its inputs.
    IS_DEFAULT: Whether Keras takes this backend unless told otherwise.
    RESTORES_SHUFFLING: Whether `shuffling_state` holds all that Keras' own `fit` shuffles by.
"""

from typing import TYPE_CHECKING

import keras

if TYPE_CHECKING or keras.backend.backend() == "tensorflow":
    from keras_sda.backend.tensorflow import *  # noqa: F403
elif keras.backend.backend() == "jax":
    from keras_sda.backend.jax import *  # noqa: F403
elif keras.backend.backend() == "torch":
    from keras_sda.backend.torch import *  # noqa: F403
else:
    raise ImportError(
        "keras_sda trains with TensorFlow, JAX or PyTorch. Received the Keras backend "
        f"{keras.backend.backend()!r}: set KERAS_BACKEND to tensorflow, jax or torch before Keras "
        "is imported."
    )
