// Calls about the coordinators themselves.
#pragma once

#include "coordinator/api.h"

namespace muster::coordinator {

constexpr Duration PEER_DEADLINE = 500_ms;  // for one other coordinator to answer

class ApiAdmin {
 public:
  explicit ApiAdmin(ApiContext& context) : context_(context) {}

  // Any coordinator answers, with or without a leader: what it knows and what its peers tell it
  // now.
  AnswerPromise status(ApiCall call);
  AnswerPromise stepDown(ApiCall call, CoordinatorId successor);

 private:
  ApiContext& context_;
};

}  // namespace muster::coordinator
