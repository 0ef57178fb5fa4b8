# SPDX-License-Identifier: LGPL-2.1-or-later
"""Tells meson where modules are to be installed under the prefix that is the argument:
where this interpreter looks by itself, or if it looks nowhere under that prefix, in the
directory of the usual name. A second line is how names of compiled modules end."""

import os
import site
import sys

lib = os.path.join(sys.argv[1], "lib")
usual = os.path.join(lib, "python%d.%d" % sys.version_info[:2], "site-packages")

# An interpreter in /usr may look in /usr/local/lib as well, as Debian's does. Old
# virtual environments have a module site without that function.
directories = [directory for directory in getattr(site, "getsitepackages", list)()
               if os.path.dirname(os.path.dirname(directory)) == lib]

print((directories + [usual])[0])
print(".%s.pyc" % sys.implementation.cache_tag)
