// What to type about a daemon that is not well: that depends on who runs it.
#pragma once

#include <string>

namespace muster::cli {

class Remedies {
 public:
  // systemd runs each daemon as a unit of its machine.
  Remedies() = default;
  // `muster up` runs all of them below `folder`; empty: as above.
  explicit Remedies(std::string folder) : folder_(std::move(folder)) {}

  bool isLocal() const { return !folder_.empty(); }
  // Of one that does not run or answer. `byUnit`: what is said where systemd runs it. `id`: "co2",
  // whose log a local cluster has; empty: of several, or of one whose id is not known.
  std::string away(std::string byUnit, const std::string& id = "") const;
  // Of one that has to be started anew as it is.
  std::string restart(std::string byUnit) const;

 private:
  std::string folder_;
};

}  // namespace muster::cli
