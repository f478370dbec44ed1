"""Sample models and the documents that deploy them."""
import os
import subprocess

from local_cluster import BIN

SMALL = ("--hidden", "64", "--layers", "4", "--heads", "4", "--kv-heads", "2", "--intermediate", "128",
         "--vocab", "256")


def makeModel(path, *flags):
    subprocess.run([os.path.join(BIN, "muster-make-model"), path, *flags], check=True, capture_output=True)
    return path


def makeSmallModel(folder, name="small"):
    return makeModel(os.path.join(folder, name), *SMALL)


def deployment(name, model, tp=2, pp=2, **fields):
    """YAML of a native deployment; further fields as YAML text."""
    more = "".join(f"{key}: {value}\n" for key, value in fields.items())
    return f"version: 1\nname: {name}\nmodel: file:{model}\nparallel: {{tp: {tp}, pp: {pp}}}\n{more}"


def sleeper(name, model, gpus=1, **fields):
    """YAML of a deployment whose ranks are programs that do nothing."""
    more = "".join(f"{key}: {value}\n" for key, value in fields.items())
    return (f"version: 1\nname: {name}\nmodel: file:{model}\ngpus: {gpus}\n"
            f"engine: {{kind: process, command: [sleep, infinity]}}\n{more}")
