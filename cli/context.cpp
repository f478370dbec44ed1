#include "cli/context.h"

#include "base/config.h"
#include "base/did_you_mean.h"
#include "base/files.h"
#include "protocol/names.h"
#include "protocol/tree_text.h"

#include <algorithm>
#include <filesystem>

namespace muster::cli {
namespace {

namespace fs = std::filesystem;

constexpr Bytes CONFIG_SIZE_MAX = 1_MiB;
constexpr mode_t CONFIG_MODE = 0600;
constexpr const char* SYSTEM_CONFIG = "/etc/muster/cli.toml";

ConfigKey text(std::string name, std::string doc) {
  return {.name = std::move(name), .doc = std::move(doc)};
}

ConfigSchema contextSchema() {
  return {.file = "context.toml",
          .intro = "How to reach one cluster, and as whom.",
          .keys = {text("cluster", "Name of the cluster; the coordinators' certificates carry it."),
                   {.name = "coordinators",
                    .type = ConfigType::STRING_LIST,
                    .doc = "RPC addresses of the coordinators, host:port."},
                   text("ca", "PEM file with the cluster's authority."),
                   text("certificate", "PEM file with your certificate."),
                   text("key", "PEM file with your key."),
                   {.name = "gateway",
                    .fallback = "",
                    .doc = "URL of a gateway, for muster chat and muster bench."}}};
}

ConfigSchema userSchema() {
  return {.file = "config.toml",
          .intro = "The user's contexts.",
          .keys = {{.name = "current", .fallback = "", .doc = "Name of the current context."},
                   {.name = "contexts",
                    .type = ConfigType::TABLE_LIST,
                    .doc = "The contexts that can be used by name.",
                    .columns = {text("name", "What --context calls it."),
                                text("file", "Path of the context file.")}}}};
}

std::string resolvedAgainst(const fs::path& folder, const std::string& path) {
  return (folder / path).lexically_normal().string();
}

std::string absolute(const std::string& path) {
  return fs::absolute(path).lexically_normal().string();
}

// Relative when it lies in or below the folder.
std::string writtenFrom(const fs::path& folder, const std::string& path) {
  fs::path relative = fs::path(absolute(path)).lexically_relative(folder);
  bool below = !relative.empty() && *relative.begin() != "..";
  return below ? relative.string() : absolute(path);
}

Refusal atFile(const std::string& path, Refusal refusal) {
  if (refusal.errors.empty()) refusal.text = path + ": " + refusal.text;
  for (auto& error : refusal.errors) error.message += " in " + path;
  return refusal;
}

Result<Done> checkContext(const ClusterContext& context) {
  auto name = checkName(context.cluster.value, NameKind::CLUSTER);
  if (!name) return name;
  if (context.coordinators.empty()) {
    return Refusal{RefusalCode::INVALID_VALUE,
                   "coordinators is empty, wanted at least one host:port"};
  }
  for (const auto& address : context.coordinators) {
    size_t colon = address.rfind(':');
    if (colon == std::string::npos || colon == 0 || colon + 1 == address.size()) {
      return Refusal{RefusalCode::INVALID_VALUE,
                     "coordinators holds \"" + address + "\", wanted host:port"};
    }
  }
  return Done{};
}

Result<UserContexts> parseUserContexts(const std::string& path, const std::string& content) {
  auto table = readConfig(userSchema(), {.files = {{path, content}}});
  if (!table) return atFile(path, table.refusal());
  UserContexts result{.current = table->text("current")};
  for (const auto& row : table->tables("contexts")) {
    result.contexts.push_back(
        {row.text("name"), resolvedAgainst(fs::path(path).parent_path(), row.text("file"))});
  }
  return result;
}

Result<UserContexts> readOrEmpty(const std::string& path) {
  auto content = readFile(path, CONFIG_SIZE_MAX);
  if (content) return parseUserContexts(path, *content);
  if (content.refusal().code == RefusalCode::NOT_FOUND) return UserContexts{};
  return content.refusal();
}

Result<Done> writeUserContexts(const UserContexts& contexts, const Environment& environment) {
  std::string path = userConfigPath(environment);
  fs::create_directories(fs::path(path).parent_path());
  std::string content;
  if (!contexts.current.empty()) content += "current = " + quoteText(contexts.current) + "\n";
  for (const auto& context : contexts.contexts) {
    content += "\n[[contexts]]\nname = " + quoteText(context.name) +
               "\nfile = " + quoteText(context.file) + "\n";
  }
  return writeFileAtomically(path, content, CONFIG_MODE);
}

void put(UserContexts& contexts, NamedContext added) {
  added.file = absolute(added.file);
  auto same = std::ranges::find(contexts.contexts, added.name, &NamedContext::name);
  if (same != contexts.contexts.end()) {
    same->file = added.file;
  } else {
    contexts.contexts.push_back(std::move(added));
  }
}

Refusal unknownContext(const std::string& name, const UserContexts& contexts) {
  std::vector<std::string> names;
  for (const auto& context : contexts.contexts) names.push_back(context.name);
  std::string text = "there is no context \"" + name + "\"";
  std::string guess = didYouMean(name, names);
  if (!guess.empty()) text += ": " + guess;
  return {RefusalCode::NOT_FOUND, text, {}, {"muster context ls", "muster context add NAME FILE"}};
}

Result<ChosenContext> open(std::string name, std::string file) {
  auto cluster = readContextFile(file);
  if (!cluster) return cluster.refusal();
  return ChosenContext{std::move(name), std::move(file), std::move(*cluster)};
}

bool looksLikeFile(const std::string& choice) {
  return choice.find('/') != std::string::npos || choice.ends_with(".toml");
}

std::string homeFolder(const Environment& environment, const std::string& variable,
                       const std::string& below) {
  std::string value = lookUp(environment, variable);
  // The specification of these variables has relative paths ignored.
  if (!value.empty() && value[0] == '/') return value + "/muster";
  std::string home = lookUp(environment, "HOME");
  return (home.empty() ? "/root" : home) + "/" + below + "/muster";
}

}  // namespace

Result<ClusterContext> readContextFile(const std::string& path) {
  auto content = readFile(path, CONFIG_SIZE_MAX);
  if (!content) {
    if (content.refusal().code != RefusalCode::NOT_FOUND) return content.refusal();
    return Refusal{RefusalCode::NOT_FOUND,
                   "there is no context file " + path,
                   {},
                   {"muster context ls", "muster up makes a local cluster"}};
  }
  auto table = readConfig(contextSchema(), {.files = {{path, *content}}});
  if (!table) return atFile(path, table.refusal());
  fs::path folder = fs::path(absolute(path)).parent_path();
  ClusterContext context{.cluster = ClusterName{table->text("cluster")},
                         .coordinators = table->list("coordinators"),
                         .tls = {.ca = resolvedAgainst(folder, table->text("ca")),
                                 .certificate = resolvedAgainst(folder, table->text("certificate")),
                                 .key = resolvedAgainst(folder, table->text("key"))},
                         .gateway = table->text("gateway")};
  auto checked = checkContext(context);
  if (!checked) return atFile(path, checked.refusal());
  return context;
}

Result<Done> writeContextFile(const std::string& path, const ClusterContext& context) {
  auto checked = checkContext(context);
  if (!checked) return checked;
  fs::path folder = fs::path(absolute(path)).parent_path();
  std::string list;
  for (const auto& address : context.coordinators) {
    list += (list.empty() ? "" : ", ") + quoteText(address);
  }
  std::string content =
      "cluster = " + quoteText(context.cluster.value) + "\ncoordinators = [" + list +
      "]\nca = " + quoteText(writtenFrom(folder, context.tls.ca)) +
      "\ncertificate = " + quoteText(writtenFrom(folder, context.tls.certificate)) +
      "\nkey = " + quoteText(writtenFrom(folder, context.tls.key)) + "\n";
  if (!context.gateway.empty()) content += "gateway = " + quoteText(context.gateway) + "\n";
  return writeFileAtomically(path, content, CONFIG_MODE);
}

std::string userConfigPath(const Environment& environment) {
  return homeFolder(environment, "XDG_CONFIG_HOME", ".config") + "/config.toml";
}

std::string userStateFolder(const Environment& environment) {
  return homeFolder(environment, "XDG_STATE_HOME", ".local/state");
}

Result<UserContexts> readUserContexts(const Environment& environment) {
  auto own = readOrEmpty(userConfigPath(environment));
  if (!own || !own->contexts.empty()) return own;
  return readOrEmpty(SYSTEM_CONFIG);
}

Result<Done> useContext(const std::string& name, const Environment& environment) {
  auto contexts = readUserContexts(environment);
  if (!contexts) return contexts.refusal();
  if (std::ranges::find(contexts->contexts, name, &NamedContext::name) ==
      contexts->contexts.end()) {
    return unknownContext(name, *contexts);
  }
  contexts->current = name;
  return writeUserContexts(*contexts, environment);
}

Result<Done> addContext(const NamedContext& context, const Environment& environment) {
  auto readable = readContextFile(context.file);
  if (!readable) return readable.refusal();
  auto contexts = readUserContexts(environment);
  if (!contexts) return contexts.refusal();
  put(*contexts, context);
  return writeUserContexts(*contexts, environment);
}

Result<bool> setCurrentContextIfNone(const NamedContext& context, const Environment& environment) {
  auto contexts = readUserContexts(environment);
  if (!contexts) return contexts.refusal();
  auto current = std::ranges::find(contexts->contexts, contexts->current, &NamedContext::name);
  if (current != contexts->contexts.end()) return current->file == absolute(context.file);
  put(*contexts, context);
  contexts->current = context.name;
  auto written = writeUserContexts(*contexts, environment);
  if (!written) return written.refusal();
  return true;
}

Result<ChosenContext> chooseContext(const std::string& flag, const Environment& environment) {
  std::string choice = flag.empty() ? lookUp(environment, "MUSTER_CONTEXT") : flag;
  if (looksLikeFile(choice)) return open("", absolute(choice));
  auto contexts = readUserContexts(environment);
  if (!contexts) return contexts.refusal();
  if (choice.empty()) choice = contexts->current;
  if (choice.empty()) {
    return Refusal{RefusalCode::NOT_FOUND,
                   "no context is chosen",
                   {},
                   {"muster context use NAME, --context FILE, or muster up for a local cluster"}};
  }
  auto found = std::ranges::find(contexts->contexts, choice, &NamedContext::name);
  if (found == contexts->contexts.end()) return unknownContext(choice, *contexts);
  return open(found->name, found->file);
}

}  // namespace muster::cli
