// Which cluster a command speaks to: context files, and the user's list of them.
#pragma once

#include "base/ids.h"
#include "base/result.h"
#include "base/tls_transport.h"
#include "cli/terminal.h"

#include <string>
#include <vector>

namespace muster::cli {

// A context file (TOML): cluster, coordinators = ["host:port", ...], ca, certificate, key, and
// perhaps gateway.
struct ClusterContext {
  ClusterName cluster;
  std::vector<std::string> coordinators;
  TlsFiles tls;              // relative paths in the file are resolved against its folder
  std::string gateway = {};  // "http://127.0.0.1:7402", for chat and bench; empty: not known
};

// Refuses NOT_FOUND, and what base/config.h refuses, with the place in the file.
Result<ClusterContext> readContextFile(const std::string& path);
// Replaces the file. Paths below its own folder are written relative to it, so that the folder can
// be moved.
Result<Done> writeContextFile(const std::string& path, const ClusterContext& context);

// $XDG_CONFIG_HOME/muster/config.toml and $XDG_STATE_HOME/muster, or their defaults below HOME.
std::string userConfigPath(const Environment& environment);
std::string userStateFolder(const Environment& environment);

// An entry of the user's list.
struct NamedContext {
  std::string name;
  std::string file;  // absolute
};

struct UserContexts {
  std::string current;  // empty: none
  std::vector<NamedContext> contexts;
};

// Of the user's file, else of /etc/muster/cli.toml; empty when there is neither.
Result<UserContexts> readUserContexts(const Environment& environment);

// Both change the user's file only.
Result<Done> useContext(const std::string& name, const Environment& environment);
// Replaces an entry of the same name. The context file must be readable as one.
Result<Done> addContext(const NamedContext& context, const Environment& environment);
// Adds it and makes it current if there is no current one. Gives whether the current context is
// this file now.
Result<bool> setCurrentContextIfNone(const NamedContext& context, const Environment& environment);

struct ChosenContext {
  std::string name;  // empty: a file was named
  std::string file;
  ClusterContext cluster;
};

// By `--context NAME|FILE` (empty: not given), MUSTER_CONTEXT, then the current one. What holds a
// "/" or ends with ".toml" is a file. Refuses NOT_FOUND when no context is chosen or the chosen one
// is not there.
Result<ChosenContext> chooseContext(const std::string& flag, const Environment& environment);

}  // namespace muster::cli
