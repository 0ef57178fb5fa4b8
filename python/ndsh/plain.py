# SPDX-License-Identifier: LGPL-2.1-or-later
"""Hides where classes come from that are only values or a name: help () shows what they
are for, and not the methods of tuples and exceptions that they inherit."""


class Plain(type):
    """Of a class that adds fields, or nothing, to what it inherits."""

    def __dir__(cls):
        return [name for name in vars(cls) if not name.startswith("_")]


def plain(record):
    """A namedtuple as a class of the package's."""
    parts = dict(vars(record), __module__="ndsh")
    return Plain(record.__name__, (tuple,), parts)
