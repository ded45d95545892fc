"""Recipes for tables with few labels; their files lie in `$KERAS_SDA_DATA/tables`.

The quick forms take tables of scikit-learn, which are everywhere.
"""

import contextlib
import importlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from keras_sda import experiments
from keras_sda.experiments import Data, Experiment, Training
from keras_sda.recipes.recipe import Recipe

_DEFAULT = experiments.default("sda")
_DRAWS = "Each seed draws its own labelled rows."


def _experiment(file: str, target: str, labels: int) -> Experiment:
    """Returns what `keras-sda train` does with a table, with the linear head."""
    return Experiment(
        _DEFAULT.model,
        Data(f"tables/{file}", target=target, labels=labels),
        _DEFAULT.pretraining,
        Training(head="linear"),
    )


# The quick forms are fine-tuned, since a linear head needs no training of the network.
TABLE_CREDIT = Recipe(
    name="table-credit",
    title="Credit, 13 mixed columns, 200 labels: codes and inputs, logistic regression",
    source="modeldata's credit data (4,454 rows); no figure was published",
    experiment=_experiment("credit.csv", "Status", 200),
    figure="ROC-AUC short of 100",
    baseline="logistic regression and forest by ROC-AUC",
    quick_table="breast_cancer",
    quick={"data.labels": 100, "training.head": "finetune", "slack": 3.0},
    note=f"All rows pretrain; {_DRAWS[0].lower()}{_DRAWS[1:]}",
)

TABLE_CALIFORNIA = Recipe(
    name="table-california",
    title="California housing, 8 numbers, 200 labels: codes and inputs, ridge regression",
    source="scikit-learn's California housing (20,640 rows); no figure was published",
    experiment=_experiment("california.csv", "MedHouseVal", 200).but(
        {"pretraining.batch_size": 128, "data.task": "regression"}
    ),
    figure="variance not explained",
    baseline="ridge regression and forest by R2",
    quick_table="diabetes",
    quick={
        "data.labels": None,
        "training.head": "finetune",
        "training.epochs": 30,
        "pretraining.batch_size": 32,
        "slack": 1.3,  # the relation is linear
    },
    note=f"Pretrained in batches of 128 on all rows. {_DRAWS}",
)

TABLE_PBMC = Recipe(
    name="table-pbmc",
    title="PBMC cells, 765 genes, 100 labels: codes and inputs, logistic regression",
    source="scanpy's reduced PBMC data (700 cells); no figure was published",
    experiment=_experiment("pbmc.parquet", "cell", 100),
    figure="classification error",
    baseline="logistic regression and forest by error",
    quick_table="digits",
    quick={"data.labels": 100, "training.head": "finetune", "slack": 1.3},
    note=f"All cells pretrain. {_DRAWS}",
)

TABLES = [TABLE_CREDIT, TABLE_CALIFORNIA, TABLE_PBMC]


@contextlib.contextmanager
def quick_folder(recipe: Recipe, data_dir: str | None) -> Iterator[str | None]:
    """Gives the folder of a recipe's data, which for the quick form of a table is made for it."""
    if not recipe.is_quick or recipe.quick_table is None:
        yield data_dir
        return
    load = getattr(importlib.import_module("sklearn.datasets"), f"load_{recipe.quick_table}")
    with tempfile.TemporaryDirectory() as folder:
        frame = load(as_frame=True).frame
        frame.to_csv(Path(folder) / recipe.experiment.data.name, index=False)
        yield folder
