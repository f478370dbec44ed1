#include "cli/text.h"
#include "cli/views.h"

#include <nlohmann/json.hpp>

#include <cmath>

namespace muster::cli {
namespace {

using Row = std::vector<Cell>;

Cell phaseCell(const Json& object, const std::string& pointer) {
  std::string phase = orDash(textAt(object, pointer));
  return {phase, paintOf(phase)};
}

std::string gpusOf(const Json& deployment) {
  std::string count = textAt(deployment, "/status/gpus/count");
  std::string types = textAt(deployment, "/status/gpus/types");
  if (count.empty() || count == "0") return "-";
  return types.empty() ? count : count + " " + types;
}

std::string readyOf(const Json& deployment) {
  return std::to_string(numberAt(deployment, "/status/replicas/ready")) + "/" +
         std::to_string(numberAt(deployment, "/status/replicas/desired"));
}

std::string replicaName(const Json& object, const ViewOptions& options) {
  return deploymentOf(object, options) + "/" + textAt(object, "/replica");
}

std::string sizeOf(uint64_t bytes) { return bytes == 0 ? "-" : toShortText(Bytes{bytes}); }

std::string planOf(const Json& replica) {
  if (textAt(replica, "/plan/tp").empty()) return "-";
  std::string text = "tp" + textAt(replica, "/plan/tp") + " pp" + textAt(replica, "/plan/pp");
  uint64_t ep = numberAt(replica, "/plan/ep");
  return ep > 1 ? text + " ep" + std::to_string(ep) : text;
}

// Renders items by a header and a function that makes one row; wide columns come last but for the
// note.
template <class MakeRow>
std::string render(std::vector<std::string> header, const Json& items, const ViewOptions& options,
                   MakeRow makeRow) {
  Table table(std::move(header));
  for (const auto& item : items) table.add(makeRow(item));
  return table.toText(options.paint);
}

std::vector<std::string> headerOf(std::vector<std::string> narrow, std::vector<std::string> wide,
                                  const ViewOptions& options) {
  if (options.width == Width::WIDE) narrow.insert(narrow.end(), wide.begin(), wide.end());
  narrow.emplace_back("NOTE");
  return narrow;
}

// A table's note says enough to recognise the trouble; `why` and the wide form say it all.
Row rowOf(Row narrow, Row wide, std::string note, const ViewOptions& options) {
  constexpr size_t NOTE_COLUMNS = 80;
  bool isWide = options.width == Width::WIDE;
  if (isWide) narrow.insert(narrow.end(), wide.begin(), wide.end());
  narrow.emplace_back(isWide ? std::move(note) : cutTo(note, NOTE_COLUMNS));
  return narrow;
}

std::string labelsOf(const Json& node) {
  std::string text;
  if (!node.contains("labels")) return "-";
  for (const auto& [key, value] : node.at("labels").items()) {
    text += (text.empty() ? "" : ",") + key + "=" + textAt(value, "");
  }
  return orDash(text);
}

// Who cordoned it and why is what an administrator wants to know first.
std::string nodeNote(const Json& node, const ViewOptions& options) {
  std::string by = textAt(node, "/status/cordon/by");
  if (by.empty()) return noteOf(node, "/status");
  std::string reason = textAt(node, "/status/cordon/reason");
  std::string text = "cordoned by " + by + " " + agoAt(node, "/status/cordon/since", options.now);
  return reason.empty() ? text : text + ": \"" + reason + "\"";
}

std::string viewNodes(const Json& items, const ViewOptions& options) {
  auto header = headerOf({"NODE", "PHASE", "GPUS", "BUSY", "FREE", "RACK", "SINCE"},
                         {"ADDRESS", "LABELS", "VERSION", "ATTACHED"}, options);
  return render(header, items, options, [&](const Json& node) {
    return rowOf({orDash(textAt(node, "/name")), phaseCell(node, "/status/phase"),
                  orDash(textAt(node, "/gpus/total")), orDash(textAt(node, "/gpus/busy")),
                  orDash(textAt(node, "/gpus/free")), orDash(textAt(node, "/rack")),
                  ageAt(node, "/status/since", options.now)},
                 {orDash(textAt(node, "/address")), labelsOf(node),
                  orDash(textAt(node, "/version")), orDash(textAt(node, "/status/attached"))},
                 nodeNote(node, options), options);
  });
}

std::string holdersOf(const Json& gpu, const ViewOptions& options) {
  std::string text;
  for (const auto& holder : listAt(gpu, "/holders")) {
    text +=
        (text.empty() ? "" : " ") + replicaName(holder, options) + "/" + textAt(holder, "/rank");
    if (textAt(holder, "/stopping") == "true") text += " (stopping)";
  }
  return orDash(text);
}

// Who is on it, and why nobody else may be.
std::string noteOfGpu(const Json& gpu, const ViewOptions& options) {
  std::string holders = holdersOf(gpu, options);
  std::string message = textAt(gpu, "/message");
  if (message.empty()) return holders;
  return holders == "-" ? message : holders + "; " + message;
}

std::string viewGpus(const Json& items, const ViewOptions& options) {
  auto header = std::vector<std::string>{"GPU", "TYPE", "PHASE", "MEMORY"};
  if (options.width == Width::WIDE) header.insert(header.end(), {"ISLAND", "UUID"});
  header.emplace_back("RANKS");
  return render(header, items, options, [&](const Json& gpu) {
    Row row{orDash(textAt(gpu, "/name")), orDash(textAt(gpu, "/type")), phaseCell(gpu, "/phase"),
            shareOf(numberAt(gpu, "/reserved_bytes"), numberAt(gpu, "/memory_bytes"))};
    if (options.width == Width::WIDE) {
      row.insert(row.end(), {orDash(textAt(gpu, "/island")), orDash(textAt(gpu, "/uuid"))});
    }
    row.emplace_back(noteOfGpu(gpu, options));
    return row;
  });
}

std::string viewPlainDeployments(const Json& items, const ViewOptions& options) {
  auto header = headerOf({"DEPLOYMENT", "PHASE", "READY", "GPUS", "REVISION", "AGE"},
                         {"MODEL", "UID", "NEXT"}, options);
  return render(header, items, options, [&](const Json& deployment) {
    std::string model = textAt(deployment, "/spec/model/source");
    if (model.empty()) model = textAt(deployment, "/spec/model");
    return rowOf({deploymentOf(deployment, options), phaseCell(deployment, "/status/phase"),
                  readyOf(deployment), gpusOf(deployment), orDash(textAt(deployment, "/revision")),
                  ageAt(deployment, "/created_at", options.now)},
                 {orDash(model), orDash(textAt(deployment, "/uid")),
                  orDash(textAt(deployment, "/status/next"))},
                 noteOf(deployment, "/status"), options);
  });
}

std::string viewReplicas(const Json& items, const ViewOptions& options) {
  auto header = headerOf({"REPLICA", "PHASE", "PLAN", "RANKS", "NODES", "SINCE"},
                         {"GENERATION", "REVISION", "NEXT"}, options);
  return render(header, items, options, [&](const Json& replica) {
    return rowOf({replicaName(replica, options), phaseCell(replica, "/phase"), planOf(replica),
                  orDash(textAt(replica, "/ranks")), orDash(textAt(replica, "/nodes")),
                  ageAt(replica, "/since", options.now)},
                 {orDash(textAt(replica, "/generation")), orDash(textAt(replica, "/revision")),
                  orDash(textAt(replica, "/next"))},
                 noteOf(replica, ""), options);
  });
}

std::string viewRanks(const Json& items, const ViewOptions& options) {
  auto header = headerOf({"RANK", "PHASE", "NODE", "GPUS", "PID", "LOADED", "SINCE"},
                         {"GENERATION", "SLICES", "RENDEZVOUS"}, options);
  return render(header, items, options, [&](const Json& rank) {
    std::string pid = textAt(rank, "/pid");
    return rowOf(
        {replicaName(rank, options) + "/" + textAt(rank, "/rank"), phaseCell(rank, "/phase"),
         orDash(textAt(rank, "/node")), orDash(rangesText(listAt(rank, "/devices"))),
         pid == "0" ? "-" : orDash(pid), sizeOf(numberAt(rank, "/bytes_loaded")),
         ageAt(rank, "/since", options.now)},
        {orDash(textAt(rank, "/generation")), std::to_string(listAt(rank, "/slices").size()),
         orDash(textAt(rank, "/rendezvous"))},
        noteOf(rank, ""), options);
  });
}

std::string viewModels(const Json& items, const ViewOptions& options) {
  std::vector<std::string> header{"MODEL", "ARCHITECTURE", "PARAMETERS", "SIZE", "INSPECTED BY"};
  if (options.width == Width::WIDE) header.insert(header.end(), {"TENSORS", "FILES", "DIGEST"});
  return render(header, items, options, [&](const Json& model) {
    Row row{orDash(textAt(model, "/source")), orDash(textAt(model, "/architecture")),
            orDash(textAt(model, "/parameters")), sizeOf(numberAt(model, "/bytes")),
            orDash(textAt(model, "/inspected_by"))};
    if (options.width == Width::WIDE) {
      row.insert(row.end(), {orDash(textAt(model, "/tensors")), orDash(textAt(model, "/files")),
                             orDash(textAt(model, "/digest"))});
    }
    return row;
  });
}

// The time of day; with the day when it is not within the last 24 hours.
std::string eventTime(const Json& event, WallTime now) {
  std::string text = textAt(event, "/time");
  auto time = parseRfc3339(text);
  if (!time) return orDash(text);
  constexpr int64_t DAY_MS = 86'400'000;
  std::string clock = text.substr(11, 8);
  return now.unixMs - time->unixMs < DAY_MS ? clock : text.substr(0, 10) + " " + clock;
}

}  // namespace

std::string noteOf(const Json& object, const std::string& at) {
  std::string reason = textAt(object, at + "/reason");
  std::string message = textAt(object, at + "/message");
  // What is as it should be needs no words.
  if (reason.empty() && textAt(object, at + "/phase") == "Ready") return "";
  std::string text = reason.empty() || message.empty() ? reason + message : reason + ": " + message;
  auto progress = fractionAt(object, at + "/progress");
  if (progress && *progress < 1 && text.find('%') == std::string::npos) {
    std::string percent = std::to_string(std::lround(*progress * 100)) + "%";
    text += text.empty() ? percent : " (" + percent + ")";
  }
  return text;
}

std::string deploymentOf(const Json& object, const ViewOptions& options) {
  std::string name = textAt(object, "/deployment");
  if (name.empty()) name = textAt(object, "/name");
  return deploymentName(textAt(object, "/tenant"), orDash(name), options.tenant);
}

std::string shareOf(uint64_t part, uint64_t whole) {
  if (whole == 0) return "-";
  std::string total = toShortText(Bytes{whole});
  std::string used = toShortText(Bytes{part});
  size_t space = total.find(' ');
  if (space != std::string::npos && used.ends_with(total.substr(space))) {
    used.resize(used.size() - (total.size() - space));
  }
  return used + " / " + total;
}

std::string referenceOf(const Json& object, std::string_view ownTenant) {
  std::string kind = textAt(object, "/kind");
  if (kind == "node" || kind == "gpu") return textAt(object, "/name");
  if (kind == "model") return textAt(object, "/source");
  if (kind == "event" || kind.empty()) return textAt(object, "/object");
  std::string name = textAt(object, kind == "deployment" ? "/name" : "/deployment");
  std::string text = deploymentName(textAt(object, "/tenant"), name, ownTenant);
  if (kind == "replica" || kind == "rank") text += "/" + textAt(object, "/replica");
  if (kind == "rank") text += "/" + textAt(object, "/rank");
  return text;
}

std::string viewDeployments(const Json& items, const ViewOptions& options) {
  auto header = headerOf(
      {"DEPLOYMENT", "PHASE", "READY", "GPUS", "REQ/S", "TTFT p95", "ITL p95", "SLO", "AGE"},
      {"REVISION", "NEXT"}, options);
  return render(header, items, options, [&](const Json& deployment) {
    auto measured = [&](const char* name) {
      return orDash(textAt(deployment, std::string("/status/serving/") + name));
    };
    return rowOf(
        {deploymentOf(deployment, options), phaseCell(deployment, "/status/phase"),
         readyOf(deployment), gpusOf(deployment), measured("requests_per_second"),
         measured("ttft_p95"), measured("itl_p95"), measured("slo"),
         ageAt(deployment, "/created_at", options.now)},
        {orDash(textAt(deployment, "/revision")), orDash(textAt(deployment, "/status/next"))},
        noteOf(deployment, "/status"), options);
  });
}

std::string viewEvents(const Json& items, const ViewOptions& options) {
  Table table;
  for (const auto& event : items) {
    std::string severity = textAt(event, "/severity");
    std::optional<Paint> paint;
    if (severity == "error") paint = Paint::BAD;
    if (severity == "warning" || severity == "warn") paint = Paint::BUSY;
    std::string object =
        deploymentName(textAt(event, "/tenant"), textAt(event, "/object"), options.tenant);
    table.add({eventTime(event, options.now), Cell(orDash(severity), paint),
               orDash(textAt(event, "/type")), orDash(object), textAt(event, "/message")});
  }
  return table.toText(options.paint);
}

std::string viewList(const std::string& kind, const Json& items, const ViewOptions& options) {
  if (kind == "nodes") return viewNodes(items, options);
  if (kind == "gpus") return viewGpus(items, options);
  if (kind == "deployments") return viewPlainDeployments(items, options);
  if (kind == "replicas") return viewReplicas(items, options);
  if (kind == "ranks") return viewRanks(items, options);
  if (kind == "models") return viewModels(items, options);
  return viewEvents(items, options);
}

}  // namespace muster::cli
