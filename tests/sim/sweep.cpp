#include "tests/sim/sweep.h"

#include "base/clock.h"
#include "tests/sim/seed_runner.h"

#include <cstdio>
#include <cstdlib>
#include <map>

namespace muster::sim {
namespace {

using Number = unsigned long long;

bool isGood(const SeedReport& report) { return !report.crashed && !report.result.violation; }

void tellFailure(const Arguments& arguments, uint64_t seed, const SeedReport& report) {
  if (report.crashed) {
    std::printf("seed %llu: the process crashed\n", static_cast<Number>(seed));
  } else {
    const Violation& violation = *report.result.violation;
    std::printf("seed %llu at %s: violation of \"%s\"\n  %s\n", static_cast<Number>(seed),
                toText(violation.when).c_str(), violation.checker.c_str(), violation.text.c_str());
  }
  std::printf("  replay: %s -v\n", replayCommand(arguments, seed).c_str());
  std::fflush(stdout);
}

struct Sums {
  uint64_t good = 0, bad = 0, commands = 0, epochs = 0, accepted = 0, reads = 0, events = 0;
  Duration simulated;
  std::array<uint64_t, FAULT_KINDS> hits{};
  std::array<uint64_t, FAULT_KINDS> seedsHit{};
  std::map<size_t, uint64_t> seedsBySize;

  void add(uint64_t seed, const RunResult& result) {
    good++;
    commands += result.commands;
    epochs += result.epochs;
    accepted += result.accepted;
    reads += result.reads;
    events += result.events;
    simulated = simulated + result.simulated;
    seedsBySize[workersOfSeed(seed)]++;
    for (size_t i = 0; i < FAULT_KINDS; i++) {
      hits[i] += result.hits[i];
      seedsHit[i] += result.hits[i] > 0 ? 1 : 0;
    }
  }
};

// Few seeds cannot hit everything; from this many on each kind must have been there.
constexpr uint64_t SEEDS_FOR_ALL_FAULTS = 40;

bool tellFaults(const Sums& sums, uint64_t without) {
  bool all = true;
  std::printf("faults by kind:\n");
  for (size_t i = 0; i < FAULT_KINDS; i++) {
    if ((without >> i & 1) != 0) continue;
    bool enough = sums.good < SEEDS_FOR_ALL_FAULTS || sums.seedsHit[i] * 20 >= sums.good;
    std::printf("  %-20s %7llu times in %5.1f %% of seeds%s\n",
                std::string(toText(static_cast<Fault>(i))).c_str(),
                static_cast<Number>(sums.hits[i]),
                100.0 * static_cast<double>(sums.seedsHit[i]) / static_cast<double>(sums.good),
                enough ? "" : "   TOO FEW: this fault is not tested");
    all = all && enough;
  }
  return all;
}

void tell(const Sums& sums, Duration took) {
  std::printf("%llu seeds good, %llu bad in %.0f s:", static_cast<Number>(sums.good),
              static_cast<Number>(sums.bad), static_cast<double>(took.millis()) / 1000);
  for (const auto& [workers, seeds] : sums.seedsBySize) {
    std::printf(" %llu with %zu workers", static_cast<Number>(seeds), workers);
  }
  std::printf(
      "\n%.1f simulated hours, %llu events, %llu commands, %llu epochs, %llu acknowledged "
      "requests, %llu reads\n",
      static_cast<double>(sums.simulated.millis()) / 3'600'000, static_cast<Number>(sums.events),
      static_cast<Number>(sums.commands), static_cast<Number>(sums.epochs),
      static_cast<Number>(sums.accepted), static_cast<Number>(sums.reads));
}

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

}  // namespace

int replaySeed(const Arguments& arguments) {
  RunResult result = runSimulation(arguments.run);
  std::printf(
      "seed %llu: trace %016llx, %lld virtual ms, %llu events, %llu commands, %llu epochs, "
      "%llu acknowledged requests\n",
      static_cast<Number>(arguments.run.seed), static_cast<Number>(result.traceHash),
      static_cast<long long>(result.simulated.millis()), static_cast<Number>(result.events),
      static_cast<Number>(result.commands), static_cast<Number>(result.epochs),
      static_cast<Number>(result.accepted));
  if (!result.violation) return 0;
  tellFailure(arguments, arguments.run.seed, SeedReport{result, false});
  return 1;
}

int sweepSeeds(const Arguments& arguments) {
  Sums sums;
  SystemClock clock;
  SteadyTime began = clock.steadyNow();
  runSeeds(arguments.run, arguments.seeds, arguments.jobs,
           [&](uint64_t seed, const SeedReport& report) {
             if (isGood(report)) {
               sums.add(seed, report.result);
             } else {
               sums.bad++;
               tellFailure(arguments, seed, report);
             }
             return true;
           });
  tell(sums, clock.steadyNow() - began);
  bool faultsMatter = arguments.run.scenario == Scenario::FAULTS && sums.good > 0;
  bool allFaults = !faultsMatter || tellFaults(sums, arguments.run.without);
  return sums.bad == 0 && allFaults ? 0 : 1;
}

int sweepForever(const Arguments& arguments) {
  constexpr uint64_t BLOCK = 400;
  for (Arguments next = arguments;; next.run.seed += BLOCK) {
    next.seeds = BLOCK;
    std::printf("seeds %llu to %llu\n", static_cast<Number>(next.run.seed),
                static_cast<Number>(next.run.seed + BLOCK - 1));
    if (int status = sweepSeeds(next)) return status;
    std::fflush(stdout);
  }
}

int findPlantedBug(const Arguments& arguments) {
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
                static_cast<Number>(arguments.seeds));
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

int compareTraces(const Arguments& arguments) {
  std::string before;
  for (uint64_t seed = arguments.run.seed; seed < arguments.run.seed + arguments.seeds; seed++) {
    std::string first = traceOf(arguments, seed);
    std::string second = traceOf(arguments, seed);
    bool proven = !first.empty() && first == second && first != before;
    std::printf("seed %llu: %s, %s%s\n", static_cast<Number>(seed), first.c_str(), second.c_str(),
                proven ? "" : "   NOT EQUAL, or equal to another seed's");
    if (!proven) return 1;
    before = first;
  }
  return 0;
}

}  // namespace muster::sim
