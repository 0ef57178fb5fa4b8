#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes a site of ndsh.h, the elements, README.md and the pages of doc/.

    site.py DIRECTORY          that there is not yet, or that this made

It takes g-ir-scanner, gi-docgen, and for the elements gst-inspect-1.0 that finds them.
Comments of ndsh.h are rewritten as GTK-Doc has them, of the elements' sources the
section is taken, and of their properties and signals what gst-inspect-1.0 shows.
"""

import glob
import json
import os
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(HERE)

CONFIG = """
[library]
name = "ndsh"
version = "%s"
description = "Arrays and streams shared between processes, without copies"
license = "LGPL-2.1-or-later"

[theme]
name = "basic"

[extra]
content_files = %s
content_images = %s
"""


def read(*path):
    with open(os.path.join(SOURCE, *path), encoding="utf-8") as file:
        return file.read()


def write(text, *path):
    with open(os.path.join(*path), "w", encoding="utf-8") as file:
        file.write(text)


# --- C -----------------------------------------------------------------------

_NAME = re.compile(r"^typedef struct _\w+ (\w+);|^#define (NDSH_\w+)|^[^#\n]*?\b(ndsh_\w+) \("
                   r"|^\} (\w+);|^typedef enum \{.*\} (\w+);", re.M)


def find_names(code):
    """What a paragraph of ndsh.h declares."""
    code = re.sub(r"/\*.*?\*/", "", code, flags=re.S)
    return [next(name for name in names if name) for names in _NAME.findall(code)]


def as_code(text):
    """Lines that are set in stay as they are: Markdown wants four columns for that."""
    return re.sub(r"((?:^ {2,}\S.*\n?)+)", lambda found: "\n```\n%s\n```\n"
                  % found.group(1).rstrip("\n"), text, flags=re.M)


def split_comment(text):
    """What is said of its members or values, what else, and since when."""
    text = re.sub(r"^ \* ?", "", text, flags=re.M).strip()
    text, _, since = text.partition("Since: ")
    text = re.sub(r"^Ndsh\w+:\s*", "", text)
    members = re.findall(r"^@\w+(?:, @\w+)*: .*(?:\n  .*)*", text, re.M)
    for member in members:
        text = text.replace(member, "")
    return members, as_code(re.sub(r"\n{3,}", "\n\n", text.strip())), since.strip()


def spread(members):
    """"@x, @y: pixels" is a line for each."""
    for member in members:
        names, _, said = member.partition(": ")
        for name in re.findall(r"@\w+", names):
            yield "%s: %s" % (name, re.sub(r"\s+", " ", said))


def hands_over(name, text):
    """Whether what it returns is the caller's, by the rules of ndsh.h."""
    return (re.search(r"_(new|begin|begin_bytes|read|acquire)$", name)
            or re.search(r"\bto\s+be\s+freed\s+with\b", text))


def document(name, comment):
    members, text, since = split_comment(comment)
    lines = [name + ":"] + list(spread(members)) + [""] + text.split("\n") + [""]
    if hands_over(name, text):
        lines += ["Returns: (transfer full): what is to be given back", ""]
    lines += ["Since: " + since]
    return "/**\n%s\n */\n" % "\n".join((" * " + line).rstrip() for line in lines)


def annotate(header):
    """ndsh.h as g-ir-scanner reads it."""
    paragraphs = []
    for paragraph in header.split("\n\n"):
        comment = re.match(r"/\*(.*?)\*/\s*", paragraph, re.S)
        code = paragraph[comment.end():] if comment else ""
        if comment and "Since: " in comment.group(1):
            paragraph = "".join(document(name, comment.group(1))
                                for name in find_names(code)) + code
        paragraphs.append(paragraph)
    return "\n\n".join(paragraphs)


def make_gir(version, directory):
    header, gir = os.path.join(directory, "ndsh.h"), os.path.join(directory, "Ndsh-1.0.gir")
    write(annotate(read("lib", "ndsh.h")), header)
    flags = subprocess.check_output(["pkg-config", "--cflags-only-I", "glib-2.0"],
                                    universal_newlines=True).split()
    subprocess.check_call(["g-ir-scanner", "--quiet", "--header-only", "--namespace=Ndsh",
                           "--nsversion=1.0", "--identifier-prefix=Ndsh",
                           "--symbol-prefix=ndsh", "--c-include=ndsh.h",
                           "--include=GLib-2.0", "--output=" + gir] + flags + [header])
    return gir


# --- Elements and pages ------------------------------------------------------

def describe(element):
    """The page of an element, in Markdown."""
    section = re.search(r"/\*\*\n \* SECTION:element-%s\n(.*?)\*/" % element,
                        read("plugin", "gst%s.c" % element), re.S).group(1)
    text = re.sub(r"^ \* ?", "", section, flags=re.M)
    text = re.sub(r"^@.*\n", "", text, flags=re.M)
    text = text.replace("|[", "```").replace("]|", "```")
    text = re.sub(r"#(Gst\w+):([\w-]+)", r"`\2`", text)
    shown = subprocess.check_output(["gst-inspect-1.0", element], universal_newlines=True)
    shown = shown[shown.index("Pad Templates:"):]
    return "# %s\n%s\n## What gst-inspect-1.0 shows\n\n```\n%s\n```\n" % (element, text,
                                                                       shown.rstrip())


def find_target(pages, text, target):
    """Where a link leads on the site; files that are no page are just named."""
    path, _, anchor = target.partition("#")
    name, kind = os.path.splitext(os.path.basename(path))
    if kind == ".md" and name in pages:
        return "[%s](%s.html%s)" % (text, name, anchor and "#" + anchor)
    if kind == ".svg":
        return "[%s](%s.svg)" % (text, name)
    return "[%s](index.html)" % text if path == "lib/ndsh.h" else text


def as_page(pages, name):
    """With the head that gi-docgen asks for."""
    text = re.sub(r"\[([^]\[]*)\]\((?!http)([^()#]+(?:#[\w-]+)?)\)",
                  lambda found: find_target(pages, *found.groups()), pages[name])
    title = re.search(r"^# (.*)", text, re.M).group(1)
    return "Title: %s\nSlug: %s\n\n%s" % (title, name, text)


def find_pages():
    """{name: text in Markdown}"""
    rules = re.search(r"^/\*\n \* ndsh: (.*?)\*/", read("lib", "ndsh.h"), re.S | re.M)
    pages = {"README": read("README.md"), "CONTRIBUTING": read("CONTRIBUTING.md"),
             "rules": "# The rules of ndsh.h\n\n"
                      "```\n%s```\n" % re.sub(r"^ \* ?", "", rules.group(1), flags=re.M)}
    for path in sorted(glob.glob(os.path.join(HERE, "*.md"))):
        pages[os.path.basename(path)[:-3]] = read(path)
    for element in ("ndshsink", "ndshsrc"):
        pages[element] = describe(element)
    return pages


def make_content(directory):
    """Writes pages and pictures; returns their names."""
    pages = find_pages()
    pictures = glob.glob(os.path.join(HERE, "pictures", "*.svg"))
    for name in pages:
        write(as_page(pages, name), directory, name + ".md")
    for picture in pictures:
        shutil.copy(picture, directory)
    return [name + ".md" for name in pages], [os.path.basename(path) for path in pictures]


def main():
    (directory,) = sys.argv[1:]
    version = re.search(r"version: '([\d.]+)'", read("meson.build")).group(1)
    content = os.path.join(directory, "content")
    os.makedirs(content, exist_ok=True)
    pages, pictures = make_content(content)
    write(CONFIG % (version, json.dumps(pages), json.dumps(pictures)), content, "site.toml")
    subprocess.check_call(["gi-docgen", "generate", "--quiet", "--no-namespace-dir",
                           "--config=" + os.path.join(content, "site.toml"),
                           "--content-dir=" + content, "--output-dir=" + directory,
                           make_gir(version, content)])


if __name__ == "__main__":
    main()
