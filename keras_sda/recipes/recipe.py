"""What a recipe is: an experiment with a published figure, and one row of the table."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import keras

from keras_sda._validation import check_text, shown
from keras_sda.experiments import Data, Experiment

MNIST = Data("mnist")
MNIST_60000 = Data("mnist", split="full")


def check_is_recipe(recipe: Any, owner: str) -> None:
    """Refuses what is not a recipe, such as the name of one."""
    if not isinstance(recipe, Recipe):
        raise ValueError(
            f"Argument `recipe` of {owner} must be a Recipe. Received: recipe={shown(recipe)}; "
            "take one by recipes.get(name)."
        )


@dataclass(frozen=True, eq=False)
class Recipe:
    """An experiment, its published figure, and the baseline that it has to beat.

    Attributes:
        name: Its name for `keras-sda reproduce`.
        title: What it is, in a few words.
        source: Where the figure, or the model, was published.
        experiment: Model, data, and training; its seed is replaced by each of `seeds`.
        figure: What is measured on the test data: a key of `experiments.figures.FIGURES`.
        start: Function of model and seed that sets its own initial values before training.
        published: The published figure, or `None`.
        at_most: The figure to reach, or `None` if the figure is only reported.
        seeds: Number of seeds, from 0.
        baseline: The baseline that it has to beat, trained on the same rows: a key of
            `experiments.figures.BASELINES`.
        slack: Factor on the baseline's figure that it has to beat; 1 for the figure itself.
        quick: Changes to the experiment for a run of seconds, by the keys of `Experiment.but`; the
            small digits replace MNIST. `slack` may be among them.
        note: How this differs from the source, if it does.
        quick_table: The table of scikit-learn, such as `"diabetes"`, that the quick form takes
            instead of a table that may be missing; `None` for other data.
        is_quick: Whether this is the form for a run of seconds; see `quickened`.
    """

    name: str
    title: str
    source: str
    experiment: Experiment
    figure: str
    start: Callable[[keras.Model, int], None] | None = None
    published: float | None = None
    at_most: float | None = None
    seeds: int = 3
    baseline: str = "pca"
    slack: float = 1.0
    quick: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""
    quick_table: str | None = None
    is_quick: bool = False

    def but(
        self, name: str, title: str, changes: Mapping[str, Any] | None = None, **fields: Any
    ) -> "Recipe":
        """Returns a recipe with another name and title, and some settings changed.

        Args:
            name: Its name.
            title: Its title.
            changes: Changes to the experiment, by the keys of `Experiment.but`.
            **fields: New values of other fields; those of `quick` are merged with the old ones.

        Raises:
            ValueError: If a change is not valid; see `Experiment.but`.
        """
        check_text("name", name, "Recipe.but()")
        check_text("title", title, "Recipe.but()")
        if "quick" in fields:
            fields["quick"] = {**self.quick, **fields["quick"]}
        experiment = self.experiment.but(changes or {})
        return replace(self, name=name, title=title, experiment=experiment, **fields)

    def quickened(self) -> "Recipe":
        """Returns the form of this recipe that runs in seconds on small data.

        It has to beat its baseline on these; there is no published figure.
        """
        changes = dict(self.quick)
        slack = changes.pop("slack", self.slack)
        experiment = self.experiment.but(changes)
        if self.quick_table is not None:
            own = {"data.name": f"scikit-learn-{self.quick_table}.csv", "data.target": "target"}
            experiment = experiment.but(own)
        if experiment.data.name == "mnist":
            # For the small digits there is no convention to validate on the first twelfth.
            split = experiment.data.split.replace("tensorflow", "tutorial")
            experiment = experiment.but({"data.name": "digits28", "data.split": split})
        return replace(
            self,
            name=f"{self.name}-quick",
            experiment=experiment,
            published=None,
            at_most=None,
            slack=slack,
            is_quick=True,
        )

    def settings(self) -> dict[str, Any]:
        """Returns what the runs of all seeds have in common, as plain values for JSON."""
        settings = self.experiment.to_dict()
        del settings["seed"]
        return settings
