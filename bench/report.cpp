#include "bench/report.h"

#include <kj/debug.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <set>
#include <sstream>
#include <sys/utsname.h>
#include <unistd.h>
#include <utility>

namespace muster::bench {
namespace {

std::string cpuModel() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  }
  return "unknown";
}

bool meets(double value, const std::string& comparison, double limit) {
  if (comparison == "<=") return value <= limit;
  if (comparison == ">=") return value >= limit;
  if (comparison == "<") return value < limit;
  if (comparison == ">") return value > limit;
  return value == limit;
}

// Whole numbers are printed without a fraction.
nlohmann::ordered_json number(double value) {
  constexpr double EXACT = 1LL << 53;
  if (std::floor(value) == value && std::abs(value) < EXACT) return static_cast<int64_t>(value);
  return value;
}

}  // namespace

nlohmann::ordered_json machineInfo() {
  utsname system = {};
  uname(&system);
  const int64_t pages = sysconf(_SC_PHYS_PAGES);
  return {{"cpu", cpuModel()},
          {"cores", sysconf(_SC_NPROCESSORS_ONLN)},
          {"memory_bytes", pages * sysconf(_SC_PAGESIZE)},
          {"kernel", system.release}};
}

double percentile(std::vector<double> values, double share) {
  KJ_REQUIRE(!values.empty() && share > 0 && share <= 1, "no such percentile", values.size(),
             share);
  std::sort(values.begin(), values.end());
  const double rank = std::ceil(share * static_cast<double>(values.size()));
  return values[static_cast<size_t>(rank) - 1];
}

Report& Report::figure(const std::string& field, double value) {
  static const std::set<std::string> RESERVED = {"name", "budget", "ok", "machine"};
  const bool taken = std::any_of(figures_.begin(), figures_.end(),
                                 [&](const auto& figure) { return figure.first == field; });
  KJ_REQUIRE(!taken && !RESERVED.contains(field), "the field is taken", field.c_str());
  if (std::isfinite(value)) figures_.emplace_back(field, value);
  return *this;
}

Report& Report::row(const std::string& list, Fields fields) {
  lists_[list].push_back(std::move(fields));
  return *this;
}

Report& Report::budget(const std::string& field, const std::string& bound) {
  static const std::set<std::string> COMPARISONS = {"<=", ">=", "<", ">", "=="};
  Bound parsed = {bound, "", 0};
  std::istringstream text(bound);
  text >> parsed.comparison >> parsed.limit;
  KJ_REQUIRE(!text.fail() && text.eof() && COMPARISONS.contains(parsed.comparison),
             "a budget reads like \"<= 25\"", bound.c_str());
  budgets_[field] = std::move(parsed);
  return *this;
}

bool Report::ok() const {
  return std::all_of(budgets_.begin(), budgets_.end(), [this](const auto& entry) {
    const auto& [field, bound] = entry;
    const auto figure = std::find_if(figures_.begin(), figures_.end(),
                                     [&field = field](const auto& f) { return f.first == field; });
    return figure != figures_.end() && meets(figure->second, bound.comparison, bound.limit);
  });
}

std::string Report::line() const {
  nlohmann::ordered_json json = {{"name", name_}};
  for (const auto& [field, value] : figures_) {
    const auto dot = field.find('.');
    if (dot == std::string::npos) {
      json[field] = number(value);
    } else {
      json[field.substr(0, dot)][field.substr(dot + 1)] = number(value);
    }
  }
  for (const auto& [list, rows] : lists_) {
    for (const Fields& fields : rows) {
      nlohmann::ordered_json row;
      for (const auto& [field, value] : fields) row[field] = number(value);
      json[list].push_back(std::move(row));
    }
  }
  json["budget"] = nlohmann::ordered_json::object();
  for (const auto& [field, bound] : budgets_) json["budget"][field] = bound.text;
  json["ok"] = ok();
  json["machine"] = machineInfo();
  return json.dump();
}

int Report::print() const {
  std::printf("%s\n", line().c_str());
  return ok() ? 0 : 1;
}

}  // namespace muster::bench
