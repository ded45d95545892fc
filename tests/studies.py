"""What the tests of studies share."""

import dataclasses

from keras_sda.experiments import contestants


def train_briefly(monkeypatch, fine_tuning, pretraining):
    """Has a study's networks train for so many epochs at most, which changes no setting."""
    for name, most in (
        ("_FINE_TUNING_DURATION", fine_tuning),
        ("_PRETRAINING_DURATION", pretraining),
        ("_LADDER_DURATION", 10),
    ):
        duration = dataclasses.replace(getattr(contestants, name), most=most)
        monkeypatch.setattr(contestants, name, duration)
