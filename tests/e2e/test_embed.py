# SPDX-License-Identifier: LGPL-2.1-or-later
"""examples/embed.c: either side killed and started anew, and branches that come and go
while the pipeline plays."""

import os
import re
import signal

import e2e

EMBED = os.environ["NDSH_EMBED"]

PICTURE = re.compile(r"^picture (\d+) at (\d+):(\d+):(\d+\.\d+): pixels from (\d+) to (\d+)$")


class Picture:

    def __init__(self, match):
        number, hours, minutes, seconds, darkest, brightest = match.groups()
        self.number = int(number)
        self.time = 3600 * int(hours) + 60 * int(minutes) + float(seconds)
        self.is_right = int(darkest) == int(brightest) == self.number % 256


class Embed(e2e.TestCase):

    def setUp(self):
        super().setUp()
        self.env["G_DEBUG"] = "fatal-criticals"
        self.listen_for_warnings()

    def embed(self, role, channel="cam"):
        return self.start(EMBED, role, channel)

    def pictures(self, process, since=0):
        return [Picture(match) for match in map(PICTURE.match, process.texts(since))
                if match]

    def wait_pictures(self, process, n, since=None):
        """The first @n from here, or from @since, on."""
        since = process.mark() if since is None else since
        wanted = []

        def is_enough(text):
            match = PICTURE.match(text)
            wanted.extend([Picture(match)] if match else [])
            return len(wanted) == n
        process.find(is_enough, since)
        return wanted

    def assert_right(self, pictures):
        """Whole, and each later than the one before."""
        self.assertTrue(pictures)
        for before, after in zip(pictures, pictures[1:]):
            self.assertLess(before.number, after.number)
            self.assertLess(before.time, after.time)
        for picture in pictures:
            self.assertTrue(picture.is_right, picture.number)

    def end(self, process):
        process.signal(signal.SIGINT)
        self.assert_exits(process)

    # --- appsrc, appsink ---

    def test_pictures_arrive_whole_in_order_and_were_not_copied(self):
        reader = self.embed("read")
        writer = self.embed("write")

        self.assert_right(self.wait_pictures(reader, 40, since=0))
        self.end(writer)
        reader.wait_line("^the writer has gone$")
        self.end(reader)

        told = writer.wait_line(r"^(\d+) pictures, of which (\d+) were copied$")
        published, copied = map(int, told.groups())
        e2e.figure("%d of %d copied" % (copied, published))
        self.assertGreaterEqual(published, 40)
        # Those that were made before appsrc's thread has asked for the pool.
        self.assertLess(copied, 20)

    def test_a_reader_goes_on_when_the_writer_is_killed_and_started_again(self):
        reader = self.embed("read")
        for _ in range(3):
            since = reader.mark()
            writer = self.embed("write")
            reader.wait_line("^there is a writer$", since)
            self.assert_right(self.wait_pictures(reader, 10, since))
            since = reader.mark()
            writer.kill()
            reader.wait_line("^the writer has gone$", since)
        self.end(reader)
        times = [picture.time for picture in self.pictures(reader)]
        self.assertEqual(times, sorted(times))

    def test_a_reader_goes_on_when_the_writer_has_ended_its_stream(self):
        reader = self.embed("read")
        for _ in range(2):
            since = reader.mark()
            writer = self.embed("write")
            self.assert_right(self.wait_pictures(reader, 10, since))
            self.end(writer)
            reader.wait_line("^the writer has gone$", since)
        self.end(reader)

    def test_readers_are_killed_and_started_again_and_the_writer_goes_on(self):
        writer = self.embed("write")
        last = -1
        for _ in range(3):
            reader = self.embed("read")
            pictures = self.wait_pictures(reader, 10, since=0)
            self.assert_right(pictures)
            # The newest there is comes at once, and may be the last one again.
            self.assertGreaterEqual(pictures[0].number, last)
            reader.kill()
            last = self.pictures(reader)[-1].number
        self.end(writer)

    def test_a_channel_that_has_a_writer_is_refused_with_a_sentence(self):
        first = self.embed("write")
        reader = self.embed("read")
        self.wait_pictures(reader, 1, since=0)
        second = self.embed("write")
        self.assert_exits(second, code=1)
        second.wait_line("^channel: channel 'cam' is already written by process %d; "
                         % first.pid)
        self.wait_pictures(reader, 10)
        self.end(first)

    def test_who_calls_it_otherwise_is_told_how(self):
        for words in ([], ["write"], ["wrote", "cam"], ["read", "cam", "5"]):
            program = self.start(EMBED, *words)
            self.assert_exits(program, code=2)
            program.wait_line(r"^usage: .* write\|read\|branch CHANNEL$")

    # --- Branches ---

    def switch(self, program, now):
        since = program.mark()
        program.say("")
        program.wait_line("^the branch is %s$" % now, since)

    def assert_undisturbed(self, program):
        """What the program itself looks at: not one picture is missing."""
        pictures = self.pictures(program)
        self.assert_right(pictures)
        self.assertEqual([picture.number for picture in pictures],
                         list(range(len(pictures))))

    def test_a_branch_comes_and_goes_while_the_pipeline_plays(self):
        program = self.embed("branch")
        reader = self.embed("read")
        self.wait_pictures(program, 5, since=0)
        for _ in range(3):
            since = reader.mark()
            self.switch(program, "there")
            self.assert_right(self.wait_pictures(reader, 10, since))
            self.switch(program, "gone")
            reader.wait_line("^the writer has gone$", since)
            self.wait_pictures(program, 10)
        self.end(program)
        self.end(reader)
        self.assert_undisturbed(program)
        numbers = [picture.number for picture in self.pictures(reader)]
        self.assertEqual(numbers, sorted(set(numbers)))

    def test_readers_hear_that_a_branch_has_ended(self):
        program = self.embed("branch")
        self.switch(program, "there")
        reader = self.launch("-v ndshsrc channel=cam ! fakesink silent=false")
        reader.wait_line("chain ")
        self.switch(program, "gone")
        self.assert_exits(reader)
        reader.wait_line("Got EOS from element")
        self.end(program)

    def test_a_program_can_end_with_a_branch(self):
        program = self.embed("branch")
        self.switch(program, "there")
        self.wait_pictures(program, 5)
        self.end(program)
        self.assert_undisturbed(program)

    def test_enter_pressed_fast_does_no_harm(self):
        program = self.embed("branch")
        self.wait_pictures(program, 1, since=0)
        for _ in range(50):
            program.say("")
        program.wait_line("^the branch is gone$")
        self.wait_pictures(program, 10)
        self.end(program)
        self.assert_undisturbed(program)

    def test_a_branch_that_cannot_start_leaves_the_rest_as_it_is(self):
        other = self.embed("write")
        reader = self.embed("read")
        self.wait_pictures(reader, 1, since=0)
        program = self.embed("branch")
        for _ in range(2):
            since = program.mark()
            program.say("")
            program.wait_line("^channel: channel 'cam' is already written by process %d; "
                              % other.pid, since)
            self.wait_pictures(program, 10)
        self.end(other)

        since = reader.mark()
        self.switch(program, "there")
        self.assert_right(self.wait_pictures(reader, 10, since))
        self.end(program)
        self.assert_undisturbed(program)


if __name__ == "__main__":
    e2e.main()
