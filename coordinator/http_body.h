// What comes with a request over HTTP besides its path, read strictly: unknown and missing fields
// are told by name. Pure.
#pragma once

#include "base/result.h"
#include "coordinator/objects/json.h"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace muster::coordinator {

struct BodyField {
  enum Kind { TEXT, NUMBER, FLAG };  // NUMBER: 0 to 2³²-1
  const char* name;
  Kind kind;
  bool isRequired = false;
};

// A JSON object with these fields and no others; an empty body is an empty object. Refuses
// INVALID_SYNTAX, UNKNOWN_FIELD, MISSING_FIELD and INVALID_VALUE.
Result<Json> readBody(const std::string& body, const std::vector<BodyField>& fields);

// The plan's id when the body is {"plan": "p-7f3a"}; empty when it is something else, which is
// documents then. Refuses INVALID_VALUE for a plan's id that is none.
Result<std::string> planIdIn(const std::string& body);

// "true" and "false"; false when it is not given. Refuses INVALID_VALUE.
Result<bool> flagIn(const std::map<std::string, std::string>& query, const std::string& name);

// Of If-Match: 8 or "8". Refuses INVALID_VALUE.
Result<Revision> revisionIn(const std::string& text);

// What stands in `path` in the places of "{}" of `pattern`; nothing when it does not match. Words
// are never empty.
std::optional<std::vector<std::string>> matchPath(const std::string& pattern,
                                                  const std::string& path);

}  // namespace muster::coordinator
