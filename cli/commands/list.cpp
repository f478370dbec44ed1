#include "cli/commands/list.h"

#include "cli/exit_code.h"

#include <map>

namespace muster::cli {
namespace {

// Ages and progress move even when the log does not.
constexpr Duration REFRESH_EVERY = 2_s;

// Of one object among its list: what it is called, or which event it is.
std::string keyOf(const Json& item, const std::string& kind) {
  if (kind == "events") return textAt(item, "/index") + "." + textAt(item, "/ordinal");
  return textAt(item, "/tenant") + "/" + referenceOf(item, "");
}

Json ofTenant(const Json& items, const Invocation& invocation) {
  if (!invocation.has("--tenant")) return items;
  Json result = Json::array();
  for (const auto& item : items) {
    std::string tenant = textAt(item, "/tenant");
    if (tenant.empty() || tenant == invocation.tenant()) result.push_back(item);
  }
  return result;
}

class Lister {
 public:
  Lister(Invocation& invocation, const ListRequest& request)
      : invocation_(invocation), request_(request) {}

  Result<int> run(Session& session) {
    auto first = read(session, readChoiceOf(invocation_));
    if (!first) return first.refusal();
    if (!invocation_.has("--watch")) return printAll(*first);
    return watch(session, std::move(*first));
  }

 private:
  Result<Reply> read(Session& session, ReadChoice choice) {
    auto reply = session.ask(getCall(request_.kind, request_.target, choice));
    if (reply) reply->json["items"] = ofTenant(listAt(reply->json, "/items"), invocation_);
    return reply;
  }

  Result<int> printAll(const Reply& reply) {
    const Json& items = reply.json.at("items");
    if (invocation_.has("--json-lines")) {
      printLines(items);
      return EXIT_DONE;
    }
    if (items.empty() && invocation_.format.isForPeople()) {
      bool mayBegin = request_.kind == "deployments";
      invocation_.terminal.hint(
          "no " + request_.kind +
          (mayBegin ? "; muster run MODEL or muster apply FILE makes one" : ""));
      return EXIT_DONE;
    }
    return print(invocation_, reply.json,
                 [&](const Json& shown) { return request_.view(shown.at("items")); });
  }

  Result<int> watch(Session& session, Reply reply) {
    bool redraws = invocation_.terminal.outIsTerminal() && invocation_.format.isForPeople() &&
                   request_.kind != "events" && !invocation_.has("--json-lines");
    for (bool isFirst = true;; isFirst = false) {
      if (redraws) {
        invocation_.terminal.clearScreen();
        auto printed = printAll(reply);
        if (!printed) return printed;
      } else {
        printChanged(reply.json.at("items"), isFirst);
      }
      ReadChoice choice = readChoiceOf(invocation_);
      choice.after = reply.index;
      choice.waitLimit = REFRESH_EVERY;
      auto next = read(session, choice);
      if (!next) return next.refusal();
      reply = std::move(*next);
    }
  }

  void printLines(const Json& items) {
    for (const auto& item : items) invocation_.terminal.out(toJsonLine(item));
  }

  // Only what is new or differs from what was printed of it last.
  void printChanged(const Json& items, bool isFirst) {
    Json changed = Json::array();
    std::map<std::string, std::string> now;
    for (const auto& item : items) {
      std::string key = keyOf(item, request_.kind);
      std::string content = item.dump(-1, ' ', false, Json::error_handler_t::replace);
      auto before = printed_.find(key);
      if (before == printed_.end() || before->second != content) changed.push_back(item);
      now[key] = std::move(content);
    }
    for (const auto& [key, content] : printed_) {
      if (!now.contains(key) && request_.kind != "events") printGone(content);
    }
    printed_ = std::move(now);
    if (changed.empty()) return;
    if (!invocation_.format.isForPeople() || invocation_.has("--json-lines")) {
      printLines(changed);
      return;
    }
    std::string text = request_.view(printableJson(changed));
    bool hasHeader = request_.kind != "events";
    if (!isFirst && hasHeader) text.erase(0, text.find('\n') + 1);
    invocation_.terminal.out(text);
  }

  void printGone(const std::string& content) {
    Json gone = Json::parse(content);
    if (!invocation_.format.isForPeople() || invocation_.has("--json-lines")) {
      gone["deleted"] = true;
      invocation_.terminal.out(toJsonLine(gone));
    } else {
      invocation_.terminal.outLine(referenceOf(printableJson(gone), invocation_.tenant()) +
                                   "  is gone");
    }
  }

  Invocation& invocation_;
  const ListRequest& request_;
  std::map<std::string, std::string> printed_;  // by key, as JSON
};

}  // namespace

Result<int> runList(Invocation& invocation, const ListRequest& request) {
  auto session = Session::open(invocation);
  if (!session) return session.refusal();
  return Lister(invocation, request).run(**session);
}

}  // namespace muster::cli
