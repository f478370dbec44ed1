#include "worker/engine/process/find_program.h"

#include <filesystem>
#include <sstream>
#include <string_view>
#include <unistd.h>

namespace muster::worker {
namespace {

namespace fs = std::filesystem;

bool isProgram(const fs::path& path) {
  std::error_code error;
  return fs::is_regular_file(path, error) && access(path.c_str(), X_OK) == 0;
}

bool isInPath(const std::string& program, const ProgramPlace& place) {
  std::istringstream folders(place.path);
  std::string folder;
  while (std::getline(folders, folder, ':')) {
    if (isProgram(fs::path(place.folder) / folder / program)) return true;
  }
  return false;
}

Refusal cannotStart(const std::string& why, const std::string& help) {
  return {RefusalCode::ENGINE_EXITED, "cannot start: " + why, {}, {help}};
}

}  // namespace

Result<Done> checkProgramExists(const std::vector<std::string>& argv, const ProgramPlace& place) {
  if (argv.empty() || argv[0].empty()) {
    return cannotStart("the rank has no command",
                       "an engine that this worker does not know? see muster-worker --version");
  }
  const std::string& program = argv[0];
  std::string change = "engine: {kind: " + place.engine;
  if (program.find('/') != std::string::npos) {
    if (isProgram(fs::path(place.folder) / program)) return Done{};
    return cannotStart("\"" + program + "\" is no program that the worker may run",
                       "install it on the worker, or name another one: " + change +
                           ", command: [/PATH/TO/PROGRAM]}");
  }
  if (isInPath(program, place)) return Done{};
  return cannotStart("\"" + program + "\" is not in PATH of the worker (PATH=" + place.path + ")",
                     "install it on the worker, or say where it is: " + change +
                         ", env: {PATH: \"/FOLDER/OF/IT:/usr/bin:/bin\"}}");
}

}  // namespace muster::worker
