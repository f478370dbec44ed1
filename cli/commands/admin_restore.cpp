// admin restore: asks for the cluster's name and hands the work to muster-coordinator, for only
// coordinators reach ZooKeeper.
#include "cli/commands/commands.h"
#include "cli/exit_code.h"
#include "cli/local_cluster/children.h"
#include "protocol/backup_reader.h"

#include <cerrno>
#include <filesystem>
#include <sys/wait.h>
#include <unistd.h>

namespace muster::cli {
namespace {

constexpr const char* CONFIG = "/etc/muster/coordinator.toml";

// The program of that name beside this one.
std::string programBeside(const std::string& name) {
  return (std::filesystem::path(ownProgram()).parent_path() / name).string();
}

// Its outputs are ours. Gives its exit code.
int runToItsEnd(std::vector<std::string> words) {
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  pid_t pid = fork();
  if (pid == 0) {
    execv(argv[0], argv.data());
    _exit(127);
  }
  if (pid < 0) return EXIT_INTERNAL;
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILED;
}

// The name that was typed or given; nothing when nobody can be asked.
std::optional<std::string> confirmedName(Invocation& invocation, const std::string& what) {
  if (invocation.has("--yes-cluster")) return invocation.arguments.value("--yes-cluster");
  return invocation.terminal.askLine(what +
                                         ": everything later is lost, and a new history "
                                         "begins.\nAll coordinators must be stopped.",
                                     "type the cluster's name to go on");
}

}  // namespace

Result<int> runAdminRestore(Invocation& invocation) {
  std::string file = invocation.arguments.word("FILE");
  bool fromStandby = invocation.has("--from-standby");
  if (file.empty() == !fromStandby) {
    return invocation.terminal.failUsage("muster admin restore needs FILE or --from-standby",
                                         "muster help admin restore");
  }
  std::string what = "restoring the cluster from this coordinator's store";
  std::string cluster;
  if (!fromStandby) {
    BackupReader reader;
    auto end = readBackupFile(file, reader);
    if (!end) return end.refusal();
    cluster = reader.header()->cluster.value;
    what = "restoring cluster " + cluster + " as of index " +
           std::to_string(reader.header()->position.index.value) + ", " +
           toRfc3339(reader.header()->madeAt);
  }
  auto typed = confirmedName(invocation, what);
  if (!typed) {
    return invocation.terminal.failUsage(
        "a restore asks for the cluster's name, and nobody can be asked here",
        "muster admin restore --yes-cluster NAME");
  }
  if (!fromStandby && *typed != cluster) {
    return invocation.terminal.failUsage(
        "\"" + *typed + "\" is not the name of the backup's cluster; nothing was changed",
        "muster admin backup --verify " + file);
  }
  std::string config = invocation.arguments.value("--config");
  std::vector<std::string> words{programBeside("muster-coordinator"), "--config",
                                 config.empty() ? CONFIG : config, "--yes-cluster", *typed};
  if (fromStandby) {
    words.emplace_back("--restore-from-store");
  } else {
    words.insert(words.end(), {"--restore", file});
  }
  return runToItsEnd(std::move(words));
}

}  // namespace muster::cli
