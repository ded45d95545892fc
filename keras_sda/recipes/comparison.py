"""Why do the SdA's 1.30 % and the stacked sparse autoencoder's 2.26 % differ?

The tutorial's text asks. The two networks differ in four things; here each is changed alone, all
else equal: denoising or sparse, three levels or two, 50,000 or 60,000 training rows, and, of the
larger network, 1,000 units or 200. The width makes most of the difference, the rows some of it.
"""

from typing import Any

from keras_sda.recipes.classifiers import SDA, STACKED_SPARSE
from keras_sda.recipes.recipe import MNIST, MNIST_60000, Recipe

# The same training for all cells, without validation rows: beside 60,000 there are none.
_TRAINING = {
    "training.optimizer": "sgd",
    "training.learning_rate": 1.0,
    "training.optimizer_options": {},
    "training.schedule": "cosine",
    "training.epochs": 40,
    "training.batch_size": 100,
}


def _cell(kind: str, levels: int, rows: int, units: int = 200) -> Recipe:
    base = SDA if kind == "denoising" else STACKED_SPARSE
    changes: dict[str, Any] = {"hidden_units": [units] * levels, **_TRAINING}
    if kind == "denoising":
        changes |= {"dropout": 0.0, "finetune_noise_level": 0.0}
    changes["data"] = MNIST_60000 if rows == 60_000 else MNIST
    return base.but(
        f"why-{kind}-{levels}x{units}-{rows}",
        f"{kind}, {levels} levels of {units}, {rows:,} rows",
        changes,
        published=None,
        at_most=None,
        seeds=3,
        quick={"training.learning_rate": 1.0},
        note="",
    )


COMPARISON = [
    _cell(kind, levels, rows)
    for kind in ("denoising", "sparse")
    for levels in (2, 3)
    for rows in (50_000, 60_000)
] + [_cell(kind, 3, 50_000, units=1000) for kind in ("denoising", "sparse")]
