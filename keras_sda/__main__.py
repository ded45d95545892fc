"""`python -m keras_sda` is `keras-sda`."""

from keras_sda_cli.__main__ import main

if __name__ == "__main__":
    main()
