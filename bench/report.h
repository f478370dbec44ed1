// What a benchmark prints: one JSON line with its figures, their budgets, and whether all of them
// were met.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace muster::bench {

// The machine a figure was measured on: {cpu, cores, memory_bytes, kernel}.
nlohmann::ordered_json machineInfo();

// The smallest value that at least `share` of all values do not exceed (nearest rank); `share` in
// (0, 1], `values` not empty. Sorts a copy.
double percentile(std::vector<double> values, double share);

// Collects figures under names that end in their unit, such as "p99_ms".
class Report {
 public:
  explicit Report(std::string name) : name_(std::move(name)) {}

  // A measured number; "parts.elected_ms" becomes field `elected_ms` of the object `parts`. What
  // was not measured is left out, never zero; a number that is not finite counts as not measured.
  // Setting a field twice is a mistake of the benchmark and throws a kj::Exception.
  Report& figure(const std::string& field, double value);

  // One more object of the list `list`, with these fields.
  using Fields = std::vector<std::pair<std::string, double>>;
  Report& row(const std::string& list, Fields fields);

  // What `field` must satisfy: "<= 25", ">= 200000", "< 1", "> 0" or "== 0". Throws on any other
  // text.
  Report& budget(const std::string& field, const std::string& bound);

  // Every budgeted field was measured and meets its budget.
  bool ok() const;

  // {"name", figures..., "budget": {field: bound}, "ok", "machine"}, without a line end.
  std::string line() const;

  // Prints the line to stdout. Returns the exit status of the benchmark: 0 when ok, else 1.
  int print() const;

 private:
  struct Bound {
    std::string text;
    std::string comparison;
    double limit = 0;
  };

  std::string name_;
  std::vector<std::pair<std::string, double>> figures_;  // in the order in which they came
  std::map<std::string, std::vector<Fields>> lists_;
  std::map<std::string, Bound> budgets_;
};

}  // namespace muster::bench
