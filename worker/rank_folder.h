// What the agent keeps on disk about one rank, so that its next life can come back to the process.
#pragma once

#include "base/process.h"
#include "base/result.h"
#include "protocol/order.h"

#include <optional>
#include <string>
#include <vector>

namespace muster::worker {

// <data>/ranks/<uid>-<replica>-<generation>-<rank>/, mode 0700: it holds the control socket and the
// secret.
class RankFolder {
 public:
  RankFolder(std::string path, RankRef ref) : path_(std::move(path)), ref_(ref) {}

  const std::string& path() const { return path_; }
  RankRef ref() const { return ref_; }
  std::string controlSocket() const { return path_ + "/control"; }
  std::string outputFile() const { return path_ + "/output.log"; }

  Result<Done> saveAssignment(const Assignment& assignment) const;
  std::optional<Assignment> loadAssignment() const;  // nothing when it is missing or unreadable

  // With the machine's boot id: start times count from the boot.
  Result<Done> saveProcess(ProcessId id) const;
  std::optional<ProcessId> loadProcess()
      const;  // nothing when there is none, or the machine was restarted since

  // What an engine's unit wants to find again after a restart of the agent.
  Result<Done> saveNote(const std::string& text) const;
  std::optional<std::string> loadNote() const;

 private:
  std::string path_;
  RankRef ref_;
};

class RankFolders {
 public:
  // Makes <dataDir>/ranks and <dataDir>/logs with mode 0700. Throws when it cannot.
  explicit RankFolders(std::string dataDir);

  Result<RankFolder> create(RankRef ref) const;
  std::vector<RankFolder> list() const;  // by ref
  // The same folder for the next generation of its rank, the assignment written first: whoever
  // comes after a crash in between goes by what that says.
  Result<RankFolder> passOn(const RankFolder& folder, const Assignment& next) const;
  // Keeps the output as <dataDir>/logs/<ref>.log (the newest 32) and removes the rest.
  void retire(const RankFolder& folder) const;
  // The output of a rank, present or retired; nothing when there is none.
  std::optional<std::string> outputOf(RankRef ref) const;

 private:
  std::string dataDir_;
};

std::string folderName(RankRef ref);  // "7-0-3-1"
std::optional<RankRef> parseFolderName(const std::string& name);

}  // namespace muster::worker
