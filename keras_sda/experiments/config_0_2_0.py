"""`config.json` as version 0.2.0 wrote it, turned into an experiment's."""

from collections.abc import Mapping
from typing import Any

# Where each option stands now.
_KEYS = {
    "data": "data.name",
    "data_dir": "data.data_dir",
    "target": "data.target",
    "split": "data.split",
    "scale": "data.scale",
    "pretrain_epochs": "pretraining.epochs",
    "pretrain_optimizer": "pretraining.optimizer",
    "pretrain_learning_rate": "pretraining.learning_rate",
    "epochs": "training.epochs",
    "optimizer": "training.optimizer",
    "learning_rate": "training.learning_rate",
    "schedule": "training.schedule",
    "patience": "training.patience",
    "batch_size": "training.batch_size",
}
_OPTIONS = {
    "units": "hidden_units",
    "noise": "noise",
    "noise_level": "noise_level",
    "activation": "activation",
    "initializer": "kernel_initializer",
    "reconstruction_loss": "reconstruction_loss",
    "tied": "tied",
    "dropout": "dropout",
    "finetune_noise_level": "finetune_noise_level",
}
_FOUND = (
    *("num_classes", "classes", "image_shape", "scaling"),
    *("backup_steps", "versions", "replicas"),
)


def convert_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the configuration that this version would have written for a run of 0.2.0.

    Args:
        config: The content of `config.json`: 31 options side by side, all of one stack.

    Raises:
        KeyError: If an option is missing.
    """
    converted: dict[str, Any] = {
        "model": {
            "name": "sda",
            "options": {
                **{new: config[old] for old, new in _OPTIONS.items()},
                "batch_normalization": False,
            },
        },
        "data": {},
        "pretraining": {},
        "training": {"keep_best": True},
        "seed": config["seed"],
        "dtype": config["dtype"],
        "found": {name: config[name] for name in _FOUND},
    }
    for old, new in _KEYS.items():
        part, name = new.split(".")
        converted[part][name] = config[old]
    converted["pretraining"]["batch_size"] = config["batch_size"]
    if not config["pretrain"]:
        converted["pretraining"] = None
    return converted
