"""Recipes of autoencoders."""

import keras

from keras_sda.experiments import Data, Experiment, Model, Training
from keras_sda.initializers import SigmoidGlorotUniform
from keras_sda.layers import AdditiveGaussianNoise
from keras_sda.recipes.recipe import MNIST, MNIST_60000, Recipe

_TUTORIAL = "Deep Learning Tutorials (Theano)"

DA_MASKING = Recipe(
    name="da-masking",
    title="Denoising autoencoder, 500 units, 30 % masked",
    source=f"{_TUTORIAL}, Denoising autoencoders (dA): pictures of filters",
    experiment=Experiment(
        Model(
            "da",
            {
                "hidden_units": 500,
                "noise": "masking",
                "noise_level": 0.3,
                "kernel_initializer": SigmoidGlorotUniform(),
            },
        ),
        MNIST,
        pretraining=None,
        training=Training(
            "sgd", 0.1, "constant", epochs=15, batch_size=20, patience=15, keep_best=True
        ),
    ),
    figure="cross-entropy",
    baseline="denoising pca",
    quick={"hidden_units": 100},
    note="The figure is taken on clean rows, the comparison with PCA on masked ones.",
)

DA_MASKING_0 = DA_MASKING.but(
    "da-masking-0",
    "The same with 0 % masked",
    {"noise_level": 0.0},
    baseline="pca",
    quick={
        "hidden_units": 3,
        "training.epochs": 60,
        "training.patience": 60,
        "training.learning_rate": 0.2,
        "slack": 1.6,  # three sigmoids hold less than three numbers
    },
    note="PCA with 500 components loses next to nothing: masking is what makes filters.",
)


@keras.saving.register_keras_serializable(package="keras_sda")
class SharedGaussianNoise(AdditiveGaussianNoise):
    """Adds one and the same normal vector to all rows of a batch, as the TensorFlow notes do."""

    def corrupt(self, inputs):
        one = keras.random.normal(
            (1, *inputs.shape[1:]), dtype=inputs.dtype, seed=self.seed_generator
        )
        return inputs + keras.ops.cast(self.level, inputs.dtype) * one


AGN_PROTOCOL = Recipe(
    name="agn-autoencoder-protocol",
    title="Additive Gaussian noise autoencoder 784-200-784, the notes' protocol",
    source="TensorFlow notes, autoencoder",
    experiment=Experiment(
        Model(
            "da",
            {
                "hidden_units": 200,
                "noise": SharedGaussianNoise(0.01),
                "activation": "softplus",
                "tied": False,
                "visible_kernel_initializer": "zeros",
                "reconstruction_loss": "squared_error",
            },
        ),
        Data("mnist", split="tensorflow", scale="standard"),
        pretraining=None,
        training=Training(
            "adam",
            1e-3,
            "constant",
            epochs=20,
            batches={"kind": "blocks", "size": 128, "count": 429},
            keep_best=False,
        ),
    ),
    figure="half squared error of all",
    published=634369.4,
    quick={
        "hidden_units": 8,
        "training.epochs": 60,
        "training.learning_rate": 5e-3,
        "training.batches": {"kind": "blocks", "size": 32, "count": 40},
        "slack": 1.2,  # its decoder is as linear as PCA's
    },
    note="429 batches an epoch, each a random block of 128 rows.",
)

AGN = AGN_PROTOCOL.but(
    "agn-autoencoder",
    "Additive Gaussian noise autoencoder 784-200-784",
    {
        "noise": AdditiveGaussianNoise(0.01),
        "training.learning_rate": 2e-3,
        "training.schedule": "cosine",
        "training.epochs": 40,
        "training.batches": None,
        "training.batch_size": 128,
        "training.keep_best": True,
    },
    at_most=634369,
    quick={"training.batches": None, "training.batch_size": 32},
    note="Shuffled epochs instead of random blocks, 40 of them with a learning rate that falls "
    "from 0.002 along a cosine; noise of its own for each row.",
)

MASKING_AUTOENCODER = AGN.but(
    "masking-autoencoder",
    "Masking noise autoencoder 784-200-784",
    {"noise": "masking", "noise_level": 0.05, "training.epochs": 100},
    published=None,
    at_most=None,
    baseline="denoising pca",
    note="The notes name it as a variant. Pixels that are lit in a few images alone, and so large "
    "when standardised, make most of its error.",
)

DEEP_3_PROTOCOL = Recipe(
    name="deep-autoencoder-3-protocol",
    title="Deep autoencoder 784-128-64-12-3, the notes' protocol",
    source="PyTorch notes, autoencoder",
    experiment=Experiment(
        Model(
            "deep",
            {
                "hidden_units": [128, 64, 12, 3],
                "activation": "tanh",
                "reconstruction_loss": "squared_error",
                "output_activation": "sigmoid",
            },
        ),
        MNIST_60000,
        pretraining=None,
        training=Training("adam", 5e-3, "constant", epochs=10, batch_size=64, keep_best=True),
    ),
    figure="squared error",
    quick={"training.epochs": 80, "training.learning_rate": 3e-3, "training.batch_size": 32},
)

DEEP_3 = DEEP_3_PROTOCOL.but(
    "deep-autoencoder-3",
    "Deep autoencoder 784-128-64-12-3",
    {
        "training.learning_rate": 2e-3,
        "training.schedule": "cosine",
        "training.epochs": 30,
        "training.batch_size": 128,
    },
    at_most=33.0,
    note="Smaller steps that fall along a cosine, 30 epochs instead of 10.",
)

DEEP_30 = Recipe(
    name="deep-autoencoder-30",
    title="Deep autoencoder 784-1000-500-250-30",
    source="Hinton and Salakhutdinov, Science 2006",
    experiment=Experiment(
        Model(
            "deep",
            {
                "hidden_units": [1000, 500, 250, 30],
                "activation": "elu",
                "reconstruction_loss": "squared_error",
                "output_activation": "sigmoid",
            },
        ),
        MNIST_60000,
        pretraining=None,
        training=Training("adam", 1e-3, epochs=40, batch_size=128, keep_best=True),
    ),
    figure="squared error",
    published=3.00,
    at_most=3.5,
    quick={
        "hidden_units": [200, 100, 50, 6],
        "training.epochs": 30,
        "training.batch_size": 32,
    },
    note="ELU and Adam instead of sigmoid units pretrained as Boltzmann machines.",
)

CONV = Recipe(
    name="conv-autoencoder",
    title="Convolutional autoencoder",
    source="Keras examples, Convolutional autoencoder for image denoising",
    experiment=Experiment(
        Model("conv", {"reconstruction_loss": "binary_crossentropy"}),
        MNIST_60000,
        pretraining=None,
        training=Training("adam", 2e-3, epochs=15, batch_size=32, keep_best=True),
    ),
    figure="cross-entropy per pixel",
    published=0.0622,
    at_most=0.0630,
    quick={
        "filters": [32, 4],
        "data.name": "digits",
        "training.epochs": 40,
        "training.batch_size": 32,
        "training.learning_rate": 5e-3,
        "slack": 2.0,  # 1,400 images are few for convolutions
    },
    note="15 epochs in batches of 32 with a learning rate that falls from 0.002 along a cosine; "
    "the example: 50 in batches of 128 at 0.001.",
)

CONV_DENOISER = CONV.but(
    "conv-denoiser",
    "Convolutional denoising autoencoder",
    {"noise": AdditiveGaussianNoise(0.4, clip=(0.0, 1.0))},
    figure="denoising cross-entropy",
    published=0.0839,
    at_most=0.0845,
    baseline="denoising pca",
    quick={
        "filters": [8, 8],
        "data.name": "digits28",
        "training.epochs": 12,
        "training.learning_rate": 3e-3,
        "training.batch_size": 128,
    },
    note="Noise drawn afresh for every batch, 15 epochs; the example: drawn once, 150 epochs.",
)

CONV_SMALL_PROTOCOL = Recipe(
    name="conv-autoencoder-small-protocol",
    title="Convolutional autoencoder with a code of 8 x 2 x 2, the notes' net",
    source="PyTorch notes, convolutional autoencoder",
    experiment=Experiment(
        Model(
            "conv",
            {
                "filters": [16, 8],
                "strides": [3, 2],
                "padding": 1,
                "pool_size": 2,
                "pool_strides": [2, 1],
                "decoder_filters": [16, 8, 1],
                "decoder_kernel_size": [3, 5, 2],
                "decoder_strides": [2, 3, 2],
                "decoder_padding": [0, 1, 1],
                "output_kernel_size": None,
                "output_activation": "tanh",
                "reconstruction_loss": "squared_error",
            },
        ),
        Data("mnist", split="full", scale="symmetric"),
        pretraining=None,
        training=Training("adam", 3e-3, epochs=40, batch_size=32, keep_best=True),
    ),
    figure="squared error",
    quick={
        "filters": [16, 1],
        "training.epochs": 40,
        "training.batch_size": 32,
        "training.learning_rate": 1e-2,
        "slack": 2.5,  # 1,400 images are few for convolutions
    },
    note="Images in [-1, 1], where a squared error is four times that in [0, 1].",
)

CONV_SMALL = CONV_SMALL_PROTOCOL.but(
    "conv-autoencoder-small",
    "Convolutional autoencoder with a code of 8 x 2 x 2",
    {
        "filters": [16, 32, 64, 8],
        "strides": 2,
        "padding": "same",
        "pool_size": 1,
        "pool_strides": None,
        "decoder_filters": [64, 32, 16, 1],
        "decoder_kernel_size": [4, 3, 4, 4],
        "decoder_strides": 2,
        "decoder_padding": 1,
        "activation": "elu",
        "training.epochs": 15,
        "training.batch_size": 128,
    },
    quick={
        "filters": [16, 32, 64, 1],
        "training.epochs": 25,
        "training.learning_rate": 3e-3,
        "slack": 1.0,
    },
    note="Four convolutions with steps of 2 down to the same code, ELU, and no pooling: the notes' "
    "net loses to PCA.",
)

CONTRACTIVE_PROTOCOL = Recipe(
    name="contractive-protocol",
    title="Contractive autoencoder, 100 sigmoid units",
    source="Rifai et al., ICML 2011",
    experiment=Experiment(
        Model("contractive", {"hidden_units": 100, "contraction_weight": 0.1}),
        MNIST,
        pretraining=None,
        training=Training("adam", 3e-3, epochs=60, batch_size=128, keep_best=True),
    ),
    figure="cross-entropy",
    quick={
        "hidden_units": 4,
        "contraction_weight": 0.01,
        "training.epochs": 60,
        "training.batch_size": 32,
        "training.learning_rate": 1e-2,
        "slack": 1.6,  # the penalty holds it back
    },
)

CONTRACTIVE = CONTRACTIVE_PROTOCOL.but(
    "contractive",
    "Contractive autoencoder, 100 ELU units",
    {"activation": "elu", "contraction_weight": 0.01},
    quick={"hidden_units": 16, "contraction_weight": 1e-3, "slack": 1.0},
    note="ELU units and a penalty of weight 0.01: sigmoid units and 0.1, as in "
    "contractive-protocol, lose to PCA in squared error.",
)

VAE_MLP_PROTOCOL = Recipe(
    name="vae-mlp-20-protocol",
    title="Variational autoencoder 784-400-20, the example's protocol",
    source="PyTorch examples, variational autoencoder",
    experiment=Experiment(
        Model("vae", {"hidden_units": [400], "latent_dim": 20}),
        MNIST_60000,
        pretraining=None,
        training=Training("adam", 1e-3, "constant", epochs=10, batch_size=128, keep_best=True),
    ),
    figure="variational bound",
    published=105.6,
    quick={
        "latent_dim": 3,
        "beta": 0.1,
        "training.epochs": 30,
        "training.batch_size": 32,
        "training.learning_rate": 3e-3,
    },
)

VAE_MLP = VAE_MLP_PROTOCOL.but(
    "vae-mlp-20",
    "Variational autoencoder 784-400-20",
    {
        "training.learning_rate": 2e-3,
        "training.schedule": "cosine",
        "training.batch_size": 64,
    },
    at_most=105.6,
    note="The same 10 epochs in batches of 64, with a learning rate that falls from 0.002 along a "
    "cosine.",
)

VAE_CONV = Recipe(
    name="vae-conv-2",
    title="Convolutional variational autoencoder, 2 latent units",
    source="Keras examples, Variational autoencoder (146.95 on its own training data)",
    experiment=Experiment(
        Model("vae", {"filters": [32, 64], "hidden_units": [16], "latent_dim": 2}),
        MNIST_60000,
        pretraining=None,
        training=Training("adam", 1e-3, "constant", epochs=30, batch_size=128, keep_best=True),
    ),
    figure="variational bound",
    published=146.95,
    quick={
        "filters": [8, 16],
        "beta": 0.1,
        "training.epochs": 40,
        "training.batch_size": 32,
        "training.learning_rate": 3e-3,
    },
    note="Trained on 60,000 images, measured on the others; the example: 70,000, and on the same.",
)

AUTOENCODERS = [
    DA_MASKING,
    DA_MASKING_0,
    AGN,
    AGN_PROTOCOL,
    MASKING_AUTOENCODER,
    DEEP_3,
    DEEP_3_PROTOCOL,
    DEEP_30,
    CONV,
    CONV_DENOISER,
    CONV_SMALL,
    CONV_SMALL_PROTOCOL,
    CONTRACTIVE,
    CONTRACTIVE_PROTOCOL,
    VAE_MLP,
    VAE_MLP_PROTOCOL,
    VAE_CONV,
]
