"""An array in the memory of the stand-in's device, over one of NumPy's: it does only what CuPy's array does.

It is no NumPy array itself, so what would turn one of CuPy's into one of NumPy's without being asked fails
here as it does there. What it is called with is checked against names and parameters that CuPy has
(cupy_api.json), results of no dimension are arrays as they are there, and what costs time on a GPU is
counted: `calls` of CuPy's own kernels, `waits` for a result, what goes `to the host`, and `contiguity
copies` before a product of matrices.
"""

import collections
import ctypes
import threading
import types

import numpy as np

from . import cupy_api

API = cupy_api.load()
counts: collections.Counter = collections.Counter()
sizes_to_host: list = []  # of arrays
compiled: set = set()  # of templates: what CuPy compiles when it is first called for some dtypes

_LAYOUT = {"reshape", "view", "transpose", "swapaxes", "squeeze", "diagonal", "ravel", "tobytes"}
_COMPILED = {"matmul", "zeros"}  # by NVIDIA: cuBLAS, and filling memory with zeros
NEED_A_SIZE = {"flatnonzero", "nonzero", "unique", "argwhere", "extract"}


_current = threading.local()


class Device:
    """The current one, or that of a number; within its context it is the current one of the thread."""

    compute_capability = "90"
    attributes = types.MappingProxyType(
        {"MaxSharedMemoryPerBlockOptin": 227 << 10, "MaxSharedMemoryPerMultiprocessor": 228 << 10}
    )

    def __init__(self, id=None):
        self.id = devices_of_this_thread()[-1] if id is None else id

    def __enter__(self):
        _current.devices = [*devices_of_this_thread(), self.id]
        return self

    def __exit__(self, *error):
        assert _current.devices.pop() == self.id

    def __eq__(self, other):
        return self.id == other.id

    __hash__ = None

    def __repr__(self):
        return f"<CUDA Device {self.id}>"


def devices_of_this_thread():
    return getattr(_current, "devices", [0])


def on_device(result):
    """NumPy's result as CuPy gives it: a number is an array of no dimension."""
    if isinstance(result, tuple):
        return tuple(map(on_device, result))
    if isinstance(result, np.ndarray | np.generic):
        return DeviceArray(np.asarray(result))
    return result


def part_of(array, result):
    """A view of an array lies where the array does."""
    return DeviceArray(np.asarray(result), array._device)


def plain(argument):
    """The same memory as a plain array, also inside lists and tuples."""
    if isinstance(argument, DeviceArray):
        return argument._memory
    if isinstance(argument, list | tuple):
        return type(argument)(map(plain, argument))
    return argument


def owner_of(array):
    """The plain array that owns the memory of one on the device."""
    owner = array._memory
    while isinstance(owner.base, np.ndarray):
        owner = owner.base
    return owner


def refuse_host_arrays(arguments):
    """CuPy takes numbers from the host, but no arrays."""
    for a in arguments:
        if isinstance(a, list | tuple):
            refuse_host_arrays(a)
        elif isinstance(a, np.ndarray) and a.ndim:
            raise TypeError("Unsupported type <class 'numpy.ndarray'>: a host array among device arrays")


def check_call(kind, name, positional, keywords):
    """Raise where CuPy has no such function or method, or it takes other arguments."""
    if name not in API[kind]:
        raise AttributeError(f"CuPy {API['version']} has no {name!r} among its {kind}")
    known = API[kind][name]
    strange = [keyword for keyword in keywords if keyword not in known]
    spread = any(parameter.startswith("*") for parameter in known)
    if strange or (positional > len(known) and not spread):
        raise TypeError(f"CuPy's {name} takes {known}, not {positional} by place and {list(keywords)}")


def came_to_host(array):
    counts.update(["to the host", "waits"])
    sizes_to_host.append(array.size)
    return np.array(plain(array))


def called(name, arguments):
    """Count a call of CuPy's own kernels, and what has to be compiled for it."""
    counts["calls"] += 1
    for a in arguments:
        assert not isinstance(a, DeviceArray) or a.flags.aligned, f"{name} of misaligned numbers: a GPU fails"
    if name in _COMPILED:
        return
    dtypes = tuple(a.dtype.str for a in arguments if isinstance(a, DeviceArray))
    if (name, dtypes) not in compiled:
        compiled.add((name, dtypes))
        counts["templates"] += 1


def _by_numbers(places):
    """Whether an index is more than a view."""
    parts = places if isinstance(places, tuple) else (places,)
    return any(isinstance(part, DeviceArray | np.ndarray | list) for part in parts)


class DeviceArray(np.lib.mixins.NDArrayOperatorsMixin):
    """An array that NumPy's arrays do not mix with. What is new lies on the device that is current."""

    def __init__(self, memory, device=None):
        self._memory = memory
        self._device = devices_of_this_thread()[-1] if device is None else device

    def __array__(self, dtype=None, copy=None):
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`.")

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **kwargs):
        if method != "__call__" or ufunc.signature or ufunc.__name__ not in API["ufuncs"]:
            raise TypeError(f"CuPy does not do np.{ufunc.__name__}.{method}")
        assert kwargs.keys() <= {"dtype", "casting"}, kwargs
        refuse_host_arrays(inputs)
        called(ufunc.__name__, inputs)
        if out is not None:
            kwargs["out"] = tuple(map(plain, out))
        result = ufunc(*map(plain, inputs), **kwargs)
        return out[0] if out is not None else on_device(result)

    def __array_function__(self, function, kinds, arguments, keywords):
        name = function.__name__
        check_call("functions", name, len(arguments), keywords)
        refuse_host_arrays(arguments)
        called(name, arguments)
        if name in NEED_A_SIZE or (name == "bincount" and "minlength" not in keywords):
            counts["waits"] += 1
        return on_device(function(*map(plain, arguments), **{k: plain(v) for k, v in keywords.items()}))

    def __rmatmul__(self, other):
        refuse_host_arrays([other])
        return NotImplemented

    def __matmul__(self, other):
        refuse_host_arrays([self, other])
        assert self.device == other.device == Device(), "cuBLAS was given memory of another device"
        for factor in (self, other):
            if factor.ndim == 2 and not (factor.flags.c_contiguous or factor.flags.f_contiguous):
                counts["contiguity copies"] += 1
        called("matmul", [self, other])
        return on_device(plain(self) @ plain(other))

    def __getitem__(self, places):
        refuse_host_arrays(places if isinstance(places, tuple) else [places])
        if isinstance(places, DeviceArray) and places.dtype == bool:
            counts["waits"] += 1  # for how many there are
        if _by_numbers(places):
            called("getitem", [self])
        return part_of(self, plain(self)[plain(places)])

    def __setitem__(self, places, value):
        refuse_host_arrays([value])
        called("setitem", [self])
        plain(self)[plain(places)] = plain(value)  # also a number of no dimension, without a wait

    def __bool__(self):
        return bool(came_to_host(self))

    def __float__(self):
        return float(came_to_host(self))

    def __int__(self):
        return int(came_to_host(self))

    def __index__(self):
        return came_to_host(self).__index__()

    def item(self):
        return came_to_host(self).item()

    def get(self):
        return came_to_host(self)

    def set(self, array, stream=None):
        assert type(array) is np.ndarray and array.flags.c_contiguous
        assert self.flags.c_contiguous and self.dtype == array.dtype and self.shape == array.shape
        if stream is None:
            self._memory[...] = array
        else:
            stream.add(lambda: self._memory.__setitem__(..., array))

    @property
    def base(self):
        """The array that owns the memory, where this one is a part of it."""
        owner = owner_of(self)
        same = owner.ctypes.data == self.data.ptr and owner.size == self.size
        return None if same else DeviceArray(owner, self._device)

    @property
    def data(self):
        address = self._memory.ctypes.data

        def memset_async(value, size):
            counts["calls"] += 1
            ctypes.memset(address, value, size)

        return types.SimpleNamespace(ptr=address, memset_async=memset_async)

    @property
    def T(self):
        return part_of(self, self._memory.T)

    @property
    def device(self):
        return Device(self._device)

    @property
    def __cuda_array_interface__(self):
        return {**self._memory.__array_interface__, "version": 3}

    def __len__(self):
        return len(self._memory)

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __repr__(self):
        return f"DeviceArray({self._memory!r})"


def _attribute(name):
    return property(lambda self: getattr(self._memory, name))


for _name in ("shape", "strides", "dtype", "ndim", "size", "itemsize", "nbytes", "flags"):
    setattr(DeviceArray, _name, _attribute(_name))


def _method(name):
    function = getattr(np.ndarray, name)

    def method(self, *arguments, **keywords):
        check_call("methods", name, 1 + len(arguments), keywords)
        refuse_host_arrays(arguments)
        if name == "astype" and keywords.get("copy") is False and self.dtype == arguments[0]:
            return self  # as CuPy does, without a kernel
        if name not in _LAYOUT:
            called(name, [self])
        result = function(plain(self), *map(plain, arguments), **keywords)
        if isinstance(result, np.ndarray) and name in _LAYOUT:
            return part_of(self, result)
        return on_device(result)

    return method


for _name in dir(np.ndarray):
    if callable(getattr(np.ndarray, _name)) and _name[0] != "_" and not hasattr(DeviceArray, _name):
        setattr(DeviceArray, _name, _method(_name))
