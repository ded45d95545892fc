"""Makes the presets from models that recipes have trained, and a model card for each.

keras-sda reproduce sda-digits            # trains; NAME.json and NAME/seed0.keras in results/
python saved_models/make.py sda_digits    # keeps the model of seed 0, whatever its figure

A model is kept without its optimizer's state, in `saved_models/NAME/model.keras`, or inside the
package if it belongs in the wheel. Its figure is measured again, on the file that was written, and
must be the one in the recipe's JSON. The card holds that figure, and that over all seeds.
"""

import argparse
import hashlib
import json
from pathlib import Path

import keras

from keras_sda import presets, recipes
from keras_sda.experiments.figures import FIGURES
from keras_sda.experiments.running import load_data
from keras_sda.recipes import report

HERE = Path(__file__).parent
RESULTS = HERE.parent / "benchmarks" / "results"
# Name: recipe, whether the model is part of the package, whether a SavedModel is kept too.
PRESETS = {
    "sda_digits": ("sda-digits", True, True),
    "sda_mnist": ("sda", False, False),
    "stacked_sparse_mnist": ("stacked-sparse", False, True),
    "deep_autoencoder_mnist": ("deep-autoencoder-30", False, False),
    "vae_mnist": ("vae-mlp-20", False, False),
    "lenet5_mnist": ("lenet5", False, False),
    "ladder_digits": ("ladder-digits-50", False, False),
}
# What the figure of a file may differ by from that after training: a variational bound is a draw.
TOLERANCE = {"variational bound": 2e-3}

CARD = """# {name}

{title}: `{cls}`, {parameters:,} parameters, {size:.1f} MB, {licence}.

```python
import keras_sda as ks

model = ks.{cls}.from_preset("{name}")
```

| | |
| --- | --- |
| after | {source} |
| data | {data} |
| input | {inputs} |
| command | `{command}` |
| seed | 0 of {seeds}: the first, not the best |
| {figure}, test data | **{own} {unit}** |
| over seeds {seed_list} | {all} {unit} |
| published | {published} |
| trained with | {versions} |
| SHA-256 | `{sha256}` |

Experiment:

```json
{experiment}
```

**Limits.** {limits}
The model has no optimizer state and is not compiled: call `compile` before `fit` or `evaluate`. Its
figure is that on the test rows of the data set, and says nothing about rows from elsewhere.

Made by `python saved_models/make.py {name}`; a test measures the figure again.
"""

LIMITS = {
    "digits": "Trained on 1,257 images of 8 x 8 pixels of handwritten digits by 43 people, divided "
    "by 16; any other scaling or size of image needs another model.",
    "mnist": "Trained on centred grey images of 28 x 28 pixels of single digits, white on black, "
    "divided by 255; not suited to digits that are off-centre, inverted, or from a camera.",
}
DATA = {
    "digits": '`keras_sda.datasets.load("digits")`: scikit-learn\'s handwritten digits (UCI, '
    "CC BY 4.0)",
    "mnist": '`keras_sda.datasets.load("mnist")`: MNIST (LeCun, Cortes, Burges; CC BY-SA 3.0)',
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=list(PRESETS), choices=PRESETS)
    parser.add_argument("--trained", default="results", help="where `reproduce` has written")
    options = parser.parse_args()
    for name in options.names:
        print(name, make(name, Path(options.trained)), flush=True)


def make(name, trained):
    """Writes one preset, its card and its entry in the catalog; returns its figure."""
    recipe_name, in_package, saved_model = PRESETS[name]
    recipe, results = recipes.get(recipe_name), report.read(RESULTS / f"{recipe_name}.json")
    model = without_optimizer(keras.saving.load_model(trained / recipe_name / "seed0.keras"))
    folder = (presets.HERE if in_package else HERE) / name
    folder.mkdir(exist_ok=True)
    path = folder / presets.MODEL
    model.save(path)
    figure = measured(path, recipe)
    expected = results["runs"][0]["figure"]
    allowed = TOLERANCE.get(recipe.figure, 1e-5) * abs(expected)
    if abs(figure - expected) > allowed:
        raise ValueError(f"{path} gives {figure}, its recipe's seed 0 gave {expected}")
    entry = {
        "class": type(model).__name__,
        "recipe": recipe_name,
        "seed": 0,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "figure": recipe.figure,
        "unit": results["unit"],
        "measured": figure,
    }
    # Every entry is a preset: no version of a format among them.
    text = json.dumps({**presets.catalog(), name: entry}, indent=2) + "\n"
    presets.CATALOG.write_text(text, encoding="utf-8")
    (HERE / name).mkdir(exist_ok=True)
    card = HERE / name / "README.md"
    card.write_text(card_of(name, entry, model, path, results), encoding="utf-8")
    if saved_model:
        rows = load_data(recipe.experiment).train.x
        keras.saving.load_model(path).export(HERE / name / "saved_model", rows=rows)
    return figure


def without_optimizer(model):
    """Returns the same model as if it had never been compiled."""
    bare = type(model).from_config(model.get_config())
    bare.set_weights(model.get_weights())
    return bare


def measured(path, recipe):
    """Returns a file's figure on the recipe's test data."""
    data = load_data(recipe.experiment)
    measure, _ = FIGURES[recipe.figure]
    model = keras.saving.load_model(path)
    if model.num_classes is None:
        model.compile()  # what `evaluate` asks for; an autoencoder brings its loss itself
    return measure(model, data.test or data.train)


def card_of(name, entry, model, path, results):
    """Returns the model card in Markdown."""
    mean, half = report.summary(results)
    spread = "" if half is None else f" ± {report.number(half, mean)}"
    data = "digits" if "digits" in name else "mnist"
    count = len(results["runs"])
    return CARD.format(
        name=name,
        title=results["title"],
        cls=entry["class"],
        parameters=model.count_params(),
        size=path.stat().st_size / 1e6,
        licence="Apache 2.0 like the package",
        source=results["source"],
        data=DATA[data],
        inputs=f"float32 of shape {(None, *model.row_shape)}, values in [0, 1]",
        command=results["command"],
        seeds=count,
        figure=entry["figure"],
        own=report.number(entry["measured"]),
        unit=entry["unit"],
        seed_list=f"0 to {count - 1}" if count > 1 else "0",
        all=f"{report.number(mean)}{spread}",
        published="none" if results["published"] is None else report.number(results["published"]),
        versions=", ".join(f"{key} {value}" for key, value in results["versions"].items()),
        sha256=entry["sha256"],
        experiment=json.dumps(results["experiment"], indent=2),
        limits=LIMITS[data],
    )


if __name__ == "__main__":
    main()
