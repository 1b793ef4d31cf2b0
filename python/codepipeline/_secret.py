# SPDX-License-Identifier: MIT
"""What the service's model marks as sensitive."""


class Secret(str):
    """A text that is not shown: its repr(), and so that of a dict it is in, is '***'. In all else it is the text."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"
