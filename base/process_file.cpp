// What /proc tells of a process.
#include "base/process.h"

#include <fstream>
#include <sstream>
#include <string.h>

namespace muster {

std::optional<ProcessStat> readProcessStat(int32_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  if (!std::getline(file, line)) return std::nullopt;
  // Field 2 is the program's name in parentheses and may hold spaces and parentheses itself.
  auto end = line.rfind(')');
  if (end == std::string::npos) return std::nullopt;
  std::istringstream fields(line.substr(end + 1));
  ProcessStat stat;
  fields >> stat.state;  // field 3
  std::string skipped;
  for (int field = 4; field < 22; field++) fields >> skipped;
  if (!(fields >> stat.startTicks)) return std::nullopt;
  return stat;
}

std::string toText(const ExitStatus& status) {
  if (!status.known) return "unknown exit status";
  if (status.signal == 0) return "exit code " + std::to_string(status.code);
  return "signal " + std::to_string(status.signal) + " (" + strsignal(status.signal) + ")";
}

}  // namespace muster
