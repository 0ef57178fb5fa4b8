# SPDX-License-Identifier: LGPL-2.1-or-later
"""Hides when a handle of the library's can be freed, whatever threads and signals do."""

import threading
import time

# Seconds for a thread to leave the library; to give a frame memory may take a while.
_PATIENCE = 10.0


class Life:
    """A handle, who uses it, and whether it is closed. Who uses it is noted; of those
    who find it closed and nobody left, one frees it.

    There is no lock, because a signal's handler comes between any two lines of the main
    thread's, and may use the handle, close it, or raise. A note is one operation on a
    dict, which neither a signal nor another thread divides. Who comes leaves its note
    and then looks whether it is closed; who closes says so and then looks for notes: one
    of the two sees the other. If a handler raises in the few instructions around a
    note, the handle may stay until close () is called again or the process ends. To
    have few of them a note is taken away in place: a call is where handlers come.
    """

    def __init__(self, handle, free, what):
        """free: called with the handle; what: "the writer of channel 'cam'"."""
        self.closed = False
        self._handle = handle
        self._free = free
        self._freeing = threading.Lock()     # never let go: it is freed once
        self._what = what
        self._users = {}                     # a note of each: its thread, or None

    def use(self, function, *arguments):
        """What function (handle, *arguments) returns; ValueError if it is closed."""
        note = object()
        try:
            self._users[note] = threading.get_ident()
            self.check_open()
            return function(self._handle, *arguments)
        finally:
            self._users.pop(note, None)
            self._free_if_over()

    def hold(self):
        """For longer than a call: what let_go () wants. close () does not wait for it,
        but frees nothing before."""
        note = object()
        self._users[note] = None
        if self.closed:
            self.let_go(note)
        self.check_open()
        return note

    def let_go(self, note):
        self._users.pop(note, None)
        self._free_if_over()

    def _free_if_over(self):
        if self.closed and not self._users and self._freeing.acquire(False):
            self._free(self._handle)

    def check_open(self):
        if self.closed:
            raise self._make_closed_error()

    def _make_closed_error(self):
        return ValueError("%s is closed" % self._what)

    def _interrupt(self, handle):
        """Has those who wait in the library leave it."""

    def close(self):
        """Frees the handle once the other threads have left it: now, or if one stays
        too long, or this is a signal's handler in the middle of a call, later."""
        note = object()
        try:
            self._users[note] = None
            if not self.closed:
                self.closed = True
                self._interrupt(self._handle)
            self._wait_for_others()
        finally:
            self._users.pop(note, None)
            self._free_if_over()

    def _wait_for_others(self):
        own = None, threading.get_ident()
        until = time.monotonic() + _PATIENCE
        while any(thread not in own for thread in list(self._users.values())):
            if time.monotonic() > until:
                return
            time.sleep(0.001)
