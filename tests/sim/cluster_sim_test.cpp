// The whole cluster on virtual time, seed by seed.
//
//   cluster_sim_test                      runs 50 seeds, or MUSTER_SIM_SEEDS, from seed 1 on
//   cluster_sim_test --seed N [-v]        replays one; -v shows every note and log line
//   cluster_sim_test --determinism        the same seed in fresh processes, and another one
//   cluster_sim_test --find CONTROL       for a build with a planted bug: it must be found, and the
//                                         program CONTROL, without it, must be content with that
//                                         seed
// MUSTER_SIM_SEED and MUSTER_SIM_SECONDS (virtual, of faults) do what they say.
#include "tests/sim/seed_runner.h"

#include <cstdio>
#include <cstdlib>
#include <string>
#include <unistd.h>
#include <vector>

namespace muster::sim {
namespace {

struct Arguments {
  std::string self;
  RunOptions run;
  uint64_t seeds = 50;
  unsigned jobs = 2;
  bool one = false;
  bool determinism = false;
  std::string control;
};

uint64_t numberFrom(const char* text) { return std::strtoull(text, nullptr, 10); }
Duration secondsFrom(const char* text) { return 1_s * static_cast<int64_t>(numberFrom(text)); }

Arguments parse(int argc, char** argv) {
  Arguments arguments{argv[0]};
  if (const char* seeds = std::getenv("MUSTER_SIM_SEEDS")) arguments.seeds = numberFrom(seeds);
  if (const char* seconds = std::getenv("MUSTER_SIM_SECONDS")) {
    arguments.run.chaos = secondsFrom(seconds);
  }
  if (const char* seed = std::getenv("MUSTER_SIM_SEED")) {
    arguments.run.seed = numberFrom(seed);
    arguments.one = true;
  }
  std::vector<std::string> words(argv + 1, argv + argc);
  for (size_t i = 0; i < words.size(); i++) {
    auto value = [&] { return i + 1 < words.size() ? words[++i].c_str() : "0"; };
    if (words[i] == "--seed") {
      arguments.run.seed = numberFrom(value());
      arguments.one = true;
    } else if (words[i] == "--seeds") {
      arguments.seeds = numberFrom(value());
    } else if (words[i] == "--seconds") {
      arguments.run.chaos = secondsFrom(value());
    } else if (words[i] == "--jobs") {
      arguments.jobs = static_cast<unsigned>(numberFrom(value()));
    } else if (words[i] == "--find") {
      arguments.control = value();
    } else if (words[i] == "--determinism") {
      arguments.determinism = true;
    } else if (words[i] == "-v") {
      arguments.run.verbose = true;
    } else {
      std::fprintf(stderr, "unknown argument %s\n", words[i].c_str());
      std::exit(2);
    }
  }
  return arguments;
}

std::string replayCommand(const Arguments& arguments, uint64_t seed) {
  return arguments.self + " --seed " + std::to_string(seed) + " --seconds " +
         std::to_string(arguments.run.chaos.millis() / 1000);
}

void tellFailure(const Arguments& arguments, uint64_t seed, const SeedReport& report) {
  if (report.crashed) {
    std::printf("seed %llu: the simulation itself failed\n", static_cast<unsigned long long>(seed));
  } else {
    const Violation& found = *report.result.violation;
    std::printf("seed %llu: \"%s\" does not hold at %s: %s\n",
                static_cast<unsigned long long>(seed), found.checker.c_str(),
                toText(found.when).c_str(), found.text.c_str());
  }
  std::printf("  replay: %s -v\n", replayCommand(arguments, seed).c_str());
}

bool isGood(const SeedReport& report) { return !report.crashed && !report.result.violation; }

// ---- one seed

int replay(const Arguments& arguments) {
  RunResult result = runSimulation(arguments.run);
  std::printf("seed %llu: trace %016llx, %llu events, %llu commands, %llu epochs, %llu answers\n",
              static_cast<unsigned long long>(arguments.run.seed),
              static_cast<unsigned long long>(result.traceHash),
              static_cast<unsigned long long>(result.events),
              static_cast<unsigned long long>(result.commands),
              static_cast<unsigned long long>(result.epochs),
              static_cast<unsigned long long>(result.accepted));
  if (!result.violation) return 0;
  tellFailure(arguments, arguments.run.seed, SeedReport{result, false});
  return 1;
}

// ---- many seeds

struct Sums {
  uint64_t good = 0, bad = 0, commands = 0, epochs = 0, accepted = 0, reads = 0, events = 0;
  Duration simulated;
  std::array<uint64_t, FAULT_KINDS> hits{};
  std::array<uint64_t, FAULT_KINDS> seedsHit{};

  void add(const RunResult& result) {
    good++;
    commands += result.commands;
    epochs += result.epochs;
    accepted += result.accepted;
    reads += result.reads;
    events += result.events;
    simulated = simulated + result.simulated;
    for (size_t i = 0; i < FAULT_KINDS; i++) {
      hits[i] += result.hits[i];
      seedsHit[i] += result.hits[i] > 0 ? 1 : 0;
    }
  }
};

// Few seeds cannot hit everything; from this many on each kind must have been there.
constexpr uint64_t SEEDS_FOR_ALL_FAULTS = 20;

bool tellFaults(const Sums& sums, uint64_t seeds) {
  bool all = true;
  for (size_t i = 0; i < FAULT_KINDS; i++) {
    bool enough = seeds < SEEDS_FOR_ALL_FAULTS || sums.seedsHit[i] * 20 >= seeds;
    std::printf("  %-20s %6llu times in %4llu seeds%s\n",
                std::string(toText(static_cast<Fault>(i))).c_str(),
                static_cast<unsigned long long>(sums.hits[i]),
                static_cast<unsigned long long>(sums.seedsHit[i]),
                enough ? "" : "   TOO FEW: this fault is not tested");
    all = all && enough;
  }
  return all;
}

int sweep(const Arguments& arguments) {
  Sums sums;
  runSeeds(arguments.run, arguments.seeds, arguments.jobs,
           [&](uint64_t seed, const SeedReport& report) {
             if (isGood(report)) {
               sums.add(report.result);
             } else {
               sums.bad++;
               tellFailure(arguments, seed, report);
             }
             return true;
           });
  std::printf(
      "%llu seeds good, %llu bad; %lld virtual seconds, %llu events, %llu commands, %llu epochs, "
      "%llu acknowledged requests, %llu reads\nfaults by kind:\n",
      static_cast<unsigned long long>(sums.good), static_cast<unsigned long long>(sums.bad),
      static_cast<long long>(sums.simulated.millis() / 1000),
      static_cast<unsigned long long>(sums.events), static_cast<unsigned long long>(sums.commands),
      static_cast<unsigned long long>(sums.epochs), static_cast<unsigned long long>(sums.accepted),
      static_cast<unsigned long long>(sums.reads));
  bool allFaults = tellFaults(sums, arguments.seeds);
  return sums.bad == 0 && allFaults ? 0 : 1;
}

// ---- a planted bug

int find(const Arguments& arguments) {
  uint64_t found = 0;
  runSeeds(arguments.run, arguments.seeds, arguments.jobs,
           [&](uint64_t seed, const SeedReport& report) {
             if (isGood(report)) return true;
             found = seed;
             tellFailure(arguments, seed, report);
             return false;
           });
  if (found == 0) {
    std::printf("the planted bug was not found within %llu seeds\n",
                static_cast<unsigned long long>(arguments.seeds));
    return 1;
  }
  Arguments unchanged = arguments;
  unchanged.self = arguments.control;
  std::fflush(nullptr);
  // NOLINTNEXTLINE(cert-env33-c): our own program, with numbers for arguments.
  if (std::system(replayCommand(unchanged, found).c_str()) == 0) return 0;
  std::printf("without the planted bug the same seed is bad as well\n");
  return 1;
}

// ---- determinism

std::string traceOf(const Arguments& arguments, uint64_t seed) {
  std::string line;
  std::FILE* out = popen(replayCommand(arguments, seed).c_str(), "r");
  if (out == nullptr) return "";
  char buffer[512];
  while (std::fgets(buffer, sizeof buffer, out) != nullptr) line += buffer;
  pclose(out);
  auto trace = line.find("trace ");
  return trace == std::string::npos ? "" : line.substr(trace, 22);
}

int compareTraces(const Arguments& arguments) {
  constexpr uint64_t SEED = 7;
  std::string first = traceOf(arguments, SEED);
  std::string second = traceOf(arguments, SEED);
  std::string other = traceOf(arguments, SEED + 1);
  std::printf("seed %llu: %s and %s; another seed: %s\n", static_cast<unsigned long long>(SEED),
              first.c_str(), second.c_str(), other.c_str());
  return !first.empty() && first == second && first != other ? 0 : 1;
}

int mainWith(const Arguments& arguments) {
  if (arguments.determinism) return compareTraces(arguments);
  if (!arguments.control.empty()) return find(arguments);
  if (arguments.one) return replay(arguments);
  return sweep(arguments);
}

}  // namespace
}  // namespace muster::sim

int main(int argc, char** argv) { return muster::sim::mainWith(muster::sim::parse(argc, argv)); }
