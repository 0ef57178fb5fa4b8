#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Breaks the code on purpose, one line at a time, and sees the tests fail.

    breaks.py                  every break of breaks.txt, in a copy of the tree
    breaks.py NAME...          only these
    breaks.py --check          only whether each still fits the code and stands in
                               doc/testing.md; builds nothing

A test that passes whatever the code does is worth nothing, and says so to nobody.
Each break names the tests that must fail with it; they must pass without it.
"""

import argparse
import collections
import os
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(os.path.dirname(HERE))
DOCUMENT = os.path.join(SOURCE, "doc", "testing.md")

Break = collections.namedtuple("Break", "name file tests hunks")


def read(*path):
    with open(os.path.join(*path), encoding="utf-8") as file:
        return file.read()


def parse_break(text):
    """One paragraph of breaks.txt: name, file, tests; then hunks, apart by a line
    '@', in which lines that begin with '-' go and lines that begin with '+' come."""
    head = dict(re.findall(r"^(break|in|fails): (.*)$", text, re.M))
    hunks = [("\n".join(re.findall(r"^-(.*)$", hunk, re.M)),
              "\n".join(re.findall(r"^\+(.*)$", hunk, re.M)))
             for hunk in re.split(r"^@$", text, flags=re.M)]
    return Break(head["break"], head["in"], head["fails"].split(), hunks)


def apply(b, text):
    """@text as the break has it, or None if it does not fit."""
    for old, new in b.hunks:
        if text.count(old) != 1:
            return None
        text = text.replace(old, new)
    return text


def load_breaks():
    text = re.sub(r"^#.*\n", "", read(HERE, "breaks.txt"), flags=re.M)
    return [parse_break(part) for part in re.split(r"\n\n+", text.strip())]


def check(breaks):
    """What no longer fits, as sentences."""
    document = read(DOCUMENT)
    named = set(re.findall(r"`break:([a-z0-9-]+)`", document))
    wrong = ["doc/testing.md names '%s', which is not in breaks.txt" % name
             for name in sorted(named - {b.name for b in breaks})]
    for b in breaks:
        if apply(b, read(SOURCE, b.file)) is None:
            wrong.append("%s: a hunk does not stand once in %s" % (b.name, b.file))
        if b.name not in named:
            wrong.append("%s: doc/testing.md does not name it" % b.name)
    return wrong


class Tree:
    """A copy of the sources, and a build of it."""

    def __init__(self, directory):
        self.source = os.path.join(directory, "source")
        self.build = os.path.join(directory, "build")
        self.log = os.path.join(directory, "log")
        shutil.rmtree(self.source, ignore_errors=True)
        files = subprocess.check_output(
            ["git", "-C", SOURCE, "ls-files", "-co", "--exclude-standard", "-z"])
        for name in files.decode().split("\0"):
            if os.path.isfile(os.path.join(SOURCE, name)):
                target = os.path.join(self.source, name)
                os.makedirs(os.path.dirname(target), exist_ok=True)
                shutil.copyfile(os.path.join(SOURCE, name), target)
        if not os.path.exists(os.path.join(self.build, "build.ninja")):
            subprocess.check_call(["meson", "setup", self.build, self.source],
                                  stdout=subprocess.DEVNULL)

    def run(self, *args):
        with open(self.log, "a") as log:
            log.write("$ %s\n" % " ".join(args))
            log.flush()
            return subprocess.call(args, stdout=log, stderr=subprocess.STDOUT)

    def make(self):
        return self.run("ninja", "-C", self.build) == 0

    def passes(self, test):
        return self.run("meson", "test", "-C", self.build, "--no-rebuild",
                        "--no-suite", "thorough", test) == 0

    def write(self, name, text):
        with open(os.path.join(self.source, name), "w", encoding="utf-8") as file:
            file.write(text)


def try_break(tree, b):
    """None, or what is wrong with it."""
    good = read(tree.source, b.file)
    tree.write(b.file, apply(b, good))
    try:
        if not tree.make():
            return "it does not build"
        survivors = [test for test in b.tests if tree.passes(test)]
        return ("%s did not notice" % ", ".join(survivors)) if survivors else None
    finally:
        tree.write(b.file, good)


def try_breaks(breaks, directory):
    tree = Tree(directory)
    wrong = 0
    if not tree.make():
        sys.exit("the tree does not build: %s" % tree.log)
    for test in sorted({test for b in breaks for test in b.tests}):
        if not tree.passes(test):
            sys.exit("%s fails even without a break: %s" % (test, tree.log))
    for b in breaks:
        trouble = try_break(tree, b)
        wrong += trouble is not None
        print("%-48s %s" % (b.name, trouble or "found by " + ", ".join(b.tests)))
        sys.stdout.flush()
    print("%d breaks, %d found" % (len(breaks), len(breaks) - wrong))
    return wrong == 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--directory",
                        default=os.path.join(SOURCE, "build-tests", "breaks"))
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    breaks = load_breaks()
    if options.check:
        wrong = check(breaks)
        print("\n".join(wrong) or "%d breaks fit the code" % len(breaks))
        return not wrong
    return try_breaks([b for b in breaks
                       if not options.names or b.name in options.names],
                      os.path.abspath(options.directory))


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
