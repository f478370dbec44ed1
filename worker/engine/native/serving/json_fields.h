// Fields of foreign JSON: absent ones and ones of another type read alike, so that no file and no
// request can make the reader throw.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <string>

namespace muster::worker {

// Null when `object` is no object or has no such field.
const nlohmann::json* fieldOf(const nlohmann::json& object, const char* name);
// Empty for what is no text.
std::string textOf(const nlohmann::json& object, const char* name);
bool flagOf(const nlohmann::json& object, const char* name, bool otherwise = false);
// An empty list for what is none.
const nlohmann::json& listOf(const nlohmann::json& object, const char* name);

}  // namespace muster::worker
