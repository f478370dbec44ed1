// Calls that change the cluster, and those that only say what a change would do.
#pragma once

#include "coordinator/api.h"
#include "coordinator/plan_object.h"

namespace muster::coordinator {

struct ApplyCall {
  std::string documents;
  std::string fileName;  // for texts only
  std::string planId;    // instead of documents
  Revision expectedRevision;
  bool dryRun = false;
};

struct PlanCall {
  std::string documents;
  std::string fileName;  // for texts only
  ShowCommands show = ShowCommands::NO;
};

class ApiChanges {
 public:
  explicit ApiChanges(ApiContext& context) : context_(context) {}

  AnswerPromise plan(ApiCall call, PlanCall what);
  AnswerPromise apply(ApiCall call, ApplyCall what);
  AnswerPromise remove(ApiCall call, std::string deployment, Revision expected, bool dryRun);
  AnswerPromise scale(ApiCall call, std::string deployment, uint32_t replicas, Revision expected,
                      bool dryRun);
  AnswerPromise cordon(ApiCall call, NodeName node, std::string reason, bool dryRun);
  AnswerPromise uncordon(ApiCall call, NodeName node, bool dryRun);
  AnswerPromise drain(ApiCall call, NodeName node, std::string reason, bool force, bool dryRun);

 private:
  ApiContext& context_;
};

// Ids of the requests that one call with several documents becomes: the call's own for a single
// one, else made from it, the place and the count, so that a retry makes the same ones.
RequestId documentRequest(const RequestId& call, size_t place, size_t count);

}  // namespace muster::coordinator
