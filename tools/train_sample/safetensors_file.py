"""Writes tensors as one bf16 safetensors file: the header's length, the header as JSON, the bytes."""
import json
import struct

import torch

ALIGNMENT = 64  # of the first tensor, by blanks at the header's end


def writeSafetensors(path, tensors):
    """`tensors`: name -> bf16 tensor; written in the order of names."""
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name in sorted(tensors):
        tensor = tensors[name]
        end = offset + tensor.numel() * 2
        header[name] = {"dtype": "BF16", "shape": list(tensor.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(len(text) + 8) % ALIGNMENT)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name in sorted(tensors):
            file.write(tensors[name].to(torch.bfloat16).contiguous().view(torch.int16).numpy().tobytes())
