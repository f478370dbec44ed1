"""Models that somebody damaged, or that try to lead out of their folder."""
import json
import os
import shutil
import struct

FIRST = "model-00001-of-00002.safetensors"
INDEX = "model.safetensors.index.json"
HEADER_BYTES_MAX = 100_000_000


def changeHeader(path, change):
    """Writes a file anew with a header that `change` has changed in place; the data stays."""
    with open(path, "rb") as file:
        size = struct.unpack("<Q", file.read(8))[0]
        header, data = json.loads(file.read(size)), file.read()
    change({name: fields for name, fields in header.items() if name != "__metadata__"})
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def changeJson(path, change):
    with open(path) as file:
        content = json.load(file)
    change(content)
    with open(path, "w") as file:
        json.dump(content, file)


def overlapping(model):
    def change(tensors):
        (_, one), (_, other) = sorted(tensors.items(), key=lambda row: row[1]["data_offsets"])[:2]
        begin, end = other["data_offsets"]
        shift = end - begin
        other["data_offsets"] = [one["data_offsets"][1] - shift // 2, one["data_offsets"][1] - shift // 2 + shift]

    changeHeader(os.path.join(model, FIRST), change)


def outOfFile(model):
    def change(tensors):
        last = max(tensors.values(), key=lambda fields: fields["data_offsets"])
        last["data_offsets"] = [at + (1 << 40) for at in last["data_offsets"]]

    changeHeader(os.path.join(model, FIRST), change)


def truncated(model):
    path = os.path.join(model, FIRST)
    os.truncate(path, os.path.getsize(path) - 1000)


def cutInHeader(model):
    os.truncate(os.path.join(model, FIRST), 100)


def hugeHeader(model):
    """Sparse, so that it costs nothing; a reader that believed it would want the memory."""
    path = os.path.join(model, FIRST)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", HEADER_BYTES_MAX + 1))
        file.truncate(HEADER_BYTES_MAX + 4096)


def missingFile(model):
    os.remove(os.path.join(model, FIRST))


def noConfig(model):
    os.remove(os.path.join(model, "config.json"))


def unknownArchitecture(model):
    def change(config):
        config["architectures"], config["model_type"] = ["UnheardOfForCausalLM"], "unheard_of"

    changeJson(os.path.join(model, "config.json"), change)


def indexLeadsOut(model):
    def change(index):
        name = sorted(index["weight_map"])[0]
        index["weight_map"][name] = "../" + FIRST

    changeJson(os.path.join(model, INDEX), change)


def fileLeadsOut(model):
    """A weights file that is a link to one outside of every root."""
    path = os.path.join(model, FIRST)
    outside = os.path.join(os.path.dirname(os.path.dirname(model)), "outside.safetensors")
    shutil.move(path, outside)
    os.symlink(outside, path)


def onlyPickle(model):
    for name in os.listdir(model):
        if name.endswith((".safetensors", INDEX)):
            os.remove(os.path.join(model, name))
    with open(os.path.join(model, "pytorch_model.bin"), "wb") as file:
        file.write(b"\x80\x04never opened")


def brokenConfig(model):
    with open(os.path.join(model, "config.json"), "w") as file:
        file.write('{"architectures": [')
