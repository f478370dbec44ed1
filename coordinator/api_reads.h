// Calls that only look: objects, why, logs.
#pragma once

#include "coordinator/api.h"

namespace muster::coordinator {

struct ReadCall {
  bool stale = false;   // from what is applied here, whoever leads
  LogIndex afterIndex;  // not 0: wait until something newer is there
  Duration wait;        // for at most this long
};

class ApiReads {
 public:
  explicit ApiReads(ApiContext& context) : context_(context) {}

  AnswerPromise get(ApiCall call, std::string kind, std::string target, ReadCall how);
  AnswerPromise why(ApiCall call, std::string deployment, ReadCall how);
  AnswerPromise logs(ApiCall call, std::string target, uint32_t linesMax, bool firstError);

 private:
  ApiContext& context_;
};

// What is asked for, made into JSON at once. `read` gets the state to look at and must not keep it.
using ReadObject = std::function<Result<Json>(const ObjectView& view)>;
using ReadText = std::function<Result<std::string>(const ObjectView& view)>;

// Linearizable on the leader, or from what this coordinator has applied.
AnswerPromise readObject(ApiContext& context, ApiCall call, ReadCall how, ReadObject read);
// The same of JSON that is text already.
AnswerPromise readText(ApiContext& context, ApiCall call, ReadCall how, ReadText read);

}  // namespace muster::coordinator
