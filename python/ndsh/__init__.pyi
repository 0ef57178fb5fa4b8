# SPDX-License-Identifier: LGPL-2.1-or-later
import os
from fractions import Fraction
from types import TracebackType
from typing import (Any, AsyncIterator, Dict, Iterable, Iterator, List, NamedTuple,
                    Optional, Sequence, Tuple, Type, Union)

import numpy as np
from typing_extensions import Literal

__version__: str
__all__ = ["Channel", "Draft", "Error", "Frame", "FrameInfo", "Meta", "Reader", "ReaderInfo",
           "Region", "Spec", "Timing", "Writer", "WriterInfo", "channel", "channels", "dtypes"]

dtypes: Tuple[str, ...]

class Error(Exception): ...

class Spec(NamedTuple):
    dtype: str
    shape: Tuple[int, ...]
    strides: Tuple[int, ...]
    offset: int

class Timing(NamedTuple):
    clock: Optional[str]
    origin_ns: int
    latency_ns: int

class FrameInfo(NamedTuple):
    timestamp_ns: Optional[int]
    duration_ns: Optional[int]
    offset: Optional[int]
    flags: int
    publish_ns: int
    stream_id: str
    metadata: bytes
    timing: Timing
    stream_metadata: bytes

class ReaderInfo(NamedTuple):
    pid: int
    uid: int
    mode: str
    max_leases: int
    n_leases: int
    delivered: int
    missed: int
    copied: int
    lag: int
    max_rate: float
    max_width: int
    max_height: int

class WriterInfo(NamedTuple):
    published: int
    slots: int
    bytes: int
    max_bytes: int
    max_frames: int
    retired_bytes: int
    trust: str
    key_requests: int

class Meta(NamedTuple):
    name: str
    fields: Dict[str, Any]

class Region(NamedTuple):
    label: str
    x: int
    y: int
    w: int
    h: int
    confidence: Optional[float] = ...
    parameters: Optional[Dict[str, Dict[str, Any]]] = ...
    id: Optional[int] = ...
    parent: Optional[int] = ...
    tracking: Optional[int] = ...
    classes: Sequence[Tuple[str, float]] = ...

class Frame:
    sequence: int
    dropped: int
    copied: bool
    @property
    def info(self) -> FrameInfo: ...
    @property
    def caps(self) -> str: ...
    @property
    def array(self) -> np.ndarray[Any, Any]: ...
    @property
    def shape(self) -> Tuple[int, ...]: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    def __len__(self) -> int: ...
    def __bool__(self) -> bool: ...
    @property
    def arrays(self) -> Tuple[np.ndarray[Any, Any], ...]: ...
    @property
    def planes(self) -> Tuple[np.ndarray[Any, Any], ...]: ...
    @property
    def regions(self) -> Tuple[Region, ...]: ...
    @property
    def metas(self) -> Tuple[Meta, ...]: ...
    @property
    def tags(self) -> Dict[str, Any]: ...
    @property
    def format(self) -> Optional[str]: ...
    @property
    def pts(self) -> Optional[int]: ...
    @property
    def age(self) -> float: ...
    @property
    def __array_interface__(self) -> Dict[str, Any]: ...
    def copy(self) -> np.ndarray[Any, Any]: ...
    def bgr(self, copy: Optional[bool] = ...) -> np.ndarray[Any, Any]: ...
    def rgb(self, copy: Optional[bool] = ...) -> np.ndarray[Any, Any]: ...
    def gray(self, copy: Optional[bool] = ...) -> np.ndarray[Any, Any]: ...
    def __dlpack__(self, **arguments: Any) -> Any: ...
    def __dlpack_device__(self) -> Tuple[int, int]: ...

class Reader:
    name: str
    def __init__(self, name: str, mode: Literal["latest", "queue", "lossless"] = ...,
                 queue: int = ...,
                 max_fps: Optional[float] = ..., timeout: Optional[float] = ...,
                 leases: int = ..., follow: bool = ...,
                 paintable: Optional[bool] = ...) -> None: ...
    def wait(self, timeout: Optional[float] = ...) -> bool: ...
    def read(self, timeout: Optional[float] = ...) -> Frame: ...
    def __iter__(self) -> Iterator[Frame]: ...
    def __next__(self) -> Frame: ...
    def __aiter__(self) -> AsyncIterator[Frame]: ...
    async def __anext__(self) -> Frame: ...
    def fileno(self) -> int: ...
    @property
    def connected(self) -> bool: ...
    @property
    def info(self) -> ReaderInfo: ...
    @property
    def copied(self) -> int: ...
    @property
    def closed(self) -> bool: ...
    def close(self) -> None: ...
    def __enter__(self) -> Reader: ...
    def __exit__(self, kind: Optional[Type[BaseException]],
                 error: Optional[BaseException],
                 traceback: Optional[TracebackType]) -> None: ...

_Bytes = Union[bytes, bytearray, memoryview]
_Regions = Iterable[Tuple[Any, ...]]
_Metas = Iterable[Tuple[str, Dict[str, Any]]]
_Shape = Union[int, Tuple[int, ...], List[Tuple[int, ...]], List[int]]

class Writer:
    name: str
    stream_id: str
    def __init__(self, name: str, format: Optional[str] = ...,
                 fps: Union[None, float, Fraction, str] = ...,
                 caps: Optional[str] = ...,
                 history: int = ..., max_readers: int = ...,
                 max_bytes: Optional[int] = ...,
                 lossless_timeout: float = ..., perms: int = ...) -> None: ...
    def write(self, array: Any, pts: Optional[int] = ...,
              duration: Optional[int] = ..., offset: Optional[int] = ...,
              flags: int = ..., metadata: _Bytes = ..., regions: _Regions = ...,
              metas: _Metas = ...) -> int: ...
    def draft(self, shape: _Shape, dtype: Any = ..., pts: Optional[int] = ...,
              duration: Optional[int] = ..., offset: Optional[int] = ...,
              flags: int = ..., metadata: _Bytes = ..., regions: _Regions = ...,
              metas: _Metas = ...) -> Draft: ...
    def set_timing(self, clock: Optional[str] = ..., origin_ns: int = ...,
                   latency_ns: int = ...) -> None: ...
    def end(self) -> None: ...
    @property
    def caps(self) -> str: ...
    @property
    def readers(self) -> List[ReaderInfo]: ...
    @property
    def info(self) -> WriterInfo: ...
    @property
    def closed(self) -> bool: ...
    def close(self) -> None: ...
    def __enter__(self) -> Writer: ...
    def __exit__(self, kind: Optional[Type[BaseException]],
                 error: Optional[BaseException],
                 traceback: Optional[TracebackType]) -> None: ...

class Draft:
    array: Optional[np.ndarray[Any, Any]]
    arrays: Tuple[np.ndarray[Any, Any], ...]
    number: int
    pts: Optional[int]
    duration: Optional[int]
    offset: Optional[int]
    flags: int
    metadata: _Bytes
    regions: _Regions
    metas: _Metas
    def publish(self) -> int: ...
    def __enter__(self) -> Any: ...
    def __exit__(self, kind: Optional[Type[BaseException]],
                 error: Optional[BaseException],
                 traceback: Optional[TracebackType]) -> None: ...

class Channel:
    name: str
    pid: int
    uid: int
    stream_id: str
    published: int
    publish_ns: Optional[int]
    readers: int
    bytes: int
    caps: str
    arrays: Tuple[Spec, ...]
    timing: Timing
    rate: Optional[float]
    @property
    def format(self) -> Optional[str]: ...

def channel(name: str, measure: float = ...) -> Channel: ...
def channels(measure: float = ...) -> List[Channel]: ...
