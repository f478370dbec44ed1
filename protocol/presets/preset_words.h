// What the presets share: how a command line is put together.
#pragma once

#include "protocol/launch.h"

#include <string>
#include <string_view>
#include <vector>

namespace muster::presets {

using Words = std::vector<std::string>;

// The owner's `engine.command`, which replaces the program; else the usual one.
Words program(const EngineSpec& engine, const Words& usual);

// Host and port of a meeting point. "[::1]:80" has host "[::1]".
struct HostAndPort {
  std::string host;
  std::string port;
};
HostAndPort splitAddress(const std::string& address);

// An option and its value as two words.
void addOption(Words& words, std::string_view option, std::string value);

// An option and its value as one word: --name=value.
void addEquals(Words& words, const std::string& name, const std::string& value);

// How an engine takes its arguments.
enum class ArgumentStyle : uint8_t {
  EQUALS,          // --name=value; true: --name; false: left out
  EQUALS_NEGATED,  // the same, but false: --no-name
  WORDS,           // --name value; true: --name; false: left out
};

// `engine.args`, sorted by name.
void addArguments(Words& words, const EngineSpec& engine, ArgumentStyle style);

// What the owner asks of the rank that answers requests, else `usual`. The others are ready as soon
// as they run: they have no port, and that one is not ready before they are.
ReadyProbe probeOf(const Assignment& assignment, const ReadyProbe& usual);

}  // namespace muster::presets
