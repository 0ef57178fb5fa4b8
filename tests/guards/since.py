#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Each function, type and macro of ndsh.h, and each element, property, signal and
enumeration of the plugin, says since which version of ndsh it is there.

    since.py

A comment speaks for all that follows it up to the next blank line.
"""

import glob
import os
import re
import sys

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

_COMMENT = re.compile(r"/\*.*?\*/", re.S)
_DECLARATION = re.compile(r"^(?:typedef\b|#define (?!NDSH_H\b)|[\w *]+\()", re.M)
_SINCE = re.compile(r"\bSince: (\d+(?:\.\d+)*)\s*(?:\n|\*/)")


def read(path):
    with open(os.path.join(SOURCE, path), encoding="utf-8") as file:
        return file.read()


def version(text):
    return tuple(int(number) for number in text.split("."))


def find_now():
    return version(re.search(r"version: '([\d.]+)'", read("meson.build")).group(1))


def is_said(comment, now):
    """Whether it names a version, and none that is yet to come."""
    found = _SINCE.search(comment)
    return found is not None and version(found.group(1)) <= now


def check_header(text, now):
    """What declares something and does not say since when: the first line of each."""
    for paragraph in text.split("\n\n"):
        code = _COMMENT.sub("", paragraph).strip()
        declares = _DECLARATION.search(code) and not code.startswith("G_DEFINE_AUTOPTR")
        if declares and not is_said("".join(_COMMENT.findall(paragraph)), now):
            yield code.split("\n")[0]


def find_documented(text):
    """{name: comment}, of GTK-Doc's, whose first line is a name and a colon."""
    comments = re.findall(r"/\*\*\n\s*\* ([\w:-]+?):?\n(.*?\*/)", text, re.S)
    return {name: comment for name, comment in comments}


def find_shown(text):
    """The names under which gst-inspect-1.0 shows what a file defines."""
    for type_name in re.findall(r"^G_DEFINE_TYPE\w* \((GstNdsh(?:Sink|Src)),", text, re.M):
        yield "SECTION:element-" + type_name[3:].lower()
        for name in re.findall(r"_param_spec_\w+ \(\s*\"([\w-]+)\"", text):
            yield "%s:%s" % (type_name, name)
        for name in re.findall(r"g_signal_new \(\"([\w-]+)\"", text):
            yield "%s::%s" % (type_name, name)
    for name in re.findall(r"g_enum_register_static \(\"(\w+)\"", text):
        yield name


def check_plugin(text, now):
    documented = find_documented(text)
    return [name for name in find_shown(text) if not is_said(documented.get(name, ""), now)]


# What must be found, with nothing on the lines that are right.
HEADER = """
/* One. Since: 0.1 */
int one (void);
int two (void);

/* Three, which says nothing. */
int three (void);

/* Four.
 * Since: 9.0 */
#define NDSH_FOUR 4

typedef struct _Five Five;

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Five, five_free)
"""
PLUGIN = """
/**
 * SECTION:element-ndshsink
 * Since: 0.1
 */
G_DEFINE_TYPE (GstNdshSink, gst_ndsh_sink, GST_TYPE_BASE_SINK)
  /**
   * GstNdshSink:right:
   * Since: 0.1
   */
  g_param_spec_uint ("right"), g_param_spec_uint ("bare");
  /**
   * GstNdshSink::silent:
   * @sink: the sink
   */
  g_signal_new ("silent", type);
"""


def test():
    found = list(check_header(HEADER, (0, 1, 0)))
    assert found == ["int three (void);", "#define NDSH_FOUR 4", "typedef struct _Five Five;"], \
        found
    found = check_plugin(PLUGIN, (0, 1, 0))
    assert found == ["GstNdshSink:bare", "GstNdshSink::silent"], found


def main():
    test()
    now = find_now()
    found = ["lib/ndsh.h: " + line for line in check_header(read("lib/ndsh.h"), now)]
    shown = 0
    for path in sorted(glob.glob(os.path.join(SOURCE, "plugin", "*.c"))):
        text = read(path)
        shown += len(list(find_shown(text)))
        found += ["%s: %s" % (os.path.relpath(path, SOURCE), name)
                  for name in check_plugin(text, now)]
    for line in found:
        print(line + ": since when? (Since: %d.%d)" % now[:2])
    print("%d names of the plugin" % shown)
    # Or what is searched for here is written otherwise now.
    return 1 if found or shown < 25 else 0


if __name__ == "__main__":
    sys.exit(main())
