# SPDX-License-Identifier: LGPL-2.1-or-later
"""What programs give as options, checked before anything is made of it: an error names
the option, what it was, and what to write."""

import operator
import os

from . import _lib


def whole(value, what, least, most=None):
    """A whole number within bounds."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError("%s is %r, and must be a whole number%s" % (
            what, value, _unquoted(value, least, most)))
    if number < least or (most is not None and number > most):
        raise ValueError("%s is %d, and %s is possible" % (
            what, number, "at least %d" % least if most is None
            else "%d to %d" % (least, most)))
    return number


def _unquoted(text, least, most):
    """What somebody meant who wrote "3"."""
    try:
        number = int(text)
    except (TypeError, ValueError):
        return ""
    return ": write %d" % number if number == float(text) and number >= least and (
        most is None or number <= most) else ""


def seconds(value, what):
    """Seconds, any; or None."""
    if value is None:
        return None
    try:
        number = float(value)
        if isinstance(value, (str, bytes)) or number != number:
            raise ValueError
    except (TypeError, ValueError):
        raise _error_for(value)("%s is %r; it is seconds, a number, or None" % (
            what, value))
    return number


def rate(value, what):
    """Times a second, more than 0; or None."""
    try:
        if value is None or value > 0:
            return value
    except TypeError:
        pass
    raise _error_for(value)("%s is %r; it is a number of more than 0, or None" % (
        what, value))


def _error_for(value):
    return ValueError if isinstance(value, (int, float)) else TypeError


def permissions(value):
    """File permissions. 644 is not 0o644, and neither is "0644"."""
    if isinstance(value, str):
        octal = value[2:] if value[:2] in ("0o", "0O") else value
        raise TypeError("perms is %r, a text: write %s" % (
            value, "0o" + octal.lstrip("0") if _is_octal(octal) else "0o600"))
    number = whole(value, "perms", 0)
    if number > 0o777 and _is_octal(str(number)) and len(str(number)) == 3:
        raise ValueError("perms is %d, in decimal: write 0o%d" % (number, number))
    if not 1 <= number <= 0o777:
        raise ValueError("perms is 0o%o, and 0o1 to 0o777 is possible: write 0o600 for "
                         "the user, 0o660 for the group too" % number)
    return number


def _is_octal(text):
    return text != "" and set(text) <= set("01234567")


def mode(value):
    """Its number in the library."""
    if value not in _lib.MODES:
        raise ValueError('mode is "latest", "queue" or "lossless", not %r' % (value,))
    return _lib.MODES.index(value)


def check_directory(name=""):
    """A relative one would be another for each process's working directory. What is a
    path itself needs none."""
    directory = os.environ.get("NDSH_DIR", "")
    if directory and not str(name).startswith("/") and not os.path.isabs(directory):
        raise ValueError("NDSH_DIR is %r, and must begin with '/': set it to %r" % (
            directory, os.path.abspath(directory)))
