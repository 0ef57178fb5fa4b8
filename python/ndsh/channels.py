# SPDX-License-Identifier: LGPL-2.1-or-later
"""Finding channels: what their writers tell when asked, without becoming a reader."""

import time

from . import _lib, arguments, formats


class Channel:
    """A live channel, as its writer told it.

    name: what Reader () takes
    pid, uid: the writer's process, 0 in another pid namespace, and user
    stream_id: 32 hex digits, new with every writer
    published: frames so far; readers: readers now; bytes: shared memory for frames
    publish_ns: CLOCK_MONOTONIC, when the newest was published; None before the first
    caps: GStreamer caps of the newest frame, or whatever else describes it; "" if none
    arrays: a Spec (dtype, shape, strides, offset) of each of its arrays
    timing: a Timing: what its pts means
    rate: frames a second, measured; None if it was not
    """

    def __init__(self, name, told):
        self.name = name
        self.pid, self.uid = told["pid"], told["uid"]
        self.stream_id = told["stream_id"]
        self.published = told["published"]
        self.publish_ns = told["publish_ns"] or None
        self.readers = told["readers"]
        self.bytes = told["bytes"]
        self.caps = told["caps"]
        self.arrays = told["arrays"]
        self.timing = told["timing"]
        self.rate = None

    @property
    def format(self):
        """The caps' format, like "BGR"; None if they name none."""
        return formats.Caps(self.caps).format

    def _measure(self, earlier):
        """The rate between the newest frame of then and that of now."""
        if earlier.stream_id != self.stream_id:
            return
        frames = self.published - earlier.published
        if frames == 0:
            self.rate = 0.0
        elif earlier.publish_ns is not None and self.publish_ns > earlier.publish_ns:
            self.rate = frames * 1e9 / (self.publish_ns - earlier.publish_ns)

    def __repr__(self):
        arrays = " ".join("%s%s" % (spec.dtype, list(spec.shape))
                          for spec in self.arrays)
        return "<ndsh.Channel '%s': %s%s>" % (
            self.name, arrays or "no frame yet",
            " " + self.format if self.format else "")


def channel(name, measure=0.0):
    """The Channel of that name.

    measure: seconds after which it is asked once more, to know its rate

    FileNotFoundError  nobody writes
    PermissionError    not allowed
    TimeoutError       the writer does not answer: it may be stopped
    ndsh.Error         it speaks another version of the protocol
    """
    arguments.check_directory(name)
    return _ask_twice([name], measure, _lib.channel_info)[0]


def channels(measure=0.0):
    """A list of the Channels that are live, by name.

    measure: seconds after which all are asked once more, to know their rates
    What cannot be asked (not allowed, stopped, another version) is left out. Each that
    is stopped costs two seconds.
    """
    arguments.check_directory()
    return _ask_twice(_lib.list_channels(), measure, _try_to_ask)


def _try_to_ask(name):
    try:
        return _lib.channel_info(name)
    except (OSError, _lib.Error):
        return None


def _ask_twice(names, measure, ask):
    first = _ask(names, ask)
    if measure <= 0 or not first:
        return first
    time.sleep(measure)
    second = _ask([one.name for one in first], ask)
    earlier = {one.name: one for one in first}
    for one in second:
        one._measure(earlier[one.name])
    return second


def _ask(names, ask):
    answers = ((name, ask(name)) for name in names)
    return [Channel(name, told) for name, told in answers if told is not None]
