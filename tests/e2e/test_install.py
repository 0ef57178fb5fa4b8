# SPDX-License-Identifier: LGPL-2.1-or-later
"""What README.md says of installing: in a system that is this one and forgets what was
written to it, and at home. Everybody finds what was installed, and it goes again."""

import json
import os
import re
import shutil
import signal
import subprocess

import e2e

# A newcomer's: no other Python than the system's.
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
TOOLS = ["meson", "ninja", "gcc", "pkg-config", "ldconfig", "python3", "gst-launch-1.0",
         "gst-inspect-1.0"]

WRITTEN_TO = ["/usr", "/etc", "/var/cache"]


def read(*path):
    with open(os.path.join(e2e.SOURCE, *path)) as file:
        return file.read()


def files_below(directory):
    return [os.path.relpath(os.path.join(path, name), directory)
            for path, directories, files in os.walk(directory)
            for name in directories + files]


class Install(e2e.TestCase):

    def setUp(self):
        super().setUp()
        missing = [tool for tool in TOOLS if shutil.which(tool, path=PATH) is None]
        if missing:
            self.skipTest("the system has no " + missing[0])
        self.env = {"PATH": PATH, "HOME": self.dir, "LC_ALL": "C.UTF-8",
                    "NDSH_DIR": self.channels}
        if subprocess.call(["python3", "-c", "import numpy"], env=self.env,
                           stderr=subprocess.DEVNULL) != 0:
            self.skipTest("the system's python3 has no NumPy")

    def as_readme_says(self, line):
        """But not in the sources' directory, nor with sudo."""
        self.assertIn("\n    %s\n" % line, read("README.md"))
        line = line.replace("sudo ", "").replace(
            "meson setup build", "meson setup -Dtests=false build '%s'" % e2e.SOURCE)
        self.assert_exits(self.start("sh", "-euc", line), timeout=300)

    def python(self, program):
        return self.start("python3", "-c", program)

    # --- What is installed works ---

    def assert_works(self, modules, elements):
        """From the directories @modules and @elements."""
        process = self.python("import ndsh, ndsharray; print(ndsh.__file__)")
        self.assert_exits(process)
        self.assertEqual(process.texts(), [os.path.join(modules, "ndsh", "__init__.py")])
        for name in "ndshsink", "ndshsrc":
            match = self.run_ok("gst-inspect-1.0", name).wait_line(r"Filename\s+(\S+)")
            self.run_ok("gst-inspect-1.0", "--exists", "--atleast-version=0.1", name)
            # /lib may be a link to /usr/lib.
            self.assertEqual(os.path.realpath(match.group(1)),
                             os.path.join(os.path.realpath(elements), "libgstndsh.so"))
        self.assert_pipelines_run()
        self.assert_programs_compile()
        self.assert_frames_are_kept()

    def assert_is_read(self, channel):
        self.assert_exits(self.python(
            "import ndsh; print(next(iter(ndsh.Reader(%r))).array.shape)" % channel))

    def assert_pipelines_run(self):
        """The two of which README.md says that nothing else is typed."""
        writing, reading = re.search(
            r"nothing else typed.*\n\n    (gst-launch.*ndshsink)\n    (gst-launch.*)\n",
            read("README.md")).groups()
        reader = self.start(*reading.replace("ndshsrc", "ndshsrc num-buffers=30").replace(
            "autovideosink", "fakesink").split())
        writer = self.start(*writing.split())
        self.assert_exits(reader)
        self.assert_is_read("default")
        writer.wait_until_it_catches(signal.SIGINT)
        writer.signal(signal.SIGINT)
        self.assert_exits(writer)

    def assert_programs_compile(self):
        shutil.copy(os.path.join(e2e.SOURCE, "examples", "write.c"), self.dir)
        self.as_readme_says("gcc write.c -o write $(pkg-config --cflags --libs ndsh-1.0)")
        writer = self.start("./write")
        self.assert_is_read("numbers")
        writer.kill()

    def assert_frames_are_kept(self):
        self.assert_exits(self.python(
            "import numpy, ndsharray; ndsharray.NdShArray('kept', numpy.eye(2), r_w='w')"))
        self.assert_is_read("kept")
        self.assert_exits(self.python("import ndsh; ndsh.Writer('kept').close()"))

    # --- Where it is installed ---

    def overlay(self, path):
        """What is written to @path goes to a directory of ours, which is returned."""
        layers = os.path.join(self.dir, "layers", path.replace("/", "-"))
        upper, work = os.path.join(layers, "upper"), os.path.join(layers, "work")
        os.makedirs(upper)
        os.mkdir(work)
        try:
            e2e.mount("overlay", path,
                      "lowerdir=%s,upperdir=%s,workdir=%s" % (path, upper, work))
        except OSError as error:
            self.skipTest("no overlay can be mounted here: %s" % error)
        self.addCleanup(e2e.umount, path)
        return upper

    def test_in_the_system(self):
        if not e2e.own_mounts():
            self.skipTest("nothing can be mounted here")
        plugins = subprocess.check_output(
            ["pkg-config", "--variable=pluginsdir", "gstreamer-1.0"], env=self.env)
        modules = subprocess.check_output(
            ["python3", "-c", "import site; print(site.getsitepackages()[0])"],
            env=self.env)
        self.as_readme_says("meson setup build")
        self.as_readme_says("ninja -C build")
        # On tmpfs: of an overlay, which / may be, nothing can be written to.
        os.mkdir(os.path.join(self.dir, "layers"))
        e2e.mount("tmpfs", os.path.join(self.dir, "layers"))
        self.addCleanup(e2e.umount, os.path.join(self.dir, "layers"))
        uppers = {path: self.overlay(path) for path in WRITTEN_TO}

        self.as_readme_says("sudo meson install -C build && sudo ldconfig")
        self.assert_works(modules.decode().strip(), plugins.decode().strip())
        self.as_readme_says("sudo ninja -C build uninstall")

        for path in WRITTEN_TO:
            e2e.umount(path)
        for path, upper in uppers.items():
            left = [name for name in files_below(upper)
                    if not os.path.lexists(os.path.join(path, name))]
            self.assertEqual(left, [])

    def test_at_home(self):
        self.as_readme_says("meson setup build --prefix=$HOME/ndsh --libdir=lib")
        prefix = os.path.join(self.dir, "ndsh")
        # Before it is done, by root possibly.
        plan = json.loads(subprocess.check_output(
            ["meson", "introspect", "--installed", "build"], env=self.env,
            cwd=self.dir).decode())
        self.assertEqual([path for path in plan.values()
                          if not path.startswith(prefix + "/")], [])

        self.as_readme_says("meson install -C build")
        modules, = [os.path.join(prefix, name) for name in files_below(prefix)
                    if name.endswith("-packages")]
        for name, value in re.findall(r"(\w+PATH)=(\$HOME/ndsh\S+)", read("README.md")):
            self.env[name] = re.sub(r"/python3\.\d+/", "/%s/" % os.path.basename(
                os.path.dirname(modules)), value.replace("$HOME", self.dir))
        self.assert_works(modules, os.path.join(prefix, "lib", "gstreamer-1.0"))
        self.assert_exits(self.start("ninja", "-C", "build", "uninstall"))

        self.assertFalse(os.path.exists(prefix), files_below(prefix))


if __name__ == "__main__":
    e2e.main()
