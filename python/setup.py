# SPDX-License-Identifier: LGPL-2.1-or-later
"""`pip install ./python`, for an interpreter that meson did not install for. libndsh
itself must be installed; there is no C in it."""

from setuptools import setup

setup(
    name="ndsh",
    version="0.1.0",
    description="N-dimensional arrays shared between processes without copying",
    license="LGPL-2.1-or-later",
    packages=["ndsh", "ndsharray"],
    package_data={"ndsh": ["py.typed", "*.pyi"], "ndsharray": ["py.typed", "*.pyi"]},
    python_requires=">=3.6",
    install_requires=["numpy>=1.13"],
    zip_safe=False,
)
