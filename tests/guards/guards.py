#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is newer than GStreamer 1.14 and GLib 2.56 stands under a check of the version.

    guards.py [FILE.c]...      all of plugin/ and lib/ without

Since when there is what is asked of what is installed: the GIR files and headers of
GStreamer, and the headers of GLib. Functions, macros, types and values of enumerations
are known so; fields of structures are not. Exits with 77 if there are no GIR files.
"""

import glob
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(os.path.dirname(HERE))
OLDEST = {"GST": (1, 14), "GLIB": (2, 56)}

# Documented late: symbols of libgstreamer 1.0.
OLD = {"gst_caps_copy_nth"}

C = "{http://www.gtk.org/introspection/c/1.0}"
GLIB = "{http://www.gtk.org/introspection/glib/1.0}"


def version(text):
    return tuple(int(number) for number in text.split(".")[:2])


def ask(*args):
    try:
        return subprocess.check_output(("pkg-config",) + args,
                                       universal_newlines=True).strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


# --- Since when --------------------------------------------------------------

def from_gir(path):
    """{name in C: version} of what says so."""
    since = {}
    for node in ElementTree.parse(path).iter():
        said = node.get("version")
        doc = node.find("{http://www.gtk.org/introspection/core/1.0}doc")
        if said is None and doc is not None and doc.text:
            found = re.search(r"\bSince:? (1\.\d+)", doc.text)
            said = found.group(1) if found and node.tag.endswith("}member") else None
        if said is None or not re.match(r"\d+\.\d+", said):
            continue
        for name in (node.get(C + "identifier"), node.get(C + "type"),
                     node.get(GLIB + "get-type"), macro_of_type(node)):
            if name and not node.tag.endswith("}namespace"):
                since[name] = version(said)
    return since


def macro_of_type(node):
    """gst_video_meta_get_type is GST_TYPE_VIDEO_META in C."""
    found = re.match(r"gst_(\w+)_get_type$", node.get(GLIB + "get-type") or "")
    return "GST_TYPE_" + found.group(1).upper() if found else None


def from_comments(text):
    """Of the headers' own documentation: macros, mostly."""
    since = {}
    for name, said in re.findall(r"/\*\*\s*\n\s*\*\s*(\w+):((?:(?!\*/).)*)\*/", text, re.S):
        found = re.search(r"^\s*\*\s*Since:? (1\.\d+)\.?$", said, re.M)
        if found:
            since[name] = version(found.group(1))
    return since


_AVAILABLE = r"G(?:LIB|OBJECT|IO|MODULE)_AVAILABLE_"


def from_glib(text):
    """By the marks that make the compiler warn."""
    since = {}
    for two, name in re.findall(
            _AVAILABLE + r"(?:STATIC_INLINE_)?IN_(2_\d+)\s+(?!G_DECLARE_)"
            r"[^;{}()]*?\b(\w+)\s*\(", text):
        since[name] = version(two.replace("_", "."))
    for name, two in re.findall(r"\b(\w+)\s+" + _AVAILABLE + r"ENUMERATOR_IN_(2_\d+)", text):
        since[name] = version(two.replace("_", "."))
    for name, two in re.findall(r"#define\s+(\w+)[^\n]*?" + _AVAILABLE + r"MACRO_IN_(2_\d+)",
                                text):
        since[name] = version(two.replace("_", "."))
    return since


def read(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def headers(package, folder):
    for flag in ask("--cflags-only-I", package).split():
        for path in glob.glob(os.path.join(flag[2:], folder, "**", "*.h"), recursive=True):
            yield path


def find_gir():
    """Debian keeps those that are not the same on all machines in libdir."""
    folders = {os.path.join(ask("--variable=prefix", "gstreamer-1.0") or "/usr", "share"),
               ask("--variable=libdir", "gstreamer-1.0")}
    return sorted(path for name in ("Gst", "GstBase", "GstVideo", "GstAudio", "GstAnalytics")
                  for folder in folders
                  for path in glob.glob(os.path.join(folder, "gir-1.0", name + "-1.0.gir")))


def collect():
    """{name: (library, version)} of what is newer than the oldest."""
    newer = {}
    tables = [("GST", from_gir(path)) for path in find_gir()]
    tables += [("GST", from_comments(read(path)))
               for path in headers("gstreamer-1.0", "gst")]
    tables += [("GLIB", from_glib(read(path))) for folder in ("glib", "gobject", "gio")
               for path in headers("glib-2.0", folder)]
    for library, table in tables:
        for name, said in table.items():
            if said > OLDEST[library] and name not in OLD:
                newer.setdefault(name, (library, said))
    return newer


# --- What the code uses ------------------------------------------------------

def blank(found):
    return re.sub(r"[^\n]", " ", found.group())


def without_comments(text):
    return re.sub(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", blank,
                  text, flags=re.S)


# What meson.build asks for where it defines this.
_DEFINED = {"HAVE_ANALYTICS": ("GST", (1, 24))}

_CHECK = re.compile(r"(!?)\s*\b(GST|GLIB)_CHECK_VERSION\s*\(\s*(\d+)\s*,\s*(\d+)")


def promises(condition, is_true):
    """{library: version} that a condition, or its being false, promises."""
    promised = {}
    if ("||" if is_true else "&&") in condition:
        return promised
    for name, (library, least) in _DEFINED.items():
        if is_true and name in condition:
            promised[library] = least
    for negated, library, major, minor in _CHECK.findall(condition):
        if (negated == "") == is_true:
            promised[library] = max(promised.get(library, (0, 0)), (int(major), int(minor)))
    return promised


def is_promised(stack, library, needed):
    return any(promised.get(library, (0, 0)) >= needed for _, promised in stack)


def check(path, text, newer):
    """Lines about what is used where it may not be there."""
    text = without_comments(text).replace("\\\n", "  ")
    # Who defines it has a version of their own for where there is none.
    own = set(re.findall(r"^\s*#\s*define\s+(\w+)", text, re.M))
    stack, found = [], []
    for number, line in enumerate(text.split("\n"), 1):
        directive = re.match(r"\s*#\s*(if|ifdef|ifndef|elif|else|endif)\b(.*)", line)
        if directive:
            word, condition = directive.groups()
            if word in ("if", "ifdef", "ifndef"):
                stack.append((condition, promises(condition, True)))
            elif word == "elif":
                stack[-1] = (condition, promises(condition, True))
            elif word == "else":
                stack[-1] = (stack[-1][0], promises(stack[-1][0], False))
            else:
                stack.pop()
            continue
        for name in re.findall(r"\b[gG]\w+", line):
            library, needed = newer.get(name, (None, None))
            if library and name not in own and not is_promised(stack, library, needed):
                found.append("%s:%d: %s is there from %s %d.%d on: put it under "
                             "%s_CHECK_VERSION" % (path, number, name, library,
                                                   needed[0], needed[1], library))
    return found


# What must be found, with nothing on the lines that are right, where what is installed
# is as new.
EXAMPLE = """
/* gst_buffer_add_custom_meta () */ "gst_buffer_add_custom_meta"
gst_buffer_add_custom_meta (buffer, "x");                    /* wrong: GST 1.20 */
#if GST_CHECK_VERSION(1, 20, 0) && 1
gst_buffer_add_custom_meta (buffer, "x");
#else
gst_buffer_add_custom_meta (buffer, "x");                    /* wrong: GST 1.20 */
#endif
#if GST_CHECK_VERSION(1, 18, 0) || defined (X)
gst_element_get_current_running_time (element);              /* wrong: GST 1.18 */
#elif GST_CHECK_VERSION(1, 18, 0)
gst_buffer_add_custom_meta (buffer, "x");                    /* wrong: GST 1.20 */
gst_element_get_current_running_time (element);
#endif
#if !GST_CHECK_VERSION(1, 16, 0)
#define GST_VIDEO_INFO_FIELD_HEIGHT(info) 1
gst_clear_object (&object);                                  /* wrong: GST 1.16 */
#else
gst_clear_object (&object);
#endif
height = GST_VIDEO_INFO_FIELD_HEIGHT (info);
flags = GST_VIDEO_BUFFER_FLAG_TOP_FIELD | GST_PARAM_DOC_SHOW_DEFAULT;   /* wrong: GST 1.18 */
copy = g_memdup2 (a, g_steal_pointer (&b));                  /* wrong: GLIB 2.68 */
"""


def check_itself(newer):
    found = check("example", EXAMPLE, newer)
    installed = {"GST": version(ask("--modversion", "gstreamer-1.0")),
                 "GLIB": version(ask("--modversion", "glib-2.0"))}
    wrong = [number for number, line in enumerate(EXAMPLE.split("\n"), 1)
             for library, since in re.findall(r"/\* wrong: (\w+) (\S+) \*/", line)
             if installed[library] >= version(since)]
    if sorted({int(line.split(":")[1]) for line in found}) != wrong:
        sys.exit("of its own example it finds\n%s\nand not all that is wrong in lines %s" % (
            "\n".join(found), wrong))


def main():
    if len(find_gir()) < 4:
        print("skipped: no GIR files of GStreamer, which say since when a function is "
              "there: install libgstreamer1.0-dev and libgstreamer-plugins-base1.0-dev")
        return 77
    newer = collect()
    check_itself(newer)
    files = sys.argv[1:] or sorted(
        path for folder in ("plugin", "lib") for kind in ("c", "h")
        for path in glob.glob(os.path.join(SOURCE, folder, "*." + kind)))
    found = [line for path in files
             for line in check(os.path.relpath(path, SOURCE), read(path), newer)]
    print("\n".join(found + ["%d files, against %d names that are newer than GStreamer "
                             "1.14 and GLib 2.56" % (len(files), len(newer))]))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
