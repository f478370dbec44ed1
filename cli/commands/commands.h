// The functions of all commands; table.cpp says which words call them.
#pragma once

#include "cli/commands/invocation.h"

namespace muster::cli {

Result<int> runValidate(Invocation& invocation);
Result<int> runExplain(Invocation& invocation);
Result<int> runPlan(Invocation& invocation);
Result<int> runApply(Invocation& invocation);
Result<int> runDelete(Invocation& invocation);
Result<int> runScale(Invocation& invocation);
Result<int> runPs(Invocation& invocation);
Result<int> runGet(Invocation& invocation);
Result<int> runDescribe(Invocation& invocation);
Result<int> runWhy(Invocation& invocation);
Result<int> runEvents(Invocation& invocation);
Result<int> runLogs(Invocation& invocation);
Result<int> runCordon(Invocation& invocation);
Result<int> runUncordon(Invocation& invocation);
Result<int> runDrain(Invocation& invocation);
Result<int> runAdminStatus(Invocation& invocation);
Result<int> runAdminBackup(Invocation& invocation);
Result<int> runAdminRestore(Invocation& invocation);
Result<int> runAdminHistory(Invocation& invocation);
Result<int> runStepDown(Invocation& invocation);
Result<int> runContextList(Invocation& invocation);
Result<int> runContextUse(Invocation& invocation);
Result<int> runContextAdd(Invocation& invocation);
Result<int> runChat(Invocation& invocation);
Result<int> runBench(Invocation& invocation);
Result<int> runUpCommand(Invocation& invocation);
Result<int> runDownCommand(Invocation& invocation);
Result<int> runVersion(Invocation& invocation);
Result<int> runCompletion(Invocation& invocation);

}  // namespace muster::cli
