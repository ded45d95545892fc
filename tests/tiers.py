"""The tiers of tests: of a parameter, the default tier tries some values and `full` all of them."""

import pytest


def in_tiers(values, default, elsewhere=None):
    """Returns the values of a parameter, of which those that `default` leaves out are `full`.

    Args:
        values: All values, for `pytest.mark.parametrize`.
        default: Those among them that the default tier runs.
        elsewhere: Those that it runs under other backends than TensorFlow, if these are fewer.
    """
    values = list(values)
    elsewhere = default if elsewhere is None else elsewhere
    missing = {*default, *elsewhere} - set(values)
    assert not missing, f"{sorted(missing)} are not among the parameters"
    return [
        pytest.param(
            value,
            marks=[
                *([] if value in default else [pytest.mark.full]),
                *([] if value in elsewhere else [pytest.mark.full_elsewhere]),
            ],
        )
        for value in values
    ]
