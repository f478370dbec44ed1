// Engines that a deployment names by one word: what their processes are started with. One file in
// presets/ for each; the names of options and variables are those of the engine's documentation.
#pragma once

#include "protocol/deployment.h"
#include "protocol/launch.h"
#include "protocol/plan.h"

#include <optional>
#include <span>
#include <string_view>

namespace muster {

// Who says where a group meets.
enum class Meeting : uint8_t {
  HEAD,     // the first rank; the others wait to hear of it
  MEMBERS,  // each other rank says where it can be reached; the first one waits to hear of all
};

// What an engine computes on, as its preset starts it.
enum class DeviceNeed : uint8_t { ANY, GPU };

struct EnginePreset {
  EngineKind kind;
  std::string_view name;     // in a deployment
  std::string_view version;  // of the engine that it was made from
  std::string_view page;     // of the documentation that it was made from
  DeviceNeed devices;
  ProcessShare share;
  Meeting meeting;
  bool layersOnly;  // shares out whole layers and nothing finer: tp is 1
  // What `engine.command` is for it, as `muster explain` and errors say.
  std::string_view command;
  bool needsCommand;
  std::string_view modelSuffix;  // of the one file that it reads; empty: a folder
  // Fills command line and probe, and adds to the environment.
  void (*launch)(const Assignment& assignment, const LaunchPlace& place, Launch& launch);
};

std::span<const EnginePreset* const> enginePresets();

// Null for the engines `native` and `process`.
const EnginePreset* findPreset(EngineKind kind);

ProcessShare processShare(EngineKind kind);
DeviceNeed deviceNeedOf(EngineKind kind);
Meeting meetingOf(EngineKind kind);

// The engine's word in a deployment, and back; nothing for an unknown one.
std::string_view toText(EngineKind kind);
std::optional<EngineKind> engineKindOf(std::string_view name);

}  // namespace muster
