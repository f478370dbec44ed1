// The schema level: which commands, fields and records may be written, and who can read them.
//
// It is part of the cluster's state and never of a binary: a binary understands all levels up to
// its own, and writes what the state's level allows. Who adds a command, a field of one or a field
// of a record raises SCHEMA_LEVEL in schema_level.cpp by one, and writes the new thing only while
// State::schemaLevel has reached it.
#pragma once

#include <cstdint>

namespace muster {

// 1: of a new cluster. 2: a replica's generation is followed in place; plans with `ep` and int8;
// other names and a balance of deployments; engines by presets; health and origin of GPUs.
// 3: pipelines that a deployment cuts.
inline constexpr uint32_t SCHEMA_LEVEL_FIRST = 1;

// The highest level that this binary understands; it understands all below. Defined in a file of
// its own, so that tests can link a second binary of another level.
uint32_t schemaLevelUnderstood();

// Throws UNIMPLEMENTED, with a text for the administrator, when `level` is above what this binary
// understands. `what` says what was met: "the state".
void requireUnderstood(uint32_t level, const char* what);

}  // namespace muster
