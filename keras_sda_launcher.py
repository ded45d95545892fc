"""Starts the command line quietly.

TensorFlow prints remarks for its developers when it is imported, which importing `keras_sda` does;
only a module beside the package can ask it not to. A level that the user has set wins.
"""

import os


def main() -> None:
    """Runs `keras-sda`."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from keras_sda.cli import main as command_line

    command_line(prog_name="keras-sda")
