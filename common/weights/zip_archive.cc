#include "common/weights/zip_archive.h"

#include <zip.h>

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/tensorfile/tensorfile_header.h"

namespace foldfarm {
namespace {

absl::Status BadZip(const std::string& path, absl::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat(path, ": not a valid ZIP archive of torch.save: ", what));
}

}  // namespace

struct ZipArchive::Handle {
  explicit Handle(zip_t* archive) : archive(archive) {}
  ~Handle() { zip_discard(archive); }
  zip_t* const archive;
};

ZipArchive::ZipArchive(std::string path, std::unique_ptr<Handle> handle)
    : path_(std::move(path)), handle_(std::move(handle)) {}
ZipArchive::~ZipArchive() = default;

absl::StatusOr<std::unique_ptr<ZipArchive>> ZipArchive::Open(
    const std::string& path) {
  FOLDFARM_ASSIGN_OR_RETURN(const int64_t file_size, FileSize(path));
  int code = 0;
  zip_t* opened = zip_open(path.c_str(), ZIP_RDONLY, &code);
  if (opened == nullptr) {
    zip_error_t error;
    zip_error_init_with_code(&error, code);
    const absl::Status status =
        BadZip(path, absl::StrCat(zip_error_strerror(&error), " (cut short?)"));
    zip_error_fini(&error);
    return status;
  }
  std::unique_ptr<ZipArchive> archive(
      new ZipArchive(path, std::make_unique<Handle>(opened)));
  const zip_int64_t count = zip_get_num_entries(opened, 0);
  int64_t left = file_size;
  for (zip_int64_t i = 0; i < count; ++i) {
    zip_stat_t stat;
    if (zip_stat_index(opened, static_cast<zip_uint64_t>(i), ZIP_FL_ENC_RAW,
                       &stat) != 0 ||
        (stat.valid & ZIP_STAT_NAME) == 0) {
      return BadZip(path, zip_strerror(opened));
    }
    const std::string member = stat.name;
    if (stat.comp_method != ZIP_CM_STORE ||
        stat.encryption_method != ZIP_EM_NONE) {
      return BadZip(path, absl::StrCat("member ", QuoteName(member),
                                       " is compressed or encrypted"));
    }
    if (stat.size > static_cast<zip_uint64_t>(left)) {
      return BadZip(path, "its members claim more bytes than it has");
    }
    left -= static_cast<int64_t>(stat.size);
    if (!archive->sizes_.emplace(member, stat.size).second) {
      return BadZip(path, absl::StrCat("member ", QuoteName(member), " twice"));
    }
  }
  return archive;
}

absl::StatusOr<std::string> ZipArchive::Read(const std::string& member) const {
  const auto error = [&](absl::string_view what) {
    return BadZip(path_,
                  absl::StrCat("member ", QuoteName(member), ": ", what));
  };
  zip_file_t* file = zip_fopen(handle_->archive, member.c_str(), 0);
  if (file == nullptr) return error(zip_strerror(handle_->archive));
  std::string bytes(static_cast<size_t>(sizes_.at(member)), '\0');
  size_t done = 0;
  absl::Status status;
  for (;;) {
    // One byte more than there should be: the checksum is compared at the end.
    char beyond = 0;
    const bool full = done == bytes.size();
    const zip_int64_t got =
        full ? zip_fread(file, &beyond, 1)
             : zip_fread(file, bytes.data() + done, bytes.size() - done);
    if (got < 0) {
      status = error(zip_file_strerror(file));
      break;
    }
    if (got == 0 || full) {
      if (!full || got != 0) status = error("its size is wrong");
      break;
    }
    done += static_cast<size_t>(got);
  }
  zip_fclose(file);
  FOLDFARM_RETURN_IF_ERROR(status);
  return bytes;
}

}  // namespace foldfarm
