# SPDX-License-Identifier: LGPL-2.1-or-later
"""The site that doc/site.py makes has all that it is of, and its links lead somewhere."""

import glob
import html
import os
import re
import shutil
import sys
import unittest

import e2e

TOOLS = ["g-ir-scanner", "gi-docgen"]


def read(*path):
    with open(os.path.join(*path), encoding="utf-8") as file:
        return file.read()


def strip_tags(text):
    return html.unescape(re.sub(r"<[^>]*>", "", text))


@unittest.skipUnless(all(map(shutil.which, TOOLS)), "no " + " or ".join(TOOLS))
class Site(e2e.TestCase):

    def setUp(self):
        super().setUp()
        self.site = os.path.join(self.dir, "site")
        self.run_ok(sys.executable, os.path.join(e2e.SOURCE, "doc", "site.py"), self.site)
        self.pages = {os.path.basename(path): read(path)
                      for path in glob.glob(os.path.join(self.site, "*.html"))}

    def test_it_is_whole(self):
        self.functions()
        self.pages_of_doc()
        self.elements()
        self.links()

    def functions(self):
        """What ndsh.h declares has a page that says what it does, and since when."""
        header = re.sub(r"/\*.*?\*/", "", read(e2e.SOURCE, "lib", "ndsh.h"), flags=re.S)
        names = set(re.findall(r"^[^#\n]*?\b(ndsh_\w+) \(", header, re.M))
        self.assertGreater(len(names), 50)
        pages = [text for name, text in self.pages.items()
                 if re.match(r"(func|method|type_func|ctor)\.", name)]
        for name in sorted(names):
            with self.subTest(name=name):
                found = [text for text in pages
                         if re.search(r"^%s \($" % name, strip_tags(text), re.M)]
                self.assertEqual(len(found), 1)
                text = strip_tags(found[0])
                self.assertRegex(text, r"Description\s+\S")
                self.assertRegex(text, r"Available since: \d")

    def pages_of_doc(self):
        for path in glob.glob(os.path.join(e2e.SOURCE, "doc", "*.md")):
            title = re.search(r"^# (.*)", read(path), re.M).group(1)
            page = os.path.basename(path)[:-3] + ".html"
            self.assertIn(title, strip_tags(self.pages.get(page, "")))

    def elements(self):
        """Of each element there are its launch lines, and what it has."""
        for element, names in (("ndshsink", ["max-memory", "reader-added"]),
                               ("ndshsrc", ["leaky-type", "on-disconnect", "downstream"])):
            text = strip_tags(self.pages[element + ".html"])
            self.assertGreaterEqual(text.count("gst-launch-1.0 "), 2)
            for name in names:
                self.assertIn(name, text)

    def links(self):
        n_links = 0
        for name, text in self.pages.items():
            for link in re.findall(r"(?:href|src)=\"([^\"]*)\"", text):
                if re.match(r"[a-z]+:|//", link):
                    continue
                target, _, anchor = link.partition("#")
                n_links += 1
                with self.subTest(page=name, link=link):
                    self.assertTrue(os.path.exists(os.path.join(self.site, target or name)))
                    if anchor and target.endswith(".html"):
                        self.assertIn('id="%s"' % anchor, self.pages[target])
        e2e.figure("%d pages, %d links" % (len(self.pages), n_links))
        self.assertGreater(n_links, 500)


if __name__ == "__main__":
    e2e.main()
