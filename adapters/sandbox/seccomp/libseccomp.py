"""The part of libseccomp that makes a filter, by ctypes: needed where filters are made, never where they are used."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import msgspec

AUDIT_ARCH: Final = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
"""How the kernel calls the architectures that filters are made for."""

_ATTRIBUTE_BAD_ARCH: Final = 2
_ATTRIBUTE_OPTIMIZE: Final = 8
_MASKED_EQUAL: Final = 7
_BINARY_TREE: Final = 2
_UNKNOWN: Final = -1


class _Comparison(ctypes.Structure):
    _fields_ = (
        ("argument", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("mask", ctypes.c_uint64),
        ("value", ctypes.c_uint64),
    )


class Bits(msgspec.Struct, frozen=True):
    """A condition: of an argument's low 32 bits, those of `mask` are `value`."""

    argument: int
    mask: int
    value: int


class Library:
    """libseccomp.so.2, loaded. Raises `OSError` where it is not installed."""

    def __init__(self) -> None:
        library = ctypes.CDLL("libseccomp.so.2", use_errno=True)
        self._init = library.seccomp_init
        self._init.restype = ctypes.c_void_p
        self._init.argtypes = [ctypes.c_uint32]
        self._release = library.seccomp_release
        self._release.argtypes = [ctypes.c_void_p]
        self._arch_add = library.seccomp_arch_add
        self._arch_remove = library.seccomp_arch_remove
        self._attribute = library.seccomp_attr_set
        self._add_rule = library.seccomp_rule_add_array
        self._export = library.seccomp_export_bpf
        self._resolve = library.seccomp_syscall_resolve_name
        for function in (self._arch_add, self._arch_remove):
            function.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
        self._attribute.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32]
        self._add_rule.argtypes = [
            ctypes.c_void_p,
            ctypes.c_uint32,
            ctypes.c_int,
            ctypes.c_uint,
            ctypes.POINTER(_Comparison),
        ]
        self._export.argtypes = [ctypes.c_void_p, ctypes.c_int]
        self._resolve.argtypes = [ctypes.c_char_p]

    def number(self, name: str) -> int:
        """Return the number that the library means the system call by on every architecture, or raise `ValueError`."""
        found: int = self._resolve(name.encode())
        if found == _UNKNOWN:
            raise ValueError(f"libseccomp knows no system call `{name}`")
        return found

    @contextmanager
    def filter(self, architecture: str, *, otherwise: int, elsewhere: int) -> Iterator["Filter"]:
        """Give an empty filter for one architecture; other architectures are answered `elsewhere`."""
        context = self._init(otherwise)
        if not context:
            raise MemoryError
        try:
            native = self._arch_add(context, AUDIT_ARCH[architecture])
            if native not in (0, -17):  # -EEXIST: it is the machine's own
                raise OSError(-native, os.strerror(-native))
            for other in AUDIT_ARCH:
                if other != architecture:
                    self._arch_remove(context, AUDIT_ARCH[other])
            _checked(self._attribute(context, _ATTRIBUTE_BAD_ARCH, elsewhere))
            _checked(self._attribute(context, _ATTRIBUTE_OPTIMIZE, _BINARY_TREE))
            yield Filter(self, context)
        finally:
            self._release(context)

    def add_rule(self, context: int, action: int, number: int, conditions: tuple[Bits, ...]) -> None:
        """See `Filter.add`."""
        array = (_Comparison * max(1, len(conditions)))()
        for index, bits in enumerate(conditions):
            array[index] = _Comparison(bits.argument, _MASKED_EQUAL, bits.mask, bits.value)
        _checked(self._add_rule(context, action, number, len(conditions), array))

    def export(self, context: int) -> bytes:
        """See `Filter.program`."""
        memory = os.memfd_create("filter")
        try:
            _checked(self._export(context, memory))
            os.lseek(memory, 0, os.SEEK_SET)
            with os.fdopen(os.dup(memory), "rb") as file:
                return file.read()
        finally:
            os.close(memory)


class Filter:
    """A filter in the making."""

    def __init__(self, library: Library, context: int) -> None:
        self._library = library
        self._context = context

    def add(self, action: int, number: int, *conditions: Bits) -> None:
        """Answer a system call with an action where all the conditions hold."""
        self._library.add_rule(self._context, action, number, conditions)

    def program(self) -> bytes:
        """Return the filter as BPF instructions."""
        return self._library.export(self._context)


def _checked(result: int) -> None:
    if result < 0:
        raise OSError(-result, os.strerror(-result))
