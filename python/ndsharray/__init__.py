# SPDX-License-Identifier: LGPL-2.1-or-later
"""NumPy arrays shared between processes: the interface of ndsharray, on top of ndsh.

Scripts that were written for the ndsharray package run as they are:

    shared = ndsharray.NdShArray("my_unique_tag", r_w="w")     # one process
    shared.write(array)

    shared = ndsharray.NdShArray("my_unique_tag", r_w="r")     # another
    is_new, array = shared.read()

One difference shows: nothing is left behind. The original left its files, and the last
array in them, in /dev/shm. Here a process, ndsh-keeper, has the last array for a minute
after its writer was collected or its interpreter ended (NdShArray (linger=seconds)); a
reader that comes later, or after a writer that was killed, gets FileNotFoundError. Readers
keep what they have read, and follow the next writer of the name.

Others show less:

- Other users may not read: NdShArray (perms=0o666) lets them, in a directory that they may
  enter (NDSH_DIR).
- A second process that writes gets FileExistsError, with the pid of the first, instead of
  taking turns with it: close () the first one's object, or use two names. A forked child
  gets the name from its parent with its first write.
- A reader of a writer that was stopped (SIGSTOP, a debugger) is made once that goes on:
  until then it gets TimeoutError after two seconds; wait=True waits. Who reads already
  keeps what there is.
- is_valid of a writing object is True while it is open; it was always False.
- A mask does not go along, as before, but that is told (RuntimeWarning). write () to a
  reading object is io.UnsupportedOperation, it was a TypeError.
- A writer has as many readers as an eighth of its process's file descriptors
  (`ulimit -n`), 128 of 1024: they take half of those.

It is one channel for all: ndsh.Reader and ndshsrc read what an NdShArray writes, an
NdShArray reads what ndsh.Writer and ndshsink write; NdShArray.channel is its name
there. New programs take ndsh itself: it waits, queues, and tells more of each frame.
"""

from .ndsharray import NdShArray, supported_types

#: That of the interface, and of what it stands on.
__version__ = "1.1.4+ndsh.0.1.0"
__author__ = "the authors of ndsh"
__email__ = ""
__all__ = ["NdShArray", "supported_types"]
