# SPDX-License-Identifier: LGPL-2.1-or-later
"""What README.md, pipelines.md and the pages of the elements say, and examples/ hold, does
what it says."""

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


def find_pipelines(*document):
    """The lines of a document, or a comment, that start gst-launch-1.0, each once."""
    lines = [line.strip(" *") for line in read(*document).split("\n")]
    lines = [line for line in lines if line.startswith("gst-launch-1.0 ")]
    return sorted(set(lines), key=lines.index)


def find_elements(line):
    return re.findall(r"(?<!\S)[a-z][a-z0-9_]*(?!\S)", line)


def find_channels(line, element):
    """Those that each @element of the line has, in order."""
    properties = re.findall(r"\b%s\b((?: [\w-]+=\S+)*)" % element, line)
    return [(re.findall(r"channel=(\S+)", some) or ["default"])[0]
            for some in properties]


# What needs a camera, a microphone or a screen, and what takes its place.
STAND_INS = [
    ("v4l2src ! image/jpeg,width=1280",
     "videotestsrc is-live=true ! video/x-raw,width=1280 ! jpegenc"),
    ("v4l2src", "videotestsrc is-live=true"),
    ("libcamerasrc", "videotestsrc is-live=true"),
    ("nvarguscamerasrc", "videotestsrc is-live=true"),
    ("autoaudiosrc", "audiotestsrc is-live=true"),
    ("autovideosink", "fakesink sync=true"),
]


def without_hardware(line):
    for real, stand_in in STAND_INS:
        line = line.replace(real, stand_in)
    return line


# Any other that is missing is misspelt.
MAY_BE_MISSING = ["nvvidconv", "vp8dec", "vp8enc", "x264enc"]


def is_here(line):
    """Whether all elements are; else a line says which is not."""
    for name in find_elements(line):
        if name not in ("ndshsink", "ndshsrc") and not e2e.has_elements(name):
            assert name in MAY_BE_MISSING, "no %s: %s" % (name, line)
            e2e.figure("no %s here: %s" % (name, line))
            return False
    return True


class Documents(e2e.TestCase):

    def setUp(self):
        super().setUp()
        self.listen_for_warnings()

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

    def command(self, line, **more):
        return self.start(*shlex.split(without_hardware(line)), **more)

    def make_input(self):
        encoder = next((encoder for encoder in ("vp8enc deadline=1", "theoraenc", "jpegenc")
                        if e2e.has_elements(encoder.split()[0])), None)
        if encoder is None:
            self.skipTest("no encoder is here")
        self.make_clip(encoder, "in.mkv")

    def run_writer(self, line):
        if "in.mkv" in line:
            self.make_input()
        reader = self.start(e2e.FRAMES, "read", find_channels(line, "ndshsink")[0],
                            "--mode=queue")
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
        channel = find_channels(line, "ndshsrc")[0]
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

    def run_each(self, lines):
        lines = [line for line in lines if is_here(without_hardware(line))]
        for line in lines:
            with self.subTest(line=line):
                e2e.figure(line)
                if "ndshsink" in find_elements(line):
                    self.run_writer(line)
                else:
                    self.run_reader(line)
        return len(lines)

    def test_each_pipeline_in_the_readme_runs_as_written(self):
        lines = find_pipelines("README.md")
        self.assertGreaterEqual(len(lines), 6)
        self.assertGreaterEqual(self.run_each(lines), 4)

    def test_each_pipeline_on_the_page_of_an_element_runs_as_written(self):
        for element in ("ndshsink", "ndshsrc"):
            lines = find_pipelines("plugin", "gst%s.c" % element)
            self.assertTrue(all(element in find_elements(line) for line in lines))
            self.assertEqual(len(lines), 2)
            self.assertGreaterEqual(self.run_each(lines), 1)

    def start_writer(self, line, directory):
        """Runs in a directory of channels of its own."""
        os.mkdir(os.path.join(self.dir, directory))
        words = shlex.split(without_hardware(line))[1:]
        return self.start(e2e.PIPELINE, *words, env={"NDSH_DIR": directory})

    def wait_delivered(self, writer, n_sinks, pid):
        """Until a process got 30 frames of each sink."""
        until = time.monotonic() + e2e.DEADLINE
        for i in range(n_sinks):
            delivered = []
            while not delivered or min(delivered) < 30:
                self.assertLess(time.monotonic(), until, writer.output())
                time.sleep(0.05)
                stats = writer.ask_stats("ndshsink%d" % i)
                delivered = [reader["delivered"] for reader in stats["readers"]
                             if reader["pid"] == pid]

    def interrupt(self, process):
        process.wait_until_it_catches(signal.SIGINT)
        process.signal(signal.SIGINT)

    def test_each_pipeline_in_pipelines_md_runs(self):
        lines = [line for line in find_pipelines("doc", "pipelines.md")
                 if is_here(without_hardware(line))]
        writers = {}
        for n, line in enumerate(line for line in lines if "ndshsrc" not in line):
            directory = os.path.join(self.dir, str(n))
            writers[line] = (self.start_writer(line, directory), directory,
                             find_channels(line, "ndshsink"))
        readers = []            # (process, its writer, number of sinks, line)
        for writer, directory, channels in writers.values():
            writer.wait_event("playing")
            readers += [(self.start(e2e.FRAMES, "read", channel,
                                    env={"NDSH_DIR": directory}), writer, 0, "")
                        for channel in channels]
        for line in lines:
            channels = find_channels(line, "ndshsrc")
            found = [(writer, directory) for writer, directory, theirs in writers.values()
                     if channels and channels == theirs]
            if channels:
                self.assertTrue(found, "nothing on the page writes for: " + line)
                writer, directory = found[0]
                readers.append((self.command(line, env={"NDSH_DIR": directory}), writer,
                                len(channels), line))
        self.assertGreaterEqual(len(writers), 4)
        self.assertGreaterEqual(len(readers), 4)

        for reader, writer, n_sinks, line in readers:
            with self.subTest(reader=reader.args):
                if n_sinks == 0:
                    reader.wait_event("frame")
                self.wait_delivered(writer, n_sinks, reader.pid)
                self.interrupt(reader)
        for reader, _, _, line in readers:
            with self.subTest(reader=reader.args):
                self.assert_exits(reader)
                for path in re.findall(r"location=(\S+)", line):
                    self.assert_plays(path)
        for writer, _, _ in writers.values():
            self.interrupt(writer)
            self.assert_exits(writer)

    def test_every_frame_of_a_file_is_read_as_the_readme_says(self):
        lines = find_pipelines("README.md")
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
