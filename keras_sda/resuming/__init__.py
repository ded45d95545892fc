"""States of training on disk, and resuming from them after a crash.

`callbacks.Backup` is what users meet; see there. Nothing here needs a certain backend of Keras.
"""
