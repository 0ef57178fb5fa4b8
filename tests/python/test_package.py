# SPDX-License-Identifier: LGPL-2.1-or-later
"""The package as such: old grammar, stubs, installing, and that its structs are those of
ndsh.h."""

import ast
import ctypes
import glob
import importlib.util
import os
import re
import shutil
import subprocess
import sys

import pytest

import ndsh
import ndsharray
from ndsh import _lib

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
PACKAGE = os.path.join(ROOT, "python")


def can_mypy():
    """NumPy before 1.20 tells no types. The stubtest of mypy 0.812 takes what modules
    import for theirs."""
    if importlib.util.find_spec("mypy") is None:
        return False
    from mypy.version import __version__
    has_types = importlib.util.find_spec("numpy.typing") is not None
    return has_types and int(__version__.split(".")[0]) >= 1


def sources():
    found = glob.glob(os.path.join(PACKAGE, "**", "*.py"), recursive=True) \
        + glob.glob(os.path.join(HERE, "*.py")) \
        + glob.glob(os.path.join(ROOT, "examples", "python", "*.py"))
    return [path for path in found if os.sep + "build" + os.sep not in path]


def run(*arguments, **more):
    result = subprocess.run(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            universal_newlines=True, **more)
    assert result.returncode == 0, result.stdout
    return result.stdout


@pytest.mark.skipif(sys.version_info < (3, 8), reason="ast knows one grammar only")
def test_c18_the_grammar_is_that_of_python_3_6():
    assert len(sources()) > 10
    for path in sources():
        with open(path) as file:
            tree = ast.parse(file.read(), path, feature_version=(3, 6))
        for node in ast.walk(tree):
            # What feature_version lets through.
            assert type(node).__name__ not in ("NamedExpr", "Match", "TryStar"), path
            assert not getattr(node, "posonlyargs", None), path
            if isinstance(node, ast.ImportFrom):
                assert node.module != "__future__", path


# Of the standard library, what is younger than 3.6 and easily used without noticing.
YOUNGER = {
    "asyncio": {"run", "get_running_loop", "current_task", "all_tasks", "to_thread",
                "timeout", "TaskGroup", "Runner"},
    "time": {"monotonic_ns", "time_ns", "perf_counter_ns", "process_time_ns",
             "thread_time"},
    "os": {"memfd_create", "eventfd", "pidfd_open", "register_at_fork",
           "waitstatus_to_exitcode", "sched_getaffinity_np"},
    "threading": {"get_native_id", "excepthook", "gettrace"},
    "math": {"prod", "dist", "isqrt", "lcm", "comb"},
    "contextlib": {"nullcontext", "asynccontextmanager", "aclosing", "AsyncExitStack"},
    "functools": {"cached_property", "cache", "singledispatchmethod"},
    "typing": {"Literal", "Final", "Protocol", "TypedDict", "Annotated", "ParamSpec"},
    "signal": {"raise_signal", "strsignal", "valid_signals", "pidfd_send_signal"},
    "shutil": set(), "weakref": set(), "select": set(), "re": {"Pattern", "Match"},
}
MODULES_OF_3_6 = set(YOUNGER) | {
    "ctypes", "errno", "collections", "fractions", "numbers", "sys", "numpy", "setuptools",
    "cv2", "itertools", "operator", "hashlib", "io", "struct", "atexit", "warnings",
    "uuid", "concurrent", "site", "argparse", "zlib", "difflib", "resource"}


def test_c18_the_package_uses_only_what_the_3_6_library_has():
    for path in glob.glob(os.path.join(PACKAGE, "**", "*.py"), recursive=True):
        with open(path) as file:
            text = file.read()
        for node in ast.walk(ast.parse(text, path)):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name.split(".")[0] for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module.split(".")[0]]
            for name in names:
                assert name in MODULES_OF_3_6 | {"ndsh", "ndsharray"}, (path, name)
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                used = (node.value.id, node.attr)
                guarded = 'hasattr(%s, "%s")' % used in text
                assert guarded or used[1] not in YOUNGER.get(used[0], ()), (path, used)
            if isinstance(node, ast.Attribute):
                assert node.attr not in ("removeprefix", "removesuffix", "get_loop"), path


@pytest.mark.skipif(not can_mypy(), reason="no mypy of 1.0 or later, or no NumPy of 1.20")
def test_the_stubs_say_what_is_there(tmp_path):
    environment = dict(os.environ, MYPYPATH=PACKAGE)
    config = tmp_path / "config"
    config.write_text("[mypy]\nignore_missing_imports = True\n")
    allow = tmp_path / "allow"
    # Modules are reached through the package and have no stubs of their own; nobody
    # but the package makes these objects. stubtest takes an empty array for no default.
    # What help () shows of a class is its metaclass's business.
    allow.write_text(
        "ndsh\\.(Channel|Draft|Frame)\\.__init__\n"
        "ndsh\\.(Error|FrameInfo|Meta|ReaderInfo|Region|Spec|Timing|WriterInfo)\n"
        "ndsh\\.(__main__|_lib|arguments|buffers|channels|formats|frame|metas|pixels|plain|"
        "png|reader|writer)(\\..*)?\n"
        "ndsharray\\..*NdShArray\\.__init__\n")
    out = run(sys.executable, "-m", "mypy.stubtest", "ndsh", "ndsharray",
              "--allowlist", str(allow),
              "--ignore-unused-allowlist", "--mypy-config-file", str(config),
              cwd=str(tmp_path), env=environment)
    print(out)


@pytest.mark.skipif(not can_mypy(), reason="no mypy of 1.0 or later, or no NumPy of 1.20")
def test_mypy_accepts_a_program_and_refuses_a_wrong_one(tmp_path):
    environment = dict(os.environ, MYPYPATH=PACKAGE)
    good = tmp_path / "good.py"
    good.write_text('''
import asyncio
from fractions import Fraction
import numpy as np
import ndsh
import ndsharray

with ndsh.Writer("cam", format="BGR", fps=30) as writer:
    number: int = writer.write(np.zeros((3, 4, 3), np.uint8), pts=3)
    writer.write(np.zeros(3), metadata=bytearray(b"more"))
    with writer.draft((3, 4, 3), "uint8") as array:
        array[:] = 3
ndsh.Writer("film", fps=Fraction(24000, 1001))
for frame in ndsh.Reader("cam", mode="queue", queue=3, max_fps=2.5, timeout=1):
    total = frame.array.sum() + frame.planes[0].mean() + frame.bgr()[0, 0, 0]
    age: float = frame.age
    rows: int = len(frame) + frame.shape[0] + frame.copy()[0, 0]
    if not frame.copied:
        frame.bgr(copy=False)

async def main() -> None:
    async for frame in ndsh.Reader("cam"):
        print(frame.pts, frame.info.stream_id)

print([channel.rate for channel in ndsh.channels(measure=1)])

shared = ndsharray.NdShArray("tag", np.zeros(3), r_w="w")
shared.write(np.zeros((3, 4), ndsharray.supported_types[3]))
is_new, array = ndsharray.NdShArray("tag", r_w="r", timeout=1).read()
digits: str = shared.ndarray_mmap_name
''')
    wrong = ['ndsh.Reader(3)', 'ndsh.Reader("a").red()', 'ndsh.Writer("a", fsp=3)',
             'ndsh.Reader("a").read().array = 3', 'ndsh.Reader("a", mode="newest")',
             'ndsharray.NdShArray("a", r_w=3)']
    bad = tmp_path / "bad.py"
    bad.write_text("\n".join(["import ndsh, ndsharray"] + wrong) + "\n")
    result = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", str(good), str(bad)],
        cwd=str(tmp_path), env=environment, stdout=subprocess.PIPE,
        universal_newlines=True)
    errors = re.findall(r"(\w+)\.py:(\d+): error", result.stdout)
    assert sorted(set(errors)) == [
        ("bad", str(n)) for n in range(2, 2 + len(wrong))], result.stdout


def test_pip_installs_the_package_without_network_or_compiler(tmp_path):
    for module in ("pip", "setuptools", "wheel"):
        if importlib.util.find_spec(module) is None:
            pytest.skip("no " + module)
    copy = tmp_path / "python"
    shutil.copytree(PACKAGE, str(copy), ignore=shutil.ignore_patterns(
        "__pycache__", "build", "*.egg-info"))
    target = tmp_path / "target"
    environment = dict(os.environ, CC="false", PIP_DISABLE_PIP_VERSION_CHECK="1")
    run(sys.executable, "-m", "pip", "install", "--no-index", "--no-deps",
        "--no-build-isolation", "--target", str(target), str(copy), env=environment)

    assert (target / "ndsh" / "py.typed").exists()
    assert (target / "ndsh" / "__init__.pyi").exists()
    assert (target / "ndsharray" / "ndsharray.pyi").exists()
    environment["PYTHONPATH"] = str(target)
    out = run(sys.executable, "-c", "import ndsh, ndsharray; print(ndsh.__file__, ndsh.channels())",
              cwd=str(tmp_path), env=environment)
    assert out.split() == [str(target / "ndsh" / "__init__.py"), "[]"]


def test_every_file_is_installed_and_versions_agree():
    for package in "ndsh", "ndsharray":
        with open(os.path.join(PACKAGE, package, "meson.build")) as file:
            listed = re.findall(r"'([\w.]+)'", file.read())
        # That each one listed is there meson sees; modules are listed without ".py".
        assert [name for name in os.listdir(os.path.join(PACKAGE, package))
                if re.search(r"\.(py|pyi|typed)$", name)
                and re.sub(r"\.py$", "", name) not in listed] == []
    with open(os.path.join(ROOT, "meson.build")) as file:
        version = re.search(r"\bversion: '([\d.]+)'", file.read()).group(1)
    with open(os.path.join(PACKAGE, "setup.py")) as file:
        assert re.search(r'version="([\d.]+)"', file.read()).group(1) == version
    assert ndsh.__version__ == version
    assert ndsharray.__version__.endswith("+ndsh." + version)


def test_want_of_the_library_says_what_to_do(tmp_path):
    environment = {key: value for key, value in os.environ.items()
                   if key != "LD_LIBRARY_PATH"}
    environment["LD_LIBRARY_PATH"] = str(tmp_path)
    code = "import ctypes\ntry:\n    ctypes.CDLL('libndsh.so.0')\nexcept OSError:\n" \
           "    import ndsh\n"
    result = subprocess.run([sys.executable, "-c", code], env=environment,
                            stderr=subprocess.PIPE, universal_newlines=True)
    if result.returncode == 0:
        pytest.skip("libndsh is installed")
    assert "ImportError: libndsh.so.0" in result.stderr
    assert "install libndsh" in result.stderr


STRUCTS = {"_Array": "NdshArrayInfo", "_WriterOptions": "NdshWriterOptions",
           "_ReaderOptions": "NdshReaderOptions", "_ReaderInfo": "NdshReaderInfo",
           "_WriterInfo": "NdshWriterInfo", "_FrameInfo": "NdshFrameInfo",
           "_ChannelInfo": "NdshChannelInfo", "_Timing": "NdshTiming",
           "_Error": "GError"}


@pytest.mark.skipif("NDSH_LAYOUT" not in os.environ, reason="run by meson only")
def test_structs_are_those_of_the_header():
    """NDSH_LAYOUT is a program that prints what the compiler makes of ndsh.h."""
    told = {}
    for line in run(os.environ["NDSH_LAYOUT"]).splitlines():
        name, size, offset = line.split()
        told[name] = (int(size), int(offset))
    seen = set()
    for ours, theirs in STRUCTS.items():
        struct = getattr(_lib, ours)
        assert told[theirs][0] == ctypes.sizeof(struct)
        for field in struct._fields_:
            descriptor = getattr(struct, field[0])
            name = theirs + "." + field[0]
            assert told[name] == (descriptor.size, descriptor.offset), name
            seen.add(name)
        seen.add(theirs)
    assert seen == {name for name in told if name[0] != "="}
    assert told["=NDSH_ERROR_SYSTEM"][0] == _lib.SYSTEM
    assert told["=NDSH_DTYPE_COMPLEX256"][0] == len(_lib.DTYPES) - 1
    assert told["=NDSH_READ_LOSSLESS"][0] == _lib.LOSSLESS
    assert told["=NDSH_MAX_DIMS"][0] == _lib.MAX_DIMS
    assert told["=NDSH_MAX_ARRAYS"][0] == _lib.MAX_ARRAYS
    assert told["=NDSH_MAX_LEASES"][0] == _lib.MAX_LEASES


def test_dtypes_have_the_numbers_of_the_library():
    name = _lib._prototype(_lib._quick, ctypes.c_char_p, "ndsh_dtype_to_name",
                           ctypes.c_int)
    for number, dtype in enumerate(_lib.DTYPES[1:], 1):
        assert name(number).decode() == dtype
    assert name(len(_lib.DTYPES)) is None


def test_only_one_file_knows_ctypes():
    for path in glob.glob(os.path.join(PACKAGE, "ndsh", "*.py")):
        if os.path.basename(path) != "_lib.py":
            with open(path) as file:
                assert "ctypes" not in file.read(), path


def test_everything_public_is_documented():
    public = [(name, getattr(ndsh, name)) for name in ndsh.__all__]
    for name, one in public + [("NdShArray", ndsharray.NdShArray)]:
        if name == "dtypes":
            continue
        assert one.__doc__ and not one.__doc__.startswith(name + "("), name
        for part in vars(one) if isinstance(one, type) and one not in (
                ndsh.Spec, ndsh.FrameInfo, ndsh.ReaderInfo, ndsh.Timing,
                ndsh.WriterInfo) else ():
            if not part.startswith("_") and callable(getattr(one, part)):
                assert getattr(one, part).__doc__, (name, part)
