// Files named by their SHA-256: DIRECTORY/artifacts/ab/abcd...; uploads that
// are under way in DIRECTORY/uploads/DIGEST.part.
//
// A file appears under its digest only whole, checked and flushed, so the
// folder itself says what is stored; no table repeats it.
//
// A stream that goes on where another broke off begins at once: what was kept
// is read with the rest when the file is whole. It may be tens of GiB, and
// whoever heard nothing of the stream for as long as they take would give it
// up.
//
// A failed flush is the end of its bytes: the kernel reports it once, so that a
// second flush that succeeds says nothing. The file is dropped and sent anew.
//
// An upload is promised its room when it begins, so that many that begin
// together do not fill what each alone would have found free.
//
// Deleting takes two steps, for what is stored and what the database says must
// agree: within the transaction that finds a file unused it is condemned, which
// is not stored to whoever asks from there on; after the commit it goes, or is
// spared when the commit failed.
//
// Thread-safe; an Upload belongs to one thread at a time.
#ifndef FOLDFARM_COORDINATOR_STORE_ARTIFACT_FILES_H_
#define FOLDFARM_COORDINATOR_STORE_ARTIFACT_FILES_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/digest.h"
#include "common/base/files.h"

namespace foldfarm {

class ArtifactFiles {
 public:
  // Largest file that is taken, unless Open() is told otherwise.
  static constexpr int64_t kMaxSizeBytes = int64_t{64} << 30;

  struct Limits {
    // Of one file.
    int64_t max_size_bytes = kMaxSizeBytes;
    // Of all files together, those of uploads under way counted whole; 0: as
    // much as there is room.
    int64_t max_bytes = 0;
    // What uploads leave free on the disk, for the database.
    int64_t spare_bytes = int64_t{256} << 20;
  };

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
    // REQUIRES: Finish() has not returned OK.
    absl::Status Append(absl::string_view data);
    // Checks size and digest, flushes, and makes the file appear. Reads the
    // whole file first when the upload did not begin at its start.
    // Errors: DATA_LOSS when the bytes are not the digest's (they are dropped);
    // OUT_OF_RANGE when bytes are missing (they are kept); RESOURCE_EXHAUSTED
    // when the disk is full, UNAVAILABLE when it fails (they are dropped).
    absl::Status Finish();

   private:
    friend class ArtifactFiles;
    Upload(ArtifactFiles& files, std::string digest, int64_t size_bytes,
           std::unique_ptr<AppendFile> file, std::optional<Hasher> hasher);
    ArtifactFiles& files_;
    const std::string digest_;
    const int64_t size_bytes_;
    std::unique_ptr<AppendFile> file_;
    // Of all bytes so far; none: Finish() reads them from the file.
    std::optional<Hasher> hasher_;
    // The file is stored; the digest may be another upload's by now.
    bool finished_ = false;
  };

  static absl::StatusOr<std::unique_ptr<ArtifactFiles>> Open(
      const std::string& directory, const Limits& limits);
  static absl::StatusOr<std::unique_ptr<ArtifactFiles>> Open(
      const std::string& directory) {
    return Open(directory, Limits());
  }

  // Errors of all: INVALID_ARGUMENT when `digest` is not a lower-case hex
  // SHA-256 (nothing else ever becomes a path).
  absl::StatusOr<Stat> GetStat(const std::string& digest);

  // Null when the file is stored already.
  // Errors: OUT_OF_RANGE when `offset` is not where the part ends;
  // INVALID_ARGUMENT for a size above the limit; UNAVAILABLE while another
  // stream writes the same digest; RESOURCE_EXHAUSTED beyond Limits, with what
  // uploads under way were promised.
  absl::StatusOr<std::unique_ptr<Upload>> BeginUpload(const std::string& digest,
                                                      int64_t size_bytes,
                                                      int64_t offset);

  // Path of a stored file, to read from. Errors: NOT_FOUND.
  absl::StatusOr<std::string> Find(const std::string& digest);

  // Size of all stored files.
  int64_t StoredBytes() const { return stored_bytes_.load(); }

  // Somebody will name the file soon: it is as good as new.
  void Touch(const std::string& digest);

  // Look at the disk again, where somebody else has deleted the file.
  void Forget(const std::string& digest);

  // Deletes a file that nothing names any more. Whoever is reading it reads on;
  // whoever names it next uploads it again; one that is being uploaded stays.
  void Remove(const std::string& digest);

  // Files that are not stored to whoever asks, as long as this lives, though
  // they are there. Destroyed before Delete(): they are stored again.
  class Condemned {
   public:
    Condemned(ArtifactFiles& files, std::vector<std::string> digests);
    ~Condemned();
    Condemned(Condemned&& other) noexcept;
    Condemned& operator=(Condemned&&) = delete;
    void Delete();

   private:
    ArtifactFiles* files_;
    std::vector<std::string> digests_;
  };

  struct StoredFile {
    std::string digest;
    int64_t size_bytes = 0;
    // When it was stored or touched last.
    absl::Time time;
  };
  absl::StatusOr<std::vector<StoredFile>> List() const;
  // When a stored file was touched last; infinite past: it is not there.
  absl::Time TimeOf(const std::string& digest) const;

  // Deletes what uploads left that nobody went on with since `before`. Returns
  // bytes.
  int64_t RemoveParts(absl::Time before);

 private:
  // What an upload under way was promised.
  struct Claim {
    int64_t size_bytes = 0;
    // Of these, not on the disk yet.
    int64_t missing_bytes = 0;
  };

  ArtifactFiles(const std::string& directory, const Limits& limits);
  // Room for a file of `size_bytes`, of which `missing_bytes` are to come.
  // On a disk with `free` bytes.
  absl::Status CheckRoom(const std::string& digest, int64_t size_bytes,
                         int64_t missing_bytes, int64_t free) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Size of a file that is there whole and neither condemned nor just being
  // published.
  std::optional<int64_t> StoredSize(const std::string& digest)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Makes a folder of artifacts_, flushed.
  absl::Status MakeFolder(const std::string& folder);
  std::string FinalPath(const std::string& digest) const;
  std::string PartPath(const std::string& digest) const;

  const std::string artifacts_;
  const std::string uploads_;
  const Limits limits_;
  absl::Mutex mu_;  // Never held across a flush.
  absl::flat_hash_map<std::string, Claim> uploading_ ABSL_GUARDED_BY(mu_);
  absl::flat_hash_set<std::string> condemned_ ABSL_GUARDED_BY(mu_);
  // Sizes of files seen whole: files never change, so this never ages.
  absl::flat_hash_map<std::string, int64_t> known_ ABSL_GUARDED_BY(mu_);
  std::atomic<int64_t> stored_bytes_ = 0;  // Changed under mu_.
  absl::Mutex folders_mu_;                 // Held across flushes of folders.
  // Folders whose names are on the disk for sure.
  absl::flat_hash_set<std::string> folders_ ABSL_GUARDED_BY(folders_mu_);
};

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_STORE_ARTIFACT_FILES_H_
