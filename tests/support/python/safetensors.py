"""A reader of safetensors of its own, sharing nothing with the product: what lies where, and what it hashes to."""
import ctypes
import itertools
import json
import math
import os

ELEMENT_BYTES = {"BF16": 2, "F16": 2, "F32": 4}

_xxhash = ctypes.CDLL("libxxhash.so.0")
_xxhash.XXH3_64bits.restype = ctypes.c_uint64
_xxhash.XXH3_64bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]


def checksum(data):
    return f"{_xxhash.XXH3_64bits(data, len(data)):016x}"


class Tensor:
    def __init__(self, file, shape, dtype, begin):
        self.file, self.shape, self.element, self.begin = file, shape, ELEMENT_BYTES[dtype], begin

    def runs(self, ranges):
        """(file position, bytes) of each contiguous part of a slice, in row-major order."""
        inner = len(self.shape)  # from this dimension on the slice is whole
        while inner > 0 and ranges[inner - 1] == [0, self.shape[inner - 1]]:
            inner -= 1
        inner = max(inner - 1, 0)  # one cut dimension still lies in one piece
        strides = [math.prod(self.shape[i + 1:]) * self.element for i in range(len(self.shape))]
        first = ranges[inner][0] * strides[inner]
        length = (ranges[inner][1] - ranges[inner][0]) * strides[inner]
        for outer in itertools.product(*(range(begin, end) for begin, end in ranges[:inner])):
            yield self.begin + sum(at * stride for at, stride in zip(outer, strides)) + first, length


class Model:
    """All tensors of a folder in Hugging Face layout."""

    def __init__(self, folder):
        self.folder, self.tensors = folder, {}
        for name in sorted(os.listdir(folder)):
            if name.endswith(".safetensors"):
                self._readHeader(name)

    def _readHeader(self, name):
        with open(os.path.join(self.folder, name), "rb") as file:
            size = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(size))
        for tensor, fields in header.items():
            if tensor != "__metadata__":
                assert tensor not in self.tensors, f"{tensor} is in two files"
                self.tensors[tensor] = Tensor(name, fields["shape"], fields["dtype"],
                                              8 + size + fields["data_offsets"][0])

    def bytesOf(self, tensor, ranges):
        parts = []
        with open(os.path.join(self.folder, self.tensors[tensor].file), "rb") as file:
            for position, length in self.tensors[tensor].runs(ranges):
                file.seek(position)
                parts.append(file.read(length))
                assert len(parts[-1]) == length, f"{tensor} goes past its file's end"
        return b"".join(parts)


def volume(ranges):
    return math.prod(end - begin for begin, end in ranges)


def overlap(one, other):
    return all(a[0] < b[1] and b[0] < a[1] for a, b in zip(one, other))
