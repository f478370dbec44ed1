#include "gateway/config.h"

#include "protocol/names.h"

#include <algorithm>
#include <string>
#include <utility>

namespace muster::gateway {
namespace {

ConfigKey number(std::string name, std::string fallback, int64_t least, int64_t most,
                 std::string doc) {
  ConfigKey key =
      configKey(std::move(name), ConfigType::INTEGER, std::move(fallback), std::move(doc));
  key.least = least;
  key.most = most;
  return key;
}

ConfigSchema makeSchema() {
  using enum ConfigType;
  ConfigSchema schema{"gateway.toml", "What a `muster-gateway` reads.", {}};
  schema.keys = {
      configKey("cluster", STRING, std::nullopt, "Name of the cluster."),
      configKey("id", STRING, std::nullopt, "Name of this gateway; its certificate's name."),
      configKey("coordinators", STRING_LIST, std::nullopt,
                "HTTP addresses of all coordinators, as `HOST:PORT` (their port 7400)."),
      configKey("data_dir", STRING, "/var/lib/muster/gateway",
                "Folder of the last view, from which the gateway serves when it starts while no "
                "coordinator answers."),
      configKey("http.listen", STRING, "0.0.0.0:7402",
                "Where clients ask; also `/metrics`, `/healthz` and `/readyz`."),
      number(
          "http.threads", "1", 1, 64,
          "Threads that serve clients. Each has its own connections and counts its own requests."),
      number("http.connections", "16384", 1, 1'000'000,
             "Clients of one thread at a time; more are answered 503. A stream takes two "
             "descriptors: see `ulimit -n`."),
      configKey("http.body_max", BYTES, "32MiB", "Largest request; above it 413."),
      configKey("deadlines.connect", DURATION, "2s", "To reach a replica, TLS included."),
      configKey("deadlines.first_byte", DURATION, "5m", "From the sent request to its answer."),
      configKey("deadlines.between_bytes", DURATION, "2m", "Longest pause within an answer."),
      configKey("deadlines.request", DURATION, "60m", "For a whole request."),
      configKey("deadlines.drain", DURATION, "2m",
                "For running requests, when the gateway is stopped."),
      number("outlier.failures", "3", 1, 1000,
             "Failures in a row after which a replica is left out."),
      configKey("outlier.ejection", DURATION, "1s",
                "For how long at first; it doubles with each ejection in a row."),
      configKey("outlier.ejection_max", DURATION, "1m", "For how long at most."),
      configChoice(
          "balance.policy", "least_outstanding", {BALANCE_TEXTS.begin(), BALANCE_TEXTS.end()},
          "Which replica takes a request of a deployment that names no balance itself: the "
          "one with the fewest under way, by turns, by chance, by chance in proportion to "
          "the devices, or by the beginning of the prompt, so that its cache is found "
          "again."),
      configKey("balance.prefix_bytes", BYTES, "1KiB",
                "How much of a prompt counts as its beginning."),
      configChoice("backends.plain", "loopback", {"loopback", "anywhere"},
                   "Where replicas may be asked without TLS. Anywhere: prompts go over the network "
                   "in the clear."),
      configKey("tls.ca", STRING, "/etc/muster/pki/ca.crt", "Whom to trust."),
      configKey("tls.certificate", STRING, "/etc/muster/pki/gateway.crt", "Ours: `gateway/ID`."),
      configKey("tls.key", STRING, "/etc/muster/pki/gateway.key", "Its private key."),
      configChoice("log.format", "text", {"text", "json"}, "Of the lines on stderr."),
      configChoice("log.level", "info", {"debug", "info", "warn", "error"},
                   "The least that is logged."),
  };
  return schema;
}

bool isAddress(const std::string& text) {
  size_t colon = text.rfind(':');
  if (colon == std::string::npos || colon == 0) return false;
  std::string port = text.substr(colon + 1);
  return !port.empty() && port.size() <= 5 &&
         std::ranges::all_of(port, [](char c) { return c >= '0' && c <= '9'; });
}

Refusal wrong(const std::string& key, const std::string& value, const std::string& wanted) {
  return {RefusalCode::INVALID_VALUE, key + " is \"" + value + "\", it must be " + wanted};
}

Result<Done> checkSettings(const Settings& settings) {
  if (auto named = checkName(settings.cluster.value, NameKind::CLUSTER); !named) return named;
  if (auto named = checkName(settings.id, NameKind::COORDINATOR); !named) return named;
  if (settings.coordinators.empty()) return wrong("coordinators", "[]", "at least one address");
  for (const auto& address : settings.coordinators) {
    if (!isAddress(address)) return wrong("coordinators", address, "HOST:PORT");
  }
  if (!isAddress(settings.listen)) return wrong("http.listen", settings.listen, "HOST:PORT");
  if (settings.outlier.ejection > settings.outlier.ejectionMax) {
    return wrong("outlier.ejection", toText(settings.outlier.ejection),
                 "at most outlier.ejection_max");
  }
  return Done{};
}

// The port waits longer than the gateway itself, which knows better what is late.
HttpLimits limitsOf(const ConfigTable& table, const Deadlines& deadlines) {
  HttpLimits limits;
  limits.body = table.bytes("http.body_max");
  limits.connections = static_cast<uint32_t>(table.integer("http.connections"));
  limits.handlerDeadline = deadlines.request + 10_s;
  return limits;
}

}  // namespace

const ConfigSchema& gatewaySchema() {
  static const ConfigSchema SCHEMA = makeSchema();
  return SCHEMA;
}

Result<Settings> gatewaySettings(const ConfigTable& table) {
  Settings out;
  out.cluster = {table.text("cluster")};
  out.id = table.text("id");
  out.coordinators = table.list("coordinators");
  out.dataDirectory = table.text("data_dir");
  out.listen = table.text("http.listen");
  out.threads = static_cast<uint32_t>(table.integer("http.threads"));
  out.deadlines = {table.duration("deadlines.connect"), table.duration("deadlines.first_byte"),
                   table.duration("deadlines.between_bytes"), table.duration("deadlines.request"),
                   table.duration("deadlines.drain")};
  out.limits = limitsOf(table, out.deadlines);
  out.outlier = {static_cast<uint32_t>(table.integer("outlier.failures")),
                 table.duration("outlier.ejection"), table.duration("outlier.ejection_max")};
  out.balance = *parseBalance(table.text("balance.policy"));
  out.prefix.bytes = table.bytes("balance.prefix_bytes").count;
  bool anywhere = table.text("backends.plain") == "anywhere";
  out.plain = anywhere ? PlainBackends::ANYWHERE : PlainBackends::LOOPBACK;
  out.tls = {table.text("tls.ca"), table.text("tls.certificate"), table.text("tls.key")};
  out.logLevel = *parseLogLevel(table.text("log.level"));
  out.logFormat = *parseLogFormat(table.text("log.format"));
  if (auto checked = checkSettings(out); !checked) return checked.refusal();
  return out;
}

}  // namespace muster::gateway
