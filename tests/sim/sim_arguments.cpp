#include "tests/sim/sim_arguments.h"

#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace muster::sim {
namespace {

constexpr const char* USAGE =
    "  --mix N                 N seeds from seed 1 on (or --from)\n"
    "  --seed S [-v]           replays one; -v shows every fault, note and log line\n"
    "  --forever               seed after seed, until it is told to stop or one is bad\n"
    "  --outage                the coordination service is away for ten minutes, seeds as --mix\n"
    "  --determinism N         N seeds twice, in fresh processes: the traces must be equal\n"
    "  --find CONTROL          for a build with a planted bug: it must be found, and the program\n"
    "                          CONTROL, without it, must be content with that seed\n"
    "  --workers N, --seconds N (of faults, virtual), --jobs N, --from SEED,\n"
    "  --without KIND (of fault)\n"
    "MUSTER_SIM_SEEDS overrides the number of seeds of --mix.\n";

uint64_t numberFrom(const char* text) { return std::strtoull(text, nullptr, 10); }

[[noreturn]] void refuse(std::string_view word) {
  std::fprintf(stderr, "cannot read %.*s\n%s", static_cast<int>(word.size()), word.data(), USAGE);
  std::exit(2);
}

size_t faultNamed(std::string_view name) {
  for (size_t i = 0; i < FAULT_KINDS; i++) {
    if (toText(static_cast<Fault>(i)) == name) return i;
  }
  refuse(name);
}

class Parser {
 public:
  Parser(int argc, char** argv) : words_(argv + 1), end_(argv + argc) { arguments_.self = argv[0]; }

  Arguments parse() {
    while (words_ < end_) take(*words_++);
    const char* seeds = std::getenv("MUSTER_SIM_SEEDS");
    bool isMix = arguments_.mode == Mode::SWEEP && arguments_.run.scenario == Scenario::FAULTS;
    if (seeds != nullptr && isMix) arguments_.seeds = numberFrom(seeds);
    return arguments_;
  }

 private:
  using Mode = Arguments::Mode;

  const char* value(std::string_view word) {
    if (words_ == end_) refuse(word);
    return *words_++;
  }
  uint64_t number(std::string_view word) { return numberFrom(value(word)); }

  void take(std::string_view word) {
    if (word == "-v") {
      arguments_.run.verbose = true;
    } else if (word == "--workers") {
      arguments_.run.workers = number(word);
    } else if (word == "--seconds") {
      arguments_.run.chaos = 1_s * static_cast<int64_t>(number(word));
    } else if (word == "--jobs") {
      arguments_.jobs = static_cast<unsigned>(number(word));
    } else if (word == "--without") {
      arguments_.run.without |= uint64_t{1} << faultNamed(value(word));
    } else if (word == "--from") {
      arguments_.run.seed = number(word);
    } else {
      takeMode(word);
    }
  }

  void takeMode(std::string_view word) {
    if (word == "--mix" || word == "--seeds") {
      arguments_.seeds = number(word);
    } else if (word == "--seed") {
      arguments_.mode = Mode::REPLAY;
      arguments_.run.seed = number(word);
    } else if (word == "--forever") {
      arguments_.mode = Mode::FOREVER;
    } else if (word == "--outage") {
      arguments_.run.scenario = Scenario::OUTAGE;
    } else if (word == "--determinism") {
      arguments_.mode = Mode::DETERMINISM;
      arguments_.seeds = number(word);
    } else if (word == "--find") {
      arguments_.mode = Mode::FIND;
      arguments_.seeds = 2'000;
      arguments_.control = value(word);
    } else {
      refuse(word);
    }
  }

  char** words_;
  char** end_;
  Arguments arguments_;
};

}  // namespace

Arguments parseArguments(int argc, char** argv) { return Parser(argc, argv).parse(); }

std::string replayCommand(const Arguments& arguments, uint64_t seed) {
  std::string command = arguments.self + " --seed " + std::to_string(seed);
  const RunOptions& run = arguments.run;
  if (run.workers > 0) command += " --workers " + std::to_string(run.workers);
  if (run.chaos.nanos > 0) command += " --seconds " + std::to_string(run.chaos.millis() / 1000);
  for (size_t i = 0; i < FAULT_KINDS; i++) {
    bool isOut = (run.without >> i & 1) != 0;
    if (isOut) command += " --without " + std::string(toText(static_cast<Fault>(i)));
  }
  if (run.scenario == Scenario::OUTAGE) command += " --outage";
  return command;
}

}  // namespace muster::sim
