# SPDX-License-Identifier: LGPL-2.1-or-later
"""Writers and readers that come, go, stop, go on and are killed, in an order that
chance decides. After each step everything that must be true of who is left is asked of
the kernel, and heard from them: of the payload and order of each frame, and whether
those missed were counted. After most steps nothing else happens until all have come to
rest and go on, and have been asked for the rest.

    chaos.py [--seed N] [--seconds S] [--scenario NAME]

Same seed, same decisions: none depends on time, but how many there are does. Each is
one line, printed before it is carried out."""

import argparse
import os
import random
import re
import signal
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
import e2e  # noqa: E402

# A new frame, an answer, a bound: generous, it is there to tell "slow" from "never".
PATIENCE = 10
MOST_SLOTS = 256
PAGE = os.sysconf("SC_PAGESIZE")

# What a process has open, and memory of its own, beside what frames need: about twice
# what was measured.
FDS = {"frames": 9, "pipeline": 32, "launch": 48}
PRIVATE_KIB = {"frames": 4 << 10, "pipeline": 48 << 10, "launch": 48 << 10}

options = None


class Wrong(AssertionError):
    pass


def count_fds(pid):
    return len(os.listdir("/proc/%d/fd" % pid))


def count_shared_maps(pid):
    with open("/proc/%d/maps" % pid) as file:
        return sum("/memfd:ndsh" in line for line in file)


def get_private_kib(pid):
    with open("/proc/%d/status" % pid) as file:
        return int(re.search(r"RssAnon:\s*(\d+)", file.read()).group(1))


class Actor:
    """A process and what was decided about it."""

    def __init__(self, name, process, program, **more):
        self.name = name
        self.process = process
        self.program = program          # frames, pipeline, launch
        self.stopped = False
        self.heard = 0                  # a mark: of the output so far
        self.leases = more.pop("leases", 2)
        self.max_bytes = more.pop("max_bytes", 0)
        self.tight = more.pop("tight", False)
        self.prompt = more.pop("prompt", True)  # waits for frames, which hears messages
        assert not more

    def can_be_asked(self):
        return not self.stopped and self.program != "launch"

    def ask(self):
        return self.process.ask_stats()

    def count_frames(self):
        stats = self.ask()
        for name in ("frames", "frames-published", "checked"):
            if name in stats:
                return stats[name]
        raise Wrong("no count in %s" % stats)


class Scene:
    """A channel and who is on it."""

    most_readers = 6
    most_ms_of_start = 15
    checks = ["--check"]

    def __init__(self, play):
        self.play = play
        self.random = play.random
        self.name = type(self).__name__.lower()
        self.writer = None
        self.readers = []
        self.newest = 0                 # number of actors so far
        self.ended_well = False         # the last writer, which takes its name along

    # --- What can happen ---

    def actions(self):
        """(weight, function) of what can happen now."""
        running = [one for one in self.readers if not one.stopped]
        stopped = [one for one in self.readers if one.stopped]
        able = []
        if len(self.readers) < self.most_readers:
            able += [(6, self.join), (1, self.stillborn_reader)]
        if self.readers:
            able += [(2, self.leave), (2, self.kill_reader)]
        if running:
            able.append((3, self.stop_reader))
        if stopped:
            able.append((4, self.continue_reader))
        return able + self.writer_actions()

    def writer_actions(self):
        if self.writer is None:
            return [(12, self.start_writer), (2, self.stillborn_writer)]
        able = [(1, self.rival)]
        if self.writer.stopped:
            return able + [(8, self.continue_writer), (2, self.kill_writer)]
        return able + [(2, self.kill_writer), (2, self.end_writer),
                       (2, self.stop_writer), (1, self.ask_about_channel)]

    def say(self, text):
        self.play.say("%s: %s" % (self.name, text))

    def new_name(self, letter):
        self.newest += 1
        return "%s%d" % (letter, self.newest)

    def frames(self, *args):
        return self.play.case.start(e2e.FRAMES, *args)

    # --- Writers ---

    def writer_options(self):
        """Arguments, bytes that they allow, whether those are few."""
        random = self.random
        tight = random.random() < 0.4
        history = random.randint(1, 4)
        if random.random() < 0.4:
            args = ["--seed=%d" % random.randrange(1000)]
            most = (48 if tight else 256) << 20
        else:
            size = random.choice([64, 4096, 100000, 921600])
            args = ["--size=%d" % size]
            cost = (size + PAGE - 1) // PAGE * PAGE + PAGE
            most = cost * (history + 2 if tight else 64)
        args += ["--rate=%d" % random.choice([30, 100, 300]),
                 "--history=%d" % history,
                 "--lossless-timeout=%d" % random.randint(200, 1500),
                 "--max-memory=%d" % most]
        return args, most, tight

    def start_writer(self):
        name = self.new_name("w")
        args, most, tight = self.writer_options()
        self.say("%s writes %s" % (name, " ".join(args)))
        process = self.frames("write", self.name, "--quiet", "--listen", *args)
        process.wait_event("open")
        self.writer = Actor(name, process, "frames", max_bytes=most, tight=tight)

    def stillborn_writer(self):
        """Killed while it starts, or a little later."""
        ms = self.random.uniform(0, self.most_ms_of_start)
        self.say("%s is to write and is killed after %.2f ms" % (
            self.new_name("w"), ms))
        process = self.begin_to_write()
        time.sleep(ms / 1e3)
        self.play.bury(process)
        self.ended_well = False

    def begin_to_write(self):
        return self.frames("write", self.name, "--quiet", "--rate=100")

    def rival(self):
        self.say("%s wants to write too" % self.new_name("w"))
        process = self.frames("write", self.name, "--quiet", "--frames=1")
        code = process.wait()
        errors = process.events("error")
        if code != 1 or not errors or errors[0]["code"] != 1:
            raise Wrong("a second writer was not refused\n" + process.output())
        self.play.forget(process)

    def kill_writer(self):
        self.say("%s is killed" % self.writer.name)
        self.play.bury(self.writer.process)
        self.writer = None
        self.ended_well = False

    def end_writer(self):
        self.say("%s is to end" % self.writer.name)
        writer, self.writer = self.writer, None
        self.ended_well = self.play.end(writer)

    def stop_writer(self):
        self.say("%s is stopped" % self.writer.name)
        self.play.stop(self.writer)

    def continue_writer(self):
        self.say("%s goes on" % self.writer.name)
        self.play.go_on(self.writer)

    def ask_about_channel(self):
        self.say("somebody asks about %s" % self.writer.name)
        process = self.frames("info", self.name)
        if process.wait() != 0:
            raise Wrong("nobody answers\n" + process.output())
        info = process.events("info")[0]
        if info["pid"] != self.writer.process.pid:
            raise Wrong("somebody else answered\n" + process.output())
        if info["bytes"] > self.writer.max_bytes:
            raise Wrong("%d bytes are more than %d" % (
                info["bytes"], self.writer.max_bytes))
        self.play.forget(process)

    # --- Readers ---

    def reader_options(self):
        random = self.random
        leases = random.randint(1, 4)
        args = ["--mode=" + random.choice(["latest", "queue", "lossless"]),
                "--leases=%d" % leases, "--queue=%d" % random.randint(1, 8)]
        manner = random.random()
        if manner < 0.3:
            args.append("--sleep=%d" % random.choice([5, 50, 200]))
        elif manner < 0.6:
            args.append("--hold=%d" % random.choice([20, 100, 500]))
        return args, leases, manner >= 0.6

    def join(self):
        name = self.new_name("r")
        args, leases, prompt = self.reader_options()
        self.say("%s reads %s" % (name, " ".join(args)))
        process = self.frames("read", self.name, "--quiet", "--listen", "--follow",
                              *self.checks, *args)
        process.wait_event("open")
        self.readers.append(
            Actor(name, process, "frames", leases=leases, prompt=prompt))

    def stillborn_reader(self):
        ms = self.random.uniform(0, 15)
        self.say("%s is to read and is killed after %.2f ms" % (
            self.new_name("r"), ms))
        process = self.frames("read", self.name, "--quiet", "--mode=lossless")
        time.sleep(ms / 1e3)
        self.play.bury(process)

    def choose_reader(self, stopped=None):
        return self.random.choice([one for one in self.readers
                                   if stopped in (None, one.stopped)])

    def leave(self):
        reader = self.choose_reader()
        self.say("%s is to leave" % reader.name)
        self.readers.remove(reader)
        self.play.end(reader)

    def kill_reader(self):
        reader = self.choose_reader()
        self.say("%s is killed" % reader.name)
        self.readers.remove(reader)
        self.play.bury(reader.process)

    def stop_reader(self):
        reader = self.choose_reader(stopped=False)
        self.say("%s is stopped" % reader.name)
        self.play.stop(reader)

    def continue_reader(self):
        reader = self.choose_reader(stopped=True)
        self.say("%s goes on" % reader.name)
        self.play.go_on(reader)

    # --- What must be true ---

    def actors(self):
        return ([self.writer] if self.writer else []) + self.readers

    def any_stopped(self):
        return any(one.stopped for one in self.actors())

    def look(self):
        """At what is true at any moment, whatever is under way."""
        for one in self.actors():
            if not one.process.is_running():
                raise Wrong("%s has ended\n%s" % (one.name, one.process.output()))
            self.listen(one)
            if not self.is_within(one, self.bounds(one, MOST_SLOTS)):
                raise Wrong("%s has %d fds and %d maps" % (
                    one.name, count_fds(one.process.pid),
                    count_shared_maps(one.process.pid)))
            self.check_private(one)

    def listen(self, one):
        """To what it complained of; and to the answer from after the last step."""
        since, one.heard = one.heard, one.process.mark()
        for name in ("wrong", "changed", "miscounted"):
            if one.process.events(name, since):
                raise Wrong("%s had frames %s\n%s" % (
                    one.name, name, one.process.output()))
        for stats in one.process.events("stats", since):
            if one is self.writer:
                self.check_memory(stats)
        if one.can_be_asked():
            one.process.request_stats()

    def check(self):
        self.check_progress()
        if self.writer and self.writer.can_be_asked():
            self.check_writer()
        for reader in self.readers:
            if reader.can_be_asked():
                self.check_reader(reader)
        for one in self.actors():
            self.check_resources(one)

    def is_excused(self):
        """Where frames that stopped readers hold may be all that memory allows, or
        what they still map keeps their memory from being given back."""
        return self.writer.tight and any(one.stopped for one in self.readers)

    def check_progress(self):
        """Each running reader of a running writer sees a new frame."""
        if self.writer is None or self.writer.stopped or self.is_excused():
            return
        watched = [one for one in [self.writer] + self.readers if one.can_be_asked()]
        before = {one.name: one.count_frames() for one in watched}
        until = time.monotonic() + PATIENCE
        while watched:
            if time.monotonic() > until:
                raise Wrong("no new frame within %d s for %s\n%s" % (
                    PATIENCE, " ".join(one.name for one in watched),
                    "\n".join(one.process.output() for one in watched)))
            time.sleep(0.01)
            watched = [one for one in watched
                       if one.count_frames() <= before[one.name]]

    def check_memory(self, stats):
        if self.writer.program != "frames":
            return
        if stats["bytes"] > self.writer.max_bytes:
            raise Wrong("%d bytes are more than %d" % (
                stats["bytes"], self.writer.max_bytes))
        if stats["retired"] > 2 * self.writer.max_bytes:
            raise Wrong("%d bytes retired are more than twice %d" % (
                stats["retired"], self.writer.max_bytes))

    def check_writer(self):
        stats = self.writer.ask()
        if self.writer.program != "frames":
            return
        if stats["full"] and not self.writer.tight:
            raise Wrong("%s had no slot for %d frames\n%s" % (
                self.writer.name, stats["full"], self.writer.process.output()))
        if not self.any_stopped() and all(one.prompt for one in self.readers):
            self.eventually(lambda: self.writer.ask()["retired"] == 0, lambda: (
                "%d bytes stay retired" % self.writer.ask()["retired"]))

        def knows_its_readers():
            stats = self.writer.ask()
            return (stats["readers"] <= len(self.readers)
                    and (self.any_stopped() or stats["readers"] == len(self.readers)))
        self.eventually(knows_its_readers, lambda: (
            "%s does not know its %d readers: %s" % (
                self.writer.name, len(self.readers), self.writer.ask())))

    def check_reader(self, reader):
        stats = reader.ask()
        if reader.program != "frames":
            return
        if stats["delivered"] != stats["frames"] or stats["missed"] < stats["gaps"]:
            raise Wrong("%s counts wrong: %s" % (reader.name, stats))

    def eventually(self, is_so, text):
        until = time.monotonic() + PATIENCE
        while not is_so():
            if time.monotonic() > until:
                raise Wrong(text())
            time.sleep(0.02)

    def count_slots(self, one):
        """That @one can map. A stopped one cannot give back what it was told to, nor
        a writer what a stopped reader maps; and not every writer says how many slots
        there are."""
        if (not self.any_stopped() and one.program == "frames"
                and self.writer and self.writer.program == "frames"):
            return self.writer.ask()["slots"]
        return MOST_SLOTS

    def bounds(self, one, slots):
        """Of fds and of maps."""
        if one is self.writer:
            return (FDS[one.program] + 4 * len(self.readers) + slots,
                    2 + len(self.readers) + slots)
        return FDS[one.program] + one.leases, 2 + 3 * one.leases + slots

    def is_within(self, one, bounds):
        fds, maps = bounds
        pid = one.process.pid
        return (self.play.note("fds", one, count_fds(pid), fds)
                and self.play.note("maps", one, count_shared_maps(pid), maps))

    def check_resources(self, one):
        pid = one.process.pid

        def bounds():
            return self.bounds(one, self.count_slots(one))
        self.eventually(lambda: self.is_within(one, bounds()), lambda: (
            "%s has %d fds and %d maps, more than %s" % (
                one.name, count_fds(pid), count_shared_maps(pid), bounds())))

    def check_private(self, one):
        private = get_private_kib(one.process.pid)
        if not self.play.note("private KiB", one, private, PRIVATE_KIB[one.program]):
            raise Wrong("%s uses %d KiB\n%s" % (one.name, private, one.process.output()))

    def close(self):
        self.say("all are to leave")
        for one in self.actors():
            if one.stopped:
                self.play.go_on(one)
        for reader in self.readers:
            self.play.end(reader)
        if self.writer:
            self.ended_well = self.play.end(self.writer)
        self.readers, self.writer = [], None


class Readers(Scene):
    """A writer that stays, readers that come and go."""

    most_readers = 8

    def writer_actions(self):
        if self.writer is None:
            return [(30, self.start_writer)]
        return [(1, self.continue_writer if self.writer.stopped else self.stop_writer),
                (1, self.rival)]


class Writers(Scene):
    """Readers that stay, writers that come and go."""

    most_readers = 4

    def actions(self):
        if len(self.readers) < self.most_readers:
            return [(1, self.join)]
        able = [(3, function) for _, function in self.writer_actions()]
        if any(one.stopped for one in self.readers):
            able.append((6, self.continue_reader))
        else:
            able.append((2, self.stop_reader))
        return able


class Everything(Scene):
    """All of it."""


class Pictures(Scene):
    """The elements as writers and as readers, and our program as a reader. Each picture
    is numbered, or one of a blinking light; of readers gst-launch-1.0 alone does not
    look."""

    most_readers = 4
    most_ms_of_start = 300
    checks = ["--check", "--pictures"]

    def begin_to_write(self, width=64, pixels="RGB", options=""):
        """Who numbers its pictures; of GRAY8 gst-launch-1.0, whose light blinks."""
        source = ("videotestsrc is-live=true pattern=blink background-color=0xff808080 "
                  "! video/x-raw,format=%s,width=%d,height=%d,framerate=30/1" % (
                      pixels, width, width * 3 // 4))
        sink = "channel=%s %s" % (self.name, options)
        if pixels == "GRAY8":
            return self.play.case.launch("-q", source, "! ndshsink", sink)
        return self.play.case.pipeline(
            source, "! identity name=fill ! ndshsink name=s", sink)

    def start_writer(self):
        random = self.random
        name = self.new_name("w")
        width = random.choice([64, 160, 320, 400])
        pixels = random.choice(["RGB", "I420", "GRAY8"])
        # The frames kept for the slowest queue are counted beside the leases.
        most = 64 * (width * width * 3 + 4 * PAGE)
        options = "max-memory=%d lossless-timeout=%d" % (
            most, random.randint(200, 1500) * 1000000)
        self.say("%s writes %s %d pixels wide, %s" % (name, pixels, width, options))
        process = self.begin_to_write(width, pixels, options)
        program = "launch" if pixels == "GRAY8" else "pipeline"
        self.writer = Actor(name, process, program, max_bytes=most)
        if program == "pipeline":
            process.wait_event("playing")
        self.eventually(self.is_there, lambda: "%s does not write\n%s" % (
            name, process.output()))

    def is_there(self):
        process = self.frames("info", self.name)
        good = process.wait() == 0
        self.play.forget(process)
        return good

    def join(self):
        if self.random.random() < 0.4:
            Scene.join(self)
            return
        name = self.new_name("r")
        program = self.random.choice(["pipeline", "pipeline", "launch"])
        args = self.random.choice(["", "max-buffers=4", "leaky-type=none"])
        self.say("%s (%s) reads ndshsrc %s" % (name, program, args))
        if program == "pipeline":
            process = self.play.case.pipeline(
                "ndshsrc name=r channel=%s %s ! identity name=check ! fakesink "
                "sync=false" % (self.name, args))
        else:
            process = self.play.case.launch(
                "-q ndshsrc channel=%s %s ! fakesink sync=false" % (self.name, args))
        self.readers.append(Actor(name, process, program, leases=8))


SCENES = [Readers, Writers, Everything] + ([Pictures] if e2e.PIPELINE else [])


class Play:
    """Chance, time, and what all scenes do to processes."""

    def __init__(self, case, seed, scenes):
        self.case = case
        self.random = random.Random(seed)
        self.started = time.monotonic()
        self.scenes = [scene(self) for scene in scenes]
        self.steps = 0
        self.counts = {}
        self.most = {}

    def say(self, text):
        print("%7.2f %4d %s" % (time.monotonic() - self.started, self.steps, text))
        sys.stdout.flush()

    def note(self, what, one, value, bound):
        key = "%s of a %s that %s" % (
            what, one.program, "reads" if one.name.startswith("r") else "writes")
        if value <= bound:
            self.most[key] = max(self.most.get(key, 0), value)
        return value <= bound

    def step(self):
        self.steps += 1
        scene = self.random.choice(self.scenes)
        able = scene.actions()
        at = self.random.uniform(0, sum(weight for weight, _ in able))
        in_peace = self.random.random() < 0.6
        pause = self.random.choice([0, 0, 0.05, 0.3])
        for weight, function in able:
            at -= weight
            if at <= 0:
                break
        name = function.__name__
        self.counts[name] = self.counts.get(name, 0) + 1
        function()
        for each in self.scenes:
            each.look()
        if in_peace:                    # else the next thing happens at once
            scene.check()
            time.sleep(pause)

    def forget(self, process):
        process.kill()
        self.case.processes.remove(process)

    def bury(self, process):
        self.forget(process)

    def stop(self, one):
        one.process.signal(signal.SIGSTOP)
        one.stopped = True

    def go_on(self, one):
        one.process.signal(signal.SIGCONT)
        one.stopped = False

    def end(self, one):
        """By SIGINT, and it must succeed; but gst-launch-1.0 may not listen yet. Whether
        it could clean up."""
        if one.stopped:
            self.go_on(one)
        if one.program == "launch":
            self.bury(one.process)
            return False
        one.process.wait_until_it_catches(signal.SIGINT)
        one.process.signal(signal.SIGINT)
        if one.process.wait() != 0:
            raise Wrong("%s ended badly\n%s" % (one.name, one.process.output()))
        self.forget(one.process)
        return True

    def check_directory(self):
        """Locks, and of a writer that was killed one socket, perhaps two: what it
        had not yet renamed."""
        allowed = [".%s.lock" % scene.name for scene in self.scenes]
        allowed += [pattern % scene.name for scene in self.scenes
                    if not scene.ended_well for pattern in ("%s", ".%s.new")]
        left = sorted(os.listdir(self.case.channels))
        if not set(left) <= set(allowed):
            raise Wrong("left behind: %s" % " ".join(left))
        return left


class Chaos(e2e.TestCase):

    def test_chaos(self):
        scenes = [scene for scene in SCENES
                  if options.scenario in (None, scene.__name__.lower())]
        play = Play(self, options.seed, scenes)
        print("--seed %d --seconds %d" % (options.seed, options.seconds))
        try:
            while time.monotonic() - play.started < options.seconds:
                play.step()
            for scene in play.scenes:
                scene.close()
            left = play.check_directory()
        except AssertionError:
            play.say("FAILED; again with --seed %d" % options.seed)
            raise
        e2e.figure("%d steps: %s" % (play.steps, ", ".join(
            "%d %s" % (n, name) for name, n in sorted(play.counts.items()))))
        e2e.figure("at the most: %s" % ", ".join(
            "%d %s" % (n, name) for name, n in sorted(play.most.items())))
        e2e.figure("left: %s" % " ".join(left))


def main():
    global options
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int,
                        default=random.SystemRandom().randrange(1 << 30))
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--scenario",
                        choices=[scene.__name__.lower() for scene in SCENES])
    options = parser.parse_args()
    unittest.main(argv=sys.argv[:1], verbosity=2)


if __name__ == "__main__":
    main()
