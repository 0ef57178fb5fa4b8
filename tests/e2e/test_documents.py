# SPDX-License-Identifier: LGPL-2.1-or-later
"""What README.md says and examples/ hold does what it says."""

import os
import re
import shlex
import signal
import time

import e2e

EXAMPLES = os.path.join(e2e.BUILD, "examples")


def read(*path):
    with open(os.path.join(e2e.SOURCE, *path)) as file:
        return file.read()


def find_pipelines():
    """The lines of README.md that start gst-launch-1.0, each once."""
    lines = [line.strip() for line in read("README.md").split("\n")]
    lines = [line for line in lines if line.startswith("gst-launch-1.0 ")]
    return sorted(set(lines), key=lines.index)


def find_elements(line):
    parts = re.split(r"\s!\s", line[len("gst-launch-1.0 "):].replace("-e ", ""))
    return [part.split()[0] for part in parts if "/" not in part.split()[0]]


class Documents(e2e.TestCase):

    def test_the_programs_in_the_readme_are_those_in_examples(self):
        blocks = re.findall(r"```c\n(.*?)```", read("README.md"), re.S)
        for name, block in zip(["write.c", "read.c"], blocks):
            with self.subTest(name=name):
                source = read("examples", name)
                self.assertEqual(block, source[source.index("#include"):])
        self.assertEqual(len(blocks), 2)

    def test_the_example_writer_and_reader_work_together(self):
        reader = self.start(os.path.join(EXAMPLES, "example-read"))
        writer = self.start(os.path.join(EXAMPLES, "example-write"))
        watch = self.start(os.path.join(EXAMPLES, "example-watch"), "numbers", "2")

        for _ in range(30):
            since = reader.mark()
            reader.wait_line(r"^frame \d+: uint8\[480,640,3\], first byte \d+$", since)
        self.assert_exits(watch)
        watch.wait_line(r"^\d+ frames, [\d.]+ a second, \d+ missed$")
        watch.wait_line(r"^age when taken: median \d+ us, p99 \d+ us$")
        watch.wait_line(r"^0 frames were copied into shared memory, 0 out of it$")
        e2e.figure("; ".join(watch.texts()))
        self.assert_exits(writer)
        # The writer does not say that it ends.
        self.assert_exits(reader)
        reader.wait_line("has gone")
        numbers = [int(re.match(r"frame (\d+)", text).group(1))
                   for text in reader.texts() if text.startswith("frame ")]
        self.assertEqual(numbers[-1], 300)
        for text in reader.texts():
            match = re.match(r"frame (\d+): .* byte (\d+)", text)
            if match:
                self.assertEqual((int(match.group(1)) - 1) % 256, int(match.group(2)))

    def test_an_example_without_a_writer_waits_and_with_a_bad_name_says_so(self):
        watch = self.start(os.path.join(EXAMPLES, "example-watch"), "a b", "1")
        self.assert_exits(watch, code=1)
        watch.wait_line("cannot be the name of a channel")
        watch = self.start(os.path.join(EXAMPLES, "example-watch"), "nobody", "1")
        self.assert_exits(watch)
        watch.wait_line("^0 frames, 0 missed$")

    # --- Pipelines ---

    def command(self, line):
        words = shlex.split(line.replace("v4l2src", "videotestsrc").replace(
            "autovideosink", "fakesink"))
        return self.start(*words)

    def make_input(self):
        encoder = next((encoder for encoder in ("vp8enc deadline=1", "theoraenc", "jpegenc")
                        if e2e.has_elements(encoder.split()[0])), None)
        if encoder is None:
            self.skipTest("no encoder is here")
        self.make_clip(encoder, "in.mkv")

    def channel_of(self, line):
        match = re.search(r"channel=(\S+)", line)
        return match.group(1) if match else "default"

    def run_writer(self, line):
        if "in.mkv" in line:
            self.make_input()
        reader = self.start(e2e.FRAMES, "read", self.channel_of(line), "--mode=queue")
        reader.wait_event("open")
        writer = self.command(line)
        if "in.mkv" in line:
            self.assert_exits(writer)
            return
        for _ in range(10):
            since = reader.mark()
            reader.wait_event("frame", since)
        writer.wait_until_it_catches(signal.SIGINT)
        writer.signal(signal.SIGINT)
        self.assert_exits(writer)
        reader.signal(signal.SIGINT)
        self.assert_exits(reader)

    def run_reader(self, line):
        channel = self.channel_of(line)
        writer = self.pipeline(
            "videotestsrc is-live=true ! video/x-raw,width=320,height=240,framerate=30/1 "
            "! ndshsink name=s channel=" + channel)
        writer.wait_event("playing")
        reader = self.command(line)

        until = time.monotonic() + e2e.DEADLINE
        while True:
            readers = writer.ask_stats()["readers"]
            if readers and readers[0]["delivered"] >= 30:
                break
            self.assertTrue(reader.is_running(), reader.output())
            self.assertLess(time.monotonic(), until, reader.output())
            time.sleep(0.05)
        reader.wait_until_it_catches(signal.SIGINT)
        reader.signal(signal.SIGINT)
        self.assert_exits(reader)
        match = re.search(r"location=(\S+)", line)
        if match:
            self.assert_plays(match.group(1))
        writer.kill()

    def assert_plays(self, path):
        decoded = self.start("gst-launch-1.0", "-v", "filesrc", "location=" + path, "!",
                             "decodebin", "!", "fakesink", "silent=false")
        self.assert_exits(decoded)
        frames = [text for text in decoded.texts() if "chain " in text]
        e2e.figure("%s: %d frames" % (path, len(frames)))
        self.assertGreaterEqual(len(frames), 10)
        return len(frames)

    def test_each_pipeline_in_the_readme_runs_as_written(self):
        lines = find_pipelines()
        self.assertGreaterEqual(len(lines), 6)
        for line in lines:
            with self.subTest(line=line):
                elements = find_elements(line)
                missing = [name for name in elements
                           if name not in ("v4l2src", "autovideosink",
                                           "ndshsink", "ndshsrc")
                           and not e2e.has_elements(name)]
                if missing:
                    e2e.figure("no %s here: %s" % (missing[0], line))
                    continue
                e2e.figure(line)
                if "ndshsink" in elements:
                    self.run_writer(line)
                else:
                    self.run_reader(line)

    def test_every_frame_of_a_file_is_read_as_the_readme_says(self):
        lines = find_pipelines()
        writers = [line for line in lines if "in.mkv" in line]
        readers = [line for line in lines if "out.mp4" in line]
        self.assertEqual((len(writers), len(readers)), (1, 1))
        if not e2e.has_elements(*find_elements(readers[0])):
            self.skipTest("no x264enc or mp4mux here")
        self.make_input()
        reader = self.command(readers[0])
        reader.wait_line("PLAYING")
        writer = self.command(writers[0])

        self.assert_exits(writer)
        self.assert_exits(reader)
        # As many as make_clip() makes.
        self.assertEqual(self.assert_plays("out.mp4"), 60)


if __name__ == "__main__":
    e2e.main()
