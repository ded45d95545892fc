"""Base of the estimators of a stack: parameters, construction, pretraining."""

from dataclasses import dataclass
from typing import Any

from keras_sda import backend
from keras_sda.models.levels import losses_by_columns, noise_by_columns
from keras_sda.models.stacked_denoising import StackedDenoisingAutoencoder
from keras_sda.sklearn import memory
from keras_sda.sklearn.base import NetworkEstimator, plain_list
from keras_sda.sklearn.rows import scaled_rows


@dataclass(kw_only=True, eq=False, repr=False)
class StackedEstimator(NetworkEstimator):
    """The base of the estimators of a stack; a subclass documents the parameters.

    A dataclass, as scikit-learn needs a constructor that names every parameter and stores it.
    """

    hidden_units: Any = (64,)
    noise: Any = "auto"
    noise_level: Any = 0.3
    activation: Any = "sigmoid"
    tied: Any = True
    kernel_initializer: Any = "glorot_uniform"
    reconstruction_loss: Any = "auto"
    scale: str | None = "auto"
    columns: Any = "auto"
    pretrain_epochs: Any = 30
    pretrain_learning_rate: Any = 1e-3
    batch_size: int = 32
    optimizer: Any = "adam"
    random_state: Any = None
    verbose: Any = 0

    def _start(self, X, **head):
        """Chooses the scaling, builds the model and pretrains it.

        Args:
            X: Checked rows, array or CSR matrix.
            **head: Arguments of the model for its supervised part.

        Returns:
            The model and the scaled rows.
        """
        self.scaling_ = self._choose_scaling(X)
        self._seed = self._draw_seed()
        hidden_units = plain_list(self.hidden_units)
        noise, loss = self._fresh_noise(), self.reconstruction_loss
        if self.columns_ is not None and isinstance(noise, str) and noise == "auto":
            noise = noise_by_columns(self.columns_.groups, plain_list(self.noise_level), self._seed)
        if self.columns_ is not None and isinstance(loss, str) and loss == "auto":
            levels = len(hidden_units) if isinstance(hidden_units, (list, tuple)) else 1
            loss = losses_by_columns(self.columns_.groups, X, levels)
        with backend.anonymous_variables():  # A grid search makes many models.
            model = StackedDenoisingAutoencoder(
                input_dim=X.shape[1],
                hidden_units=hidden_units,
                noise="masking" if isinstance(noise, str) and noise == "auto" else noise,
                noise_level=self.noise_level,
                activation=self.activation,
                tied=self.tied,
                kernel_initializer=self.kernel_initializer,
                reconstruction_loss=loss,
                seed=self._seed,
                **head,
            )
        rows = scaled_rows(X, self.scaling_)
        model.autoencoder.settle_reconstruction_loss(rows)
        if getattr(self, "memory", None) is None:
            self.histories_ = self._pretrain(model, rows)
        else:
            self.histories_ = memory.pretrain(self, model, rows, X)
        return model, rows

    def _pretrain(self, model, rows):
        """Pretrains the levels, and returns their histories."""
        histories = model.pretrain(
            rows,
            epochs=self.pretrain_epochs,
            batch_size=self.batch_size,
            optimizer=self.optimizer,
            learning_rate=self.pretrain_learning_rate,
            verbose=self.verbose,
        )
        return [history.history for history in histories]
