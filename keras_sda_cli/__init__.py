"""The command line of `keras_sda`: an application beside the library."""
