#include "cli/commands/commands.h"
#include "cli/commands/session.h"
#include "cli/exit_code.h"
#include "protocol/names.h"

namespace muster::cli {
namespace {

class Describer {
 public:
  Describer(Invocation& invocation, Session& session)
      : invocation_(invocation), session_(session) {}

  Result<Description> describe(const std::string& word) {
    if (parseGpuReference(word)) return gpu(word);
    auto reference = referenceIn(invocation_, word);
    if (!reference) return reference.refusal();
    auto found = deployment(*reference);
    bool mayBeNode = checkName(word, NameKind::NODE).ok();
    if (found || found.refusal().code != RefusalCode::NOT_FOUND || !mayBeNode) return found;
    auto asNode = node(word);
    if (asNode || asNode.refusal().code != RefusalCode::NOT_FOUND) return asNode;
    return Refusal{RefusalCode::NOT_FOUND,
                   "there is no deployment and no node \"" + word + "\"",
                   {},
                   {"muster ps", "muster get nodes"}};
  }

 private:
  Result<Json> items(const std::string& kind, const std::string& target) {
    auto reply = session_.ask(getCall(kind, target, readChoiceOf(invocation_)));
    if (!reply) return reply.refusal();
    return listAt(reply->json, "/items");
  }

  Result<Json> one(const std::string& kind, const std::string& target) {
    auto list = items(kind, target);
    if (!list || !list->empty()) return list ? Result<Json>((*list)[0]) : list;
    return Refusal{RefusalCode::NOT_FOUND, "there is nothing called \"" + target + "\""};
  }

  // What cannot be read leaves its part empty: the object itself was found.
  void fill(Json& into, const std::string& kind, const std::string& target) {
    auto list = items(kind, target);
    if (list) {
      into = *list;
    } else {
      invocation_.terminal.warn(kind + " are not shown: " + list.refusal().text);
    }
  }

  Result<Description> deployment(const std::string& reference) {
    auto parsed = parseReference(reference);
    Reference whole{.tenant = parsed->tenant, .deployment = parsed->deployment};
    auto object = one("deployments", toText(whole));
    if (!object) return object.refusal();
    Description result{.object = *object};
    fill(result.replicas, "replicas", reference);
    fill(result.ranks, "ranks", reference);
    fill(result.events, "events", toText(whole));
    return result;
  }

  Result<Description> node(const std::string& name) {
    auto object = one("nodes", name);
    if (!object) return object.refusal();
    Description result{.object = *object};
    fill(result.gpus, "gpus", name);
    fill(result.events, "events", name);
    return result;
  }

  Result<Description> gpu(const std::string& name) {
    auto object = one("gpus", name);
    if (!object) return object.refusal();
    return Description{.object = *object, .gpus = Json::array({*object})};
  }

  Invocation& invocation_;
  Session& session_;
};

Json toAnswer(const Description& description) {
  return {{"version", 1},
          {"kind", "description"},
          {"object", description.object},
          {"replicas", description.replicas},
          {"ranks", description.ranks},
          {"gpus", description.gpus},
          {"events", description.events}};
}

Description printableDescription(const Json& answer) {
  return {.object = answer.at("object"),
          .replicas = answer.at("replicas"),
          .ranks = answer.at("ranks"),
          .gpus = answer.at("gpus"),
          .events = answer.at("events")};
}

}  // namespace

Result<int> runDescribe(Invocation& invocation) {
  std::string word = invocation.arguments.word("REF");
  auto reference = referenceIn(invocation, word);
  if (!reference && !parseGpuReference(word)) return invocation.wrongUsage(reference.refusal());
  auto session = Session::open(invocation);
  if (!session) return session.refusal();
  auto found = Describer(invocation, **session).describe(word);
  if (!found) return found.refusal();
  return print(invocation, toAnswer(*found), [&](const Json& shown) {
    return viewDescription(printableDescription(shown), invocation.view());
  });
}

}  // namespace muster::cli
