// Files named by their SHA-256: DIRECTORY/artifacts/ab/abcd...; uploads that
// are under way in DIRECTORY/uploads/DIGEST.part.
//
// A file appears under its digest only whole, checked and flushed, so the
// folder itself says what is stored; no table repeats it.
//
// Thread-safe; an Upload belongs to one thread at a time.
#ifndef FOLDFARM_COORDINATOR_STORE_ARTIFACT_FILES_H_
#define FOLDFARM_COORDINATOR_STORE_ARTIFACT_FILES_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "common/base/digest.h"
#include "common/base/files.h"

namespace foldfarm {

class ArtifactFiles {
 public:
  // Largest file that is taken, unless Open() is told otherwise.
  static constexpr int64_t kMaxSizeBytes = int64_t{64} << 30;

  struct Stat {
    bool complete = false;
    // Of the file, or of the part that an upload left.
    int64_t size_bytes = 0;
  };

  // One stream of bytes into a file. Destroyed before Finish(): what came is
  // kept for the next one to go on from.
  class Upload {
   public:
    ~Upload();
    absl::Status Append(absl::string_view data);
    // Checks size and digest, flushes, and makes the file appear.
    // Errors: DATA_LOSS when the bytes are not the digest's (they are dropped);
    // OUT_OF_RANGE when bytes are missing (they are kept).
    absl::Status Finish();

   private:
    friend class ArtifactFiles;
    Upload(ArtifactFiles& files, std::string digest, int64_t size_bytes,
           std::unique_ptr<AppendFile> file, Hasher hasher);
    ArtifactFiles& files_;
    const std::string digest_;
    const int64_t size_bytes_;
    std::unique_ptr<AppendFile> file_;
    Hasher hasher_;
  };

  static absl::StatusOr<std::unique_ptr<ArtifactFiles>> Open(
      const std::string& directory, int64_t max_size_bytes = kMaxSizeBytes);

  // Errors of all: INVALID_ARGUMENT when `digest` is not a lower-case hex
  // SHA-256 (nothing else ever becomes a path).
  absl::StatusOr<Stat> GetStat(const std::string& digest);

  // Null when the file is stored already.
  // Errors: OUT_OF_RANGE when `offset` is not where the part ends;
  // INVALID_ARGUMENT for a size above the limit; UNAVAILABLE while another
  // stream writes the same digest.
  absl::StatusOr<std::unique_ptr<Upload>> BeginUpload(const std::string& digest,
                                                      int64_t size_bytes,
                                                      int64_t offset);

  // Path of a stored file, to read from. Errors: NOT_FOUND.
  absl::StatusOr<std::string> Find(const std::string& digest);

  // Size of all stored files.
  int64_t StoredBytes() const { return stored_bytes_.load(); }

  // Deletes a file that nothing names any more. Whoever is reading it reads on;
  // whoever names it next uploads it again.
  void Remove(const std::string& digest);

 private:
  ArtifactFiles(const std::string& directory, int64_t max_size_bytes);
  std::string FinalPath(const std::string& digest) const;
  std::string PartPath(const std::string& digest) const;

  const std::string artifacts_;
  const std::string uploads_;
  const int64_t max_size_bytes_;
  absl::Mutex mu_;
  absl::flat_hash_set<std::string> uploading_ ABSL_GUARDED_BY(mu_);
  // Sizes of files seen whole: files never change, so this never ages.
  absl::flat_hash_map<std::string, int64_t> known_ ABSL_GUARDED_BY(mu_);
  std::atomic<int64_t> stored_bytes_ = 0;
};

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_STORE_ARTIFACT_FILES_H_
