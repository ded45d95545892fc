"""The method `pretrain` of the models that have levels."""

from typing import Any

from keras_sda.backend import in_own_scope
from keras_sda.training.pretraining import pretrain_layers


class GreedyPretraining:
    """Adds `pretrain` to a model; a subclass says by `pretraining_arguments` what is trained."""

    seed: int | None

    def pretraining_arguments(self, x: Any) -> dict[str, Any]:
        """Returns the arguments of `pretrain_layers` that the model itself decides."""
        raise NotImplementedError

    @in_own_scope
    def pretrain(
        self,
        x,
        epochs=15,
        batch_size=128,
        optimizer="adam",
        learning_rate=1e-3,
        callbacks=None,
        validation_data=None,
        shuffle=True,
        cache="auto",
        verbose="auto",
        cache_dir=None,
        backup_dir=None,
        backup_steps=None,
    ):
        """Trains the levels one after the other, each as an autoencoder; needs no labels.

        Each level's noise corrupts the clean codes of the level below, and the level learns to
        rebuild them. Only the level's kernel, hidden bias and visible bias change. The clean codes
        of a trained level are computed once.

        Args:
            x: Array of shape `(rows, input_dim)`, or a finite `tf.data.Dataset` or
                `keras.utils.PyDataset` of batches; labels in it are ignored.
            epochs: Passes over the data, or one number per level.
            batch_size: Rows per update, or one number per level.
            optimizer: Name, Keras optimizer (copied for each level), or a function of the level
                (from 0) that returns either; or one per level.
            learning_rate: Learning rate of an optimizer given by name, or one per level.
            callbacks: List of Keras callbacks, copied for each level, or a function of the level
                that returns one. Their `self.model` has `level`, `units` and `noise`; methods
                `on_level_begin(level, logs)` and `on_level_end(level, logs)` are called too.
            validation_data: Held-out rows in any form that `x` may have.
            shuffle: Whether rows are shuffled before each epoch.
            cache: Where codes are kept: `"memory"`, `"disk"`, `"recompute"`, or `"auto"`, which
                chooses by their size; see `pretrain_layers` for what each takes.
            verbose: 0 is silent, 2 tells more; see `pretrain_layers`.
            cache_dir: Folder for codes on disk; by default where temporary files go.
            backup_dir: Folder in which the state of training is saved after each epoch; the same
                call again resumes from there after a crash. See `callbacks.Backup`.
            backup_steps: Steps from one state to the next, besides those after each epoch.

        Returns:
            One `keras.callbacks.History` per level, whose losses are summed over features and
            averaged over rows.

        Raises:
            ValueError: Before training, if data or arguments do not fit.
            FloatingPointError: If a loss becomes NaN or infinite; levels below keep their weights.

        Example:

        ```python
        histories = model.pretrain(x, epochs=[15, 10], learning_rate=[1e-3, 5e-4])
        print([history.history["loss"][-1] for history in histories])
        ```
        """
        histories = pretrain_layers(
            x=x,
            **self.pretraining_arguments(x),
            epochs=epochs,
            batch_size=batch_size,
            optimizer=optimizer,
            learning_rate=learning_rate,
            callbacks=callbacks,
            validation_data=validation_data,
            shuffle=shuffle,
            cache=cache,
            cache_dir=cache_dir,
            verbose=verbose,
            seed=self.seed,
            backup_dir=backup_dir,
            backup_steps=backup_steps,
        )
        self.share_denoiser()
        return histories

    def share_denoiser(self) -> None:
        """Does what is due once the levels have been pretrained: nothing."""
