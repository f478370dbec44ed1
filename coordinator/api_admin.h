// Calls about the coordinators themselves.
#pragma once

#include "coordinator/api.h"

namespace muster::coordinator {

class ApiAdmin {
 public:
  explicit ApiAdmin(ApiContext& context) : context_(context) {}

  // Any coordinator answers, with or without a leader: what it knows and what its peers tell it
  // now. Marked stale unless it is the leader and proves so in time.
  AnswerPromise status(ApiCall call);
  AnswerPromise stepDown(ApiCall call, CoordinatorId successor);

 private:
  ApiContext& context_;
};

}  // namespace muster::coordinator
