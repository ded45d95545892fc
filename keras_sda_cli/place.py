"""Paths among the options of commands."""

from typing import Any

import click


class Place(click.Path):
    """The path of a file or folder, which must not be empty: Python reads such a one as "here"."""

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        if not str(value).strip():
            self.fail("expected the path of a file or folder. Received an empty one.", param, ctx)
        return super().convert(value, param, ctx)
