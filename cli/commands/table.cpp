#include "cli/commands/commands.h"
#include "cli/commands/doctor.h"

namespace muster::cli {
namespace {

const FlagSpec WATCH{"--watch", 'w', Takes::NOTHING, "", "go on showing what changes"};
const FlagSpec JSON_LINES{"--json-lines", 0, Takes::NOTHING, "", "one JSON object per line"};
const FlagSpec STALE{"--stale", 0, Takes::NOTHING, "",
                     "take the answer of any coordinator, leader or not"};
const FlagSpec DRY_RUN{"--dry-run", 0, Takes::NOTHING, "", "say what would be done"};
const FlagSpec REASON{"--reason", 0, Takes::VALUE, "TEXT", "why, for those who see it later"};
const FlagSpec DIRECTORY{"--dir", 0, Takes::VALUE, "D",
                         "where the cluster lies; $XDG_STATE_HOME/muster/local"};

FlagSpec number(std::string name, std::string help) {
  return {std::move(name), 0, Takes::VALUE, "N", std::move(help)};
}

std::vector<Command> localClusterCommands() {
  CommandSpec up{.path = "up", .summary = "start a whole cluster on this machine, or resume it"};
  up.flags = {DIRECTORY,
              number("--zookeepers", "ZooKeeper servers; 1"),
              number("--coordinators", "coordinators; 3"),
              number("--workers", "workers; 4"),
              number("--devices", "devices of each worker; 2"),
              {"--device-type", 0, Takes::VALUE, "TYPE",
               "what they are said to be: cpu, or a GPU to try plans and engines for GPUs; cpu"},
              {"--device-memory", 0, Takes::VALUE, "SIZE", "of each device; 4GiB"},
              {"--models", 0, Takes::VALUES, "DIR", "a root of models; may be repeated"},
              {"--restart", 0, Takes::VALUE, "ROLES",
               "what is started again when it dies; zookeeper,coordinator,gateway"},
              {"--detach", 0, Takes::NOTHING, "", "come back once everything serves"},
              {"--supervise", 0, Takes::NOTHING, "", ""}};
  CommandSpec down{.path = "down", .summary = "stop the cluster on this machine"};
  down.flags = {DIRECTORY, {"--keep-ranks", 0, Takes::NOTHING, "", "leave the ranks running"}};
  return {{up, runUpCommand}, {down, runDownCommand}};
}

std::vector<Command> fileCommands() {
  return {
      {{"validate", "check a deployment file without a cluster", {{"FILE"}}}, runValidate},
      {{"explain", "what a field or an error code means", {{"TOPIC"}}}, runExplain},
      {{"plan",
        "what apply would do, and where it would run",
        {{"FILE"}},
        {{"--exit-code", 0, Takes::NOTHING, "", "exit 10 when there are changes"},
         {"--show-commands", 0, Takes::NOTHING, "", "what each rank will be started with"}}},
       runPlan},
      {{"apply",
        "carry out a file, - (stdin) or a plan",
        {{"FILE"}},
        {{"--wait", 0, Takes::NOTHING, "", "show progress until it serves"},
         number("--if-revision", "only when the deployment is at this revision"),
         DRY_RUN}},
       runApply},
      {{"delete", "stop and remove a deployment", {{"REF"}}, {DRY_RUN}}, runDelete},
      {{"scale",
        "change the number of replicas",
        {{"REF"}},
        {number("--replicas", "how many; required"), DRY_RUN}},
       runScale},
  };
}

std::vector<Command> readingCommands() {
  return {
      {{"ps", "deployments and how they are", {}, {WATCH, JSON_LINES, STALE}}, runPs},
      {{"get",
        "objects of one kind",
        {{"KIND", true, {"nodes", "gpus", "deployments", "replicas", "ranks", "events", "models"}},
         {"REF", false}},
        {WATCH, JSON_LINES, STALE}},
       runGet},
      {{"describe", "everything about a deployment, node or GPU", {{"REF"}}, {STALE}}, runDescribe},
      {{"why", "why a deployment is not Ready, and what would help", {{"REF"}}, {STALE}}, runWhy},
      {{"events",
        "what happened",
        {},
        {{"--for", 0, Takes::VALUE, "REF", "only of this deployment or node"},
         WATCH,
         JSON_LINES,
         STALE}},
       runEvents},
      {{"logs",
        "last lines of a deployment's ranks",
        {{"REF"}},
        {{"--first-error", 0, Takes::NOTHING, "", "only the error that came first"},
         number("--lines", "of each rank; 100")}},
       runLogs},
  };
}

std::vector<Command> servingCommands() {
  const FlagSpec GATEWAY{"--gateway", 0, Takes::VALUE, "URL",
                         "http://HOST:PORT; else what the context names"};
  const FlagSpec TOKENS = number("--max-tokens", "of one answer");
  return {
      {{"chat",
        "talk to a deployment through the gateway",
        {{"REF"}, {"TEXT", false}},
        {GATEWAY,
         TOKENS,
         {"--temperature", 0, Takes::VALUE, "T", "0 says the likeliest, 2 the wildest; 1"}}},
       runChat},
      {{"bench",
        "put a load on a deployment, and say what its clients felt",
        {{"REF"}},
        {GATEWAY,
         number("--requests", "in all; 100"),
         number("--concurrency", "clients, each with one request at a time; 4"),
         number("--max-tokens", "of one answer; 64"),
         {"--prompt", 0, Takes::VALUE, "TEXT", "what each request asks"}}},
       runBench},
  };
}

std::vector<Command> adminCommands() {
  return {
      {{"cordon", "give a node nothing new", {{"NODE"}}, {REASON, DRY_RUN}}, runCordon},
      {{"uncordon", "use a node again", {{"NODE"}}, {DRY_RUN}}, runUncordon},
      {{"drain",
        "move everything off a node",
        {{"NODE"}},
        {REASON,
         {"--force", 0, Takes::NOTHING, "", "also what takes a deployment below its minimum"},
         DRY_RUN}},
       runDrain},
      {{"doctor",
        "what is wrong with the cluster and this machine, and what repairs it",
        {{"NODE", false}}},
       runDoctor},
      {{"admin status", "leader and coordinators"}, runAdminStatus},
      {{"admin certs",
        "how long the certificates of this machine, or of a folder, are good for",
        {{"FOLDER", false}}},
       runAdminCerts},
      {{"admin step-down",
        "hand the leadership over",
        {},
        {{"--to", 0, Takes::VALUE, "COORDINATOR", "the successor; else the next in line"}}},
       runStepDown},
      {{"admin backup",
        "the cluster's state, events and audit as one checked file",
        {{"FILE"}},
        {{"--verify", 0, Takes::NOTHING, "", "check a backup; needs no cluster"},
         {"--force", 0, Takes::NOTHING, "", "replace a file of that name"},
         {"--stale", 0, Takes::NOTHING, "", "of any coordinator's state, leader or not"}}},
       runAdminBackup},
      {{"admin restore",
        "begin a new history from a backup, on a stopped coordinator's machine",
        {{"FILE", false}},
        {{"--from-standby", 0, Takes::NOTHING, "", "from this coordinator's own store"},
         {"--config", 0, Takes::VALUE, "FILE", "of the coordinator; /etc/muster/coordinator.toml"},
         {"--yes-cluster", 0, Takes::VALUE, "NAME", "the cluster's name, for scripts"}}},
       runAdminRestore},
      {{"admin history",
        "objects as they were",
        {{"KIND", false, {"deployments", "nodes", "gpus", "replicas", "ranks", "models"}},
         {"REF", false}},
        {{"--at", 0, Takes::VALUE, "TIME|INDEX", "which moment; required"}}},
       runAdminHistory},
      {{"context ls", "known clusters"}, runContextList},
      {{"context use", "choose the current cluster", {{"NAME"}}}, runContextUse},
      {{"context add", "make a context file known by a name", {{"NAME"}, {"FILE"}}}, runContextAdd},
      {{"completion", "completion for a shell", {{"SHELL", true, {"bash", "zsh", "fish"}}}},
       runCompletion},
      {{"version", "version of this command"}, runVersion},
  };
}

std::vector<Command> makeAll() {
  std::vector<Command> all;
  for (auto part : {localClusterCommands(), fileCommands(), readingCommands(), servingCommands(),
                    adminCommands()}) {
    all.insert(all.end(), part.begin(), part.end());
  }
  return all;
}

}  // namespace

const std::vector<Command>& allCommands() {
  static const std::vector<Command> ALL = makeAll();
  return ALL;
}

std::vector<CommandSpec> allCommandSpecs() {
  std::vector<CommandSpec> specs;
  for (const auto& command : allCommands()) specs.push_back(command.spec);
  return specs;
}

}  // namespace muster::cli
