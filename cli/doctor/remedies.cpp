#include "cli/doctor/remedies.h"

namespace muster::cli {

std::string Remedies::away(std::string byUnit, const std::string& id) const {
  if (!isLocal()) return byUnit;
  std::string up = "muster up --detach --dir " + folder_;
  if (id.empty()) return up + " starts what is missing; logs: " + folder_ + "/logs";
  return up + " starts it if it does not run; its log: " + folder_ + "/logs/" + id + ".log";
}

std::string Remedies::restart(std::string byUnit) const {
  if (!isLocal()) return byUnit;
  return "muster down --dir " + folder_ + ", then muster up --detach --dir " + folder_;
}

}  // namespace muster::cli
