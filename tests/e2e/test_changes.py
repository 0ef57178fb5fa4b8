# SPDX-License-Identifier: LGPL-2.1-or-later
"""Item 8: a stream whose shape and dtype change with every frame."""

import os
import random

import e2e

N_FRAMES = 1000 + 10000


class Changes(e2e.TestCase):

    def test_ten_thousand_changes_of_shape_and_dtype_harm_no_byte_and_leak_nothing(
            self):
        # Sizes go up now and then, so that slots are replaced all along. What both
        # use is measured after the first 1000, at the end, and when all is closed.
        seed = int(os.environ.get("NDSH_SEED", random.randrange(1 << 30)))
        e2e.figure("seed %d; NDSH_SEED takes it back" % seed)

        reader = self.start(e2e.FRAMES, "read", "changes", "--mode=lossless",
                            "--check", "--seed=%d" % seed, "--quiet", "--measure")
        writer = self.start(e2e.FRAMES, "write", "changes", "--seed=%d" % seed,
                            "--frames=%d" % N_FRAMES, "--wait-for=1", "--quiet",
                            "--measure", "--lossless-timeout=60000")

        self.assert_exits(reader, timeout=120)
        self.assert_exits(writer)
        read = reader.wait_event("read")
        self.assertEqual(read["frames"], N_FRAMES)
        self.assertEqual(read["wrong"], 0)
        self.assertEqual(read["missed"], 0)
        for process, who in (reader, "reader"), (writer, "writer"):
            use = {event["at"]: event for event in process.events("usage")}
            e2e.figure("%s: %s" % (who, "; ".join(
                "%s: %d fds, %d maps, %d KiB" % (
                    at, use[at]["fds"], use[at]["maps"],
                    use[at]["anonymous_kib"])
                for at in ("start", "warm", "done", "end"))))
            self.assertEqual(use["done"]["fds"], use["warm"]["fds"])
            self.assertEqual(use["done"]["memfd_maps"], use["warm"]["memfd_maps"])
            self.assertLessEqual(
                use["done"]["anonymous_kib"], use["warm"]["anonymous_kib"] + 256)
            self.assertEqual(use["end"]["fds"], use["start"]["fds"])
            self.assertEqual(use["end"]["memfd_maps"], 0)


if __name__ == "__main__":
    e2e.main()
