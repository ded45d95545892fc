"""What the docstrings of several estimators say in the same words."""

_OPTIMIZER = """\
optimizer: Name, or a Keras optimizer with its own learning rate, copied for each use; Adam,
            as it needs the least tuning."""

_LAST = """\
random_state: Seed of initial weights, noise, dropout and shuffling: an integer gives the
            same weights every time. `None` and a `RandomState` draw the seed, as usual.
        verbose: As in Keras' `fit`; silent by default, as grid searches fit many models."""

_MEMORY = """\
memory: Where pretraining is remembered, as in scikit-learn's `Pipeline`: the path of a folder,
            or a `joblib.Memory`; `None`, nowhere. The same rows, seed and parameters of pretraining
            are then pretrained once: a grid search over parameters of supervised training does
            that once a fold. `random_state` must be an integer for that."""

_COLUMNS = """\
columns: How a frame of pandas or polars becomes numbers. `"auto"`: one with text, gaps or
            dates by a `keras_sda.datasets.Columns` that is fitted on the training rows; one of
            numbers alone, or an array, as it is. A `Columns` of one's own is used as it is fitted.
            `None`: all must be numbers. New rows are then taken by the names of their columns;
            extra ones are ignored."""

_COLUMNS_FOUND = """\
columns_: The `keras_sda.datasets.Columns` that turns frames into the network's inputs, or
            `None`."""

_STACK = """\
hidden_units: Units of each level, the lowest first. One level of 64 by default, which is fast
            and enough for a table of a few dozen columns; pass several to stack them.
        noise: Noise on the input of each level in pretraining: its name
            (`keras_sda.layers.noise_names()` lists them all), a Keras layer, or `None`; or one per
            level.{noise_reason}
        noise_level: Level of the noise, one value or one per level of the stack{level_reason}
        activation: Activation of the codes, or one per level; sigmoid, as in the tutorials.
        tied: Whether decoders share the kernels of the encoders, which halves the weights; or one
            value per level.
        kernel_initializer: Initializer of the kernels; Glorot uniform, as in Keras.
        reconstruction_loss: As in `StackedDenoisingAutoencoder`.{loss_reason}
        scale: How to scale the features before training, as in `keras_sda.datasets.load`:
            {scale_reason}`"unit"` ([0, 1], for cross-entropy, as with images),
            `"symmetric"` ([-1, 1]) or `None`. It is fitted on the training rows; new rows are
            scaled in the same way. A frame with text, gaps or dates takes these, `"squash"` and
            `"quantile"`, as `Columns.fit`.{auto_scale}
        {columns}
        pretrain_epochs: Epochs of pretraining, or one number per level; 0 skips
            pretraining.{pretrain_reason}
        pretrain_learning_rate: Learning rate of pretraining, or one per level; Adam's default.
        batch_size: Rows per update; 32 as in Keras, so that small tables still take many steps.
        {optimizer}
        {last}"""

# In this order: the first one names others.
_TEXTS = {
    "shared": _STACK,
    "loss_reason": """\
 For a frame with text,
            gaps or dates `"auto"` is the `losses.ColumnwiseLoss` of its columns.""",
    "noise_reason": """\
 `"auto"`: masking, which, on standardised features, replaces values with
            the feature's mean; for a frame with text, gaps or dates `ColumnSwapNoise` on its
            columns, which keeps categories whole.""",
    "level_reason": """\
; 0.3 is in the
            middle of the rates (0.1 to 0.5) that papers choose from.""",
    "scale_reason": """\
`"standard"` (mean 0, standard deviation 1 in each column, which suits features in
            any unit), """,
    "pretrain_reason": """\
 Twice
            the default of `StackedDenoisingAutoencoder.pretrain`, as tables are smaller.""",
    "auto_scale": """\
 `"auto"`: for such a frame squash, which heavy tails
            do not upset; else standard.""",
    "memory": _MEMORY,
    "columns": _COLUMNS,
    "columns_found": _COLUMNS_FOUND,
    "optimizer": _OPTIMIZER,
    "last": _LAST,
}


def documented(**texts):
    """Returns a class decorator that puts texts in the place of their names in the docstring."""

    def fill(cls):
        # Those that only a class has come first, as they name others.
        own = {name: text for name, text in texts.items() if name not in _TEXTS}
        for name, text in (own | _TEXTS | texts).items():
            cls.__doc__ = cls.__doc__.replace(f"{{{name}}}", text)
        return cls

    return fill
