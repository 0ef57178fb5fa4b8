# SPDX-License-Identifier: LGPL-2.1-or-later
from .ndsharray import NdShArray as NdShArray, supported_types as supported_types

__version__: str
__author__: str
__email__: str
__all__ = ["NdShArray", "supported_types"]
