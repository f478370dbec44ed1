@0xdd8be04c0ccb57e8;
# The weight port of a worker, for role worker only: a rank whose node lacks the files of its model reads its slices from
# the files of another node. The reader asks for one piece after the other, a few at a time, so that neither side ever
# holds more than those.

using Cxx = import "/capnp/c++.capnp";
using Types = import "types.capnp";
$Cxx.namespace("muster::schema");

interface WeightGate {
  # Looks into the model as for a plan. Refuses MODEL_NOT_FOUND when the model here has another digest, OVERLOADED when
  # too many read already, and what inspecting a model refuses.
  open @0 (source :Text, manifestDigest :Text) -> (refusal :Types.Refusal, files :ModelFiles);   # code 0: opened
}

interface ModelFiles {
  # `rows` runs of `rowBytes` each, the first at `offsetBytes`, each `strideBytes` after the one before; together at most
  # 1 MiB. `file`: a safetensors file of the manifest, or one of the texts beside them (tokenizer, chat template).
  # Refuses NOT_FOUND for any other name, INVALID_VALUE for what is no piece of it, WEIGHTS_CORRUPT when the disk fails.
  read @0 (file :Text, offsetBytes :UInt64, rows :UInt64, rowBytes :UInt64, strideBytes :UInt64)
      -> (refusal :Types.Refusal, bytes :Data, checksum :UInt64);   # code 0: read; XXH3-64, seed 0
  # Of a text beside the weights.
  textSize @1 (name :Text) -> (found :Bool, sizeBytes :UInt64);
}
