"""Names of features of a table, as pictures have them."""

# More names than these cannot be read in one picture.
MOST_NAMES = 60

_MOST_SIGNS = 28


def shortened(name):
    """Returns a name that fits beside a picture.

    >>> shortened("occupation = Armed-Forces and similar")
    'occupation = Armed-Forces an…'
    """
    text = " ".join(str(name).split())
    return text if len(text) <= _MOST_SIGNS else f"{text[:_MOST_SIGNS]}…"


def check_names(names, count, owner):
    """Refuses names that are not as many as features."""
    if len(names) != count:
        raise ValueError(
            f"Argument `feature_names` of {owner} must have {count} names, one for each feature. "
            f"Received {len(names)}."
        )
