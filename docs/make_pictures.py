"""Trains small models and draws every kind of picture, into `docs/pictures/`.

    python docs/make_pictures.py

Takes about two minutes on two cores: MNIST, where it is prepared, else the digits of scikit-learn,
which the classifier is trained on in any case.
"""

import argparse
import os
import tempfile
from pathlib import Path

import keras
import numpy as np
from PIL import Image
from sklearn.datasets import make_moons

import keras_sda as ks
from keras_sda import plots

SEED = 0
FOLDER = Path(__file__).parent / "pictures"


def main():
    """Trains the models and draws what each is for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", type=Path, default=FOLDER, help="folder to write")
    folder = parser.parse_args().output
    folder.mkdir(parents=True, exist_ok=True)
    draw_stack(folder)
    images = load_images()
    draw_denoising(folder, images)
    draw_deep(folder, images)
    draw_variational(folder, images)
    draw_surface(folder)


def load_images():
    """Returns MNIST, or the digits without a folder of data."""
    if not (os.environ.get("TFDS_DATA_DIR") or os.environ.get("KERAS_SDA_DATA")):
        return ks.datasets.load("digits")
    return ks.datasets.load("mnist")


def draw_stack(folder):
    """Draws the stack of three levels that learns the digits, from pretraining to its errors."""
    data = ks.datasets.load("digits")
    shape = data.image_shape
    sda = ks.StackedDenoisingAutoencoder(
        input_dim=64,
        hidden_units=[100, 100, 100],
        num_classes=10,
        noise="gaussian",
        noise_level=0.2,
        activation="sigmoid",
        kernel_initializer=ks.initializers.SigmoidGlorotUniform(),
        batch_normalization=False,
        dropout=0.2,
        finetune_noise_level=0.2,
        seed=SEED,
    )
    with tempfile.TemporaryDirectory() as frames:
        film = ks.callbacks.ReconstructionPictures(
            data.valid.x[:12], shape, frames, every_epochs=15
        )
        levels = sda.pretrain(
            data.train.x,
            epochs=15,
            batch_size=20,
            optimizer="sgd",
            learning_rate=0.1,
            validation_data=data.valid.x,
            callbacks=[film],
            verbose=0,
        )
        for frame in sorted(Path(frames).glob("*level2*.png")):
            (folder / f"callback-{frame.name}").write_bytes(frame.read_bytes())
            print(folder / f"callback-{frame.name}")
    for level in range(3):
        save(plots.plot_level_filters(sda, level, shape), folder, f"filters-level{level + 1}")
    save(
        plots.plot_model_reconstructions(sda, data.valid.x[:12], shape),
        folder,
        "reconstructions-stack",
    )
    save(plots.plot_activations(sda, data.valid.x), folder, "activations")

    epochs = 40
    steps = epochs * -(-len(data.train.x) // 20)
    rate = keras.optimizers.schedules.CosineDecay(1.0, steps)
    sda.compile(keras.optimizers.SGD(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    fit = sda.fit(
        *data.train, epochs=epochs, batch_size=20, validation_data=tuple(data.valid), verbose=0
    )
    save(plots.plot_learning_curves([level.history for level in levels], fit.history), folder,
         "curves")  # fmt: skip
    predicted = sda.predict(data.test.x, verbose=0).argmax(axis=1)
    confusion = plots.plot_confusion(data.test.y, predicted, title="Test digits")
    save(confusion, folder, "confusion")
    codes, labels = sda.encode(data.test.x), data.test.y
    save(plots.plot_codes(codes, labels, title="Codes of test digits"), folder, "codes-pca")
    figure = plots.plot_codes(codes, labels, "tsne", title="Codes of test digits")
    save(figure, folder, "codes-tsne")


def draw_denoising(folder, data):
    """Draws what one level learns of masked images."""
    shape, width = data.image_shape, data.train.x.shape[1]
    model = ks.DenoisingAutoencoder(
        width,
        144,
        noise_level=0.3,
        kernel_initializer=ks.initializers.SigmoidGlorotUniform(),
        seed=SEED,
    )
    model.compile(keras.optimizers.SGD(0.1))
    model.fit(data.train.x[:20_000], epochs=10, batch_size=20, verbose=0)
    save(plots.plot_level_filters(model, image_shape=shape), folder, "filters-denoising")
    save(
        plots.plot_model_reconstructions(model, data.valid.x[:12], shape),
        folder,
        "reconstructions-denoising",
    )


def draw_deep(folder, data):
    """Draws codes of two and of three units, as they are."""
    for units in (2, 3):
        model = ks.DeepAutoencoder(
            data.train.x.shape[1], [128, 64, units], activation="relu", seed=SEED
        )
        model.compile("adam")
        model.fit(data.train.x[:20_000], epochs=10, batch_size=128, verbose=0)
        codes, labels = model.encode(data.valid.x[:600]), data.valid.y[:600]
        title = f"Codes of {units} units"
        save(plots.plot_codes(codes, labels, title=title), folder, f"codes-{units}d")


def draw_variational(folder, data):
    """Draws the manifold of two latent units and traversals of ten."""
    for units in (2, 10):
        vae = ks.VariationalAutoencoder(
            data.train.x.shape[1], hidden_units=(256,), latent_dim=units, seed=SEED
        )
        vae.compile("adam")
        vae.fit(data.train.x[:20_000], epochs=20, batch_size=128, verbose=0)
        if units == 2:
            save(plots.plot_manifold(vae, data.image_shape), folder, "manifold")
            save(plots.plot_activations(vae, data.valid.x), folder, "activations-vae")
        else:
            figure = plots.plot_traversals(vae, data.valid.x[0], image_shape=data.image_shape)
            save(figure, folder, "traversals")


def draw_surface(folder):
    """Draws the line between two moons."""
    x, y = make_moons(300, noise=0.2, random_state=SEED)
    x = x.astype("float32")
    mlp = ks.MLP(2, [32, 32], num_classes=2, activation="tanh", seed=SEED)
    mlp.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    mlp.fit(x, y, epochs=60, verbose=0)
    save(plots.plot_decision_surface(mlp, x, y), folder, "surface")


def save(figure, folder, name):
    """Writes a picture of at most 120 kB, with fewer colours than it has if it needs be."""
    path = folder / f"{name}.png"
    figure.savefig(path, dpi=90)
    for colours in (256, 32):  # 32 are enough for grey images
        if path.stat().st_size > 120_000:
            figure.savefig(path, dpi=90)
            Image.open(path).convert("RGB").quantize(colours).save(path, optimize=True)
    print(f"{path}: {np.ceil(path.stat().st_size / 1000):.0f} kB", flush=True)


if __name__ == "__main__":
    main()
