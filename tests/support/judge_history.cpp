// muster-judge-history: whether the histories of all clients together are linearizable.
//
// Usage: muster-judge-history FILE...      (files of muster-history-client)
// Prints one line; exit 0 yes, 1 no, 3 not decided.
#include "tests/support/linearizability.h"

#include <kj/debug.h>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace {

using namespace muster::testing;  // NOLINT(google-build-using-namespace): a main of its own

History readFiles(const std::vector<std::string>& paths) {
  History all;
  for (const std::string& path : paths) {
    std::ifstream in(path);
    KJ_REQUIRE(in.good(), "cannot read", path.c_str());
    std::string text{std::istreambuf_iterator<char>(in), {}};
    KJ_CONTEXT("in file", path.c_str());
    for (Operation& operation : historyFromText(text)) all.push_back(std::move(operation));
  }
  return all;
}

int judge(const History& history) {
  auto start = std::chrono::steady_clock::now();
  LinearizabilityVerdict verdict = checkLinearizable(history, DeploymentModel{});
  std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  const char* word = verdict.answer == Linearizability::YES  ? "linearizable"
                     : verdict.answer == Linearizability::NO ? "not linearizable"
                                                             : "not decided";
  std::printf("%zu operations: %s, %llu configurations in %.2f s\n%s", history.size(), word,
              static_cast<unsigned long long>(verdict.configurations), took.count(),
              verdict.text.empty() ? "" : (verdict.text + "\n").c_str());
  if (verdict.answer == Linearizability::YES) return 0;
  return verdict.answer == Linearizability::NO ? 1 : 3;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: muster-judge-history FILE...\n");
    return 2;
  }
  try {
    return judge(readFiles({argv + 1, argv + argc}));
  } catch (const kj::Exception& exception) {
    std::fprintf(stderr, "muster-judge-history: %s\n", kj::str(exception).cStr());
    return 2;
  }
}
