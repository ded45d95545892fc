"""A weight for the KL term that rises from 0."""

import keras
import numpy as np

from keras_sda._validation import check_positive_int


class KLWarmup(keras.callbacks.Callback):
    """Raises the weight of the KL term of a variational autoencoder from 0 to its `beta`.

    Without it, latent units may be switched off before the decoder has learnt to use them. The
    first epoch trains with weight 0, epoch number `epochs` (counted from 0) and all later ones with
    the `beta` that the model was made with. Validation uses the weight of its epoch, so that
    `val_loss` can be compared between epochs only after the warm-up.

    Args:
        epochs: Number of epochs over which the weight rises linearly, at least 1.

    Raises:
        ValueError: If `epochs` is not a whole number of at least 1, or, at the start of training,
            if the model has no such weight.

    Example:

    ```python
    vae.fit(x, epochs=50, callbacks=[KLWarmup(10)])
    ```

    Reference:
        Sønderby et al., "Ladder variational autoencoders", NeurIPS 2016.
    """

    def __init__(self, epochs):
        super().__init__()
        self.epochs = check_positive_int("epochs", epochs, owner="KLWarmup")

    def on_train_begin(self, logs=None):
        if not hasattr(self.model, "final_beta"):
            raise ValueError(
                f"KLWarmup found no weight `beta` of a KL term in {self.model.name}: use it with a "
                "VariationalAutoencoder, or leave it out."
            )

    def on_epoch_begin(self, epoch, logs=None):
        self.model.beta.assign(self.model.final_beta * min(1.0, epoch / self.epochs))

    def on_epoch_end(self, epoch, logs=None):
        if logs is not None:
            logs["beta"] = float(np.asarray(self.model.beta))
