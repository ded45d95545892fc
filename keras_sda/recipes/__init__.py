"""One recipe per published figure: how to reach it, and how to run it again.

>>> from keras_sda import recipes
>>> recipes.get("softmax-mnist").published
7.49
"""

from keras_sda._validation import did_you_mean, shown
from keras_sda.recipes.autoencoders import AUTOENCODERS
from keras_sda.recipes.classifiers import CLASSIFIERS
from keras_sda.recipes.comparison import COMPARISON
from keras_sda.recipes.recipe import Recipe
from keras_sda.recipes.report import describe, table
from keras_sda.recipes.reproducing import learns, reproduce, run
from keras_sda.recipes.semi_supervised import SEMI_SUPERVISED
from keras_sda.recipes.small import SMALL
from keras_sda.recipes.tables import TABLES

__all__ = ["RECIPES", "Recipe", "describe", "get", "learns", "names", "reproduce", "run", "table"]

RECIPES = {
    recipe.name: recipe
    for recipe in [*CLASSIFIERS, *SEMI_SUPERVISED, *TABLES, *AUTOENCODERS, *SMALL, *COMPARISON]
}


def names() -> list[str]:
    """Returns the names of all recipes, those of the comparison last."""
    return list(RECIPES)


def get(name: str) -> Recipe:
    """Returns the recipe of the given name.

    Args:
        name: One of `names()`.

    Raises:
        ValueError: If there is none of that name.
    """
    if not isinstance(name, str) or name not in RECIPES:
        raise ValueError(
            f"There is no recipe {shown(name)}: {did_you_mean(name, RECIPES)}`keras-sda recipes` "
            "and recipes.names() list all."
        )
    return RECIPES[name]
