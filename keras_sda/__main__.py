"""`python -m keras_sda` is `keras-sda`."""

from keras_sda.cli import main

if __name__ == "__main__":
    main(prog_name="keras-sda")
