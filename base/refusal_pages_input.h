// The rows of class E01 (input). Included by refusal_code.cpp only.
#pragma once

#include "base/refusal_code.h"

namespace muster::refusal_pages {

inline constexpr RefusalInfo INPUT[] = {
    {RefusalCode::INVALID_SYNTAX, "invalid syntax", 3, 400, false,
     "The file could not be read as YAML, TOML or JSON, so nothing in it was looked at and "
     "nothing\n"
     "was changed. Usual causes: a missing colon or bracket, tabs used for indentation, or text "
     "in\n"
     "quotes that never ends. The error names the line and column where reading stopped; the "
     "mistake\n"
     "is often on the line before.\n"
     "next: muster validate FILE"},
    {RefusalCode::DUPLICATE_KEY, "duplicate key", 3, 400, false,
     "One mapping names the same key twice. Muster does not guess which of the two was meant.\n"
     "Usual cause: a block copied inside the same document instead of into a new one after '---'.\n"
     "Remove one of them.\n"
     "next: muster validate FILE"},
    {RefusalCode::AMBIGUOUS_VALUE, "ambiguous value", 3, 400, false,
     "YAML lets this text mean several things, so it is refused: the booleans yes, no, on and "
     "off,\n"
     "anchors (&name), aliases (*name) and tags. Write true or false, put quotes around "
     "text,\n"
     "and write repeated blocks out.\n"
     "next: muster validate FILE"},
    {RefusalCode::UNKNOWN_FIELD, "unknown field", 3, 400, false,
     "The file has a field that Muster does not know. Unknown fields are never skipped, since a\n"
     "misspelt limit would then silently not hold. The error suggests the nearest known field.\n"
     "next: muster explain deployment    lists every field with its default"},
    {RefusalCode::INVALID_VALUE, "invalid value", 3, 400, false,
     "A field holds a value of the wrong kind or outside its range. Durations look like 250ms, "
     "30s,\n"
     "5m, 2h or 3d; sizes like 80GiB; shares like 25%; rates like 4/s. The error says which value "
     "was\n"
     "seen and which are taken.\n"
     "next: muster explain FIELD"},
    {RefusalCode::MISSING_FIELD, "missing field", 3, 400, false,
     "A required field is absent. A deployment needs version, name and model; the rest has "
     "defaults.\n"
     "next: muster explain deployment"},
    {RefusalCode::NOT_SUPPORTED_YET, "not supported yet", 3, 400, false,
     "The field or value is part of Muster's language, but this version cannot carry it out. It "
     "is\n"
     "refused rather than ignored, so that what you read in a file is what runs. Remove the field, "
     "or\n"
     "use a version that supports it.\n"
     "next: muster version, then muster explain FIELD"},
    {RefusalCode::TOO_LARGE, "too large", 3, 413, false,
     "The input exceeds a fixed limit: 512 KiB for one request, 100 MB for the header of a\n"
     "safetensors file. The error says which limit and what was seen. Split a file with many "
     "documents\n"
     "and apply the parts one after another.\n"
     "next: muster validate FILE"},
    {RefusalCode::INVALID_NAME, "invalid name", 3, 400, false,
     "Names start with a lower-case letter and go on with lower-case letters, digits and '-', at "
     "most\n"
     "63 characters (48 for nodes and coordinators). References are written\n"
     "[tenant/]deployment[/replica[/rank]] and a GPU is node:index, for instance gpu02:5.\n"
     "next: muster ps    lists the names in use"},
    {RefusalCode::RESERVED_ARGUMENT, "argument is set by Muster", 3, 400, false,
     "Muster itself sets port, rank, world size, rendezvous, parallel sizes, devices and served "
     "name of\n"
     "an engine; the same in engine.args would contradict the placement. Use parallel, gpus or "
     "name of\n"
     "the deployment instead.\n"
     "next: muster explain engine"},
    {RefusalCode::MODEL_NOT_FOUND, "model not found", 3, 400, false,
     "The worker that looked found no directory at the path, or no config.json in it. The path is "
     "one\n"
     "on the workers, not on the machine the command runs on. A native rank on a node without it "
     "reads\n"
     "its weights from another node that has weights.listen set; other engines need it on each "
     "node\n"
     "they run on. Usual causes: a directory not mounted on any node, or a misspelt path.\n"
     "next: muster describe NODE    shows the node's model roots"},
    {RefusalCode::MODEL_CONFIG_INVALID, "invalid model configuration", 3, 400, false,
     "config.json or the index of the safetensors files cannot be used: a field is missing, has "
     "the\n"
     "wrong kind, or contradicts another (an index that names a missing file counts as well). "
     "Usual\n"
     "causes: an incomplete download, or a configuration edited by hand.\n"
     "next: download the model again, then muster plan FILE"},
    {RefusalCode::MODEL_ARCHITECTURE_UNKNOWN, "unknown architecture", 3, 400, false,
     "Muster does not know how to cut this kind of model into shards. The error names the "
     "architecture\n"
     "seen and those that are known. An engine that brings its own loader can still run it with\n"
     "engine: {kind: process, command: [...]}.\n"
     "next: muster explain engine"},
    {RefusalCode::MODEL_FILE_CORRUPT, "corrupt model file", 3, 400, false,
     "A safetensors file contradicts itself: it is shorter than its header says, tensors overlap "
     "or lie\n"
     "outside the file, or a size does not follow from type and shape. Usual causes: a download "
     "that\n"
     "stopped early, or a full disk while copying.\n"
     "next: compare size and checksum with the source and copy the file again"},
    {RefusalCode::MODEL_OUTSIDE_ROOTS, "model outside the model roots", 3, 400, false,
     "A file: model must lie below one of the worker's model_roots once links and '..' are "
     "resolved.\n"
     "This keeps a deployment from reading other files of the machine. Move the model below a "
     "root, or\n"
     "have the administrator add the directory to model_roots in worker.toml.\n"
     "next: muster describe NODE    shows the node's model roots"},
    {RefusalCode::MODEL_FORMAT_REFUSED, "model format refused", 3, 400, false,
     "Muster reads safetensors only. Pickle files (.bin, .pt, .pth) can run code while being read "
     "and\n"
     "are never opened. Convert the weights to safetensors on a machine where you trust the file.\n"
     "next: muster explain model"},
    {RefusalCode::PARALLEL_IMPOSSIBLE, "model cannot be cut this way", 3, 400, false,
     "The sizes asked under parallel do not divide the model: tp must divide the attention heads "
     "and\n"
     "the intermediate size (and divide, or be a multiple of, the key and value heads), pp is at "
     "most\n"
     "the number of layers, and gpus must equal tp x pp x dp. The error names the number that does "
     "not\n"
     "divide and sizes that would.\n"
     "next: muster plan FILE without parallel lets the planner choose"},
};

}  // namespace muster::refusal_pages
