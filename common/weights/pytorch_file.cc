// The two containers of torch.save: where the pickle is, and where the bytes of
// each storage are.
//
// ZIP: members PREFIX/data.pkl and PREFIX/data/KEY, not compressed.
// Before PyTorch 1.6: five pickles (a magic number, a version, a description of
// the machine, the object, the storages' keys), then each storage: the number
// of its values in 8 bytes, and the values.
// Source: torch/serialization.py of PyTorch.
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/tensorfile/tensorfile_header.h"
#include "common/weights/pickle.h"
#include "common/weights/state_dict.h"
#include "common/weights/weights_file.h"
#include "common/weights/zip_archive.h"

namespace foldfarm {
namespace {

using Kind = PickleNode::Kind;

// A large network's takes less than a megabyte.
constexpr int64_t kMaxPickleBytes = int64_t{64} << 20;
// 0x1950a86a20f9469cfc6c, little-endian.
constexpr absl::string_view kMagic("\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19",
                                   10);
constexpr int64_t kLegacyVersion = 1001;

absl::Status Malformed(const std::string& path, absl::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat(path, ": not a valid file of torch.save: ", what));
}

// The tensor's values out of its storage's, row-major.
// REQUIRES: ParseStateDict made it; `storage` has storage_numel values.
std::string Gather(const StoredTensor& tensor, absl::string_view storage) {
  const auto size = static_cast<size_t>(DTypeSize(tensor.dtype));
  int64_t numel = 1;
  bool contiguous = true;
  for (size_t i = tensor.shape.size(); i-- > 0;) {
    if (tensor.shape[i] == 0) return "";
    contiguous &= tensor.shape[i] == 1 || tensor.strides[i] == numel;
    numel *= tensor.shape[i];
  }
  if (contiguous) {
    return std::string(storage.substr(static_cast<size_t>(tensor.offset) * size,
                                      static_cast<size_t>(numel) * size));
  }
  std::string values(static_cast<size_t>(numel) * size, '\0');
  std::vector<int64_t> index(tensor.shape.size(), 0);
  int64_t from = tensor.offset;
  for (int64_t i = 0; i < numel; ++i) {
    std::memcpy(values.data() + static_cast<size_t>(i) * size,
                storage.data() + static_cast<size_t>(from) * size, size);
    for (size_t axis = index.size(); axis-- > 0;) {
      from += tensor.strides[axis];
      if (++index[axis] < tensor.shape[axis]) break;
      from -= tensor.shape[axis] * tensor.strides[axis];
      index[axis] = 0;
    }
  }
  return values;
}

class PytorchFile : public WeightsFile {
 public:
  PytorchFile(std::string path, std::map<std::string, StoredTensor> stored)
      : path_(std::move(path)), stored_(std::move(stored)) {
    for (const auto& [name, tensor] : stored_) {
      tensors_[name] = {tensor.dtype, tensor.shape};
    }
  }
  WeightsContainer container() const override {
    return WeightsContainer::kPytorch;
  }
  absl::StatusOr<std::string> Read(const std::string& name) override {
    const StoredTensor& tensor = stored_.at(name);
    FOLDFARM_ASSIGN_OR_RETURN(const absl::string_view storage,
                              Storage(tensor.storage));
    int64_t expected = 0;
    if (__builtin_mul_overflow(tensor.storage_numel, DTypeSize(tensor.dtype),
                               &expected) ||
        static_cast<uint64_t>(expected) != storage.size()) {
      return Malformed(
          path_,
          absl::StrCat("storage ", QuoteName(tensor.storage), " has ",
                       storage.size(), " bytes, but tensor ", QuoteName(name),
                       " takes it for ", tensor.storage_numel, " values of ",
                       DTypeName(tensor.dtype)));
    }
    return Gather(tensor, storage);
  }

 protected:
  // The bytes of a storage, valid until the next call.
  virtual absl::StatusOr<absl::string_view> Storage(const std::string& key) = 0;

  absl::Status Missing(const std::string& key) const {
    return Malformed(path_,
                     absl::StrCat("storage ", QuoteName(key), " is missing"));
  }

  const std::string path_;
  const std::map<std::string, StoredTensor> stored_;
};

class ZipFile : public PytorchFile {
 public:
  ZipFile(std::string path, std::map<std::string, StoredTensor> stored,
          std::unique_ptr<ZipArchive> archive, std::string prefix)
      : PytorchFile(std::move(path), std::move(stored)),
        archive_(std::move(archive)),
        prefix_(std::move(prefix)) {}

 private:
  absl::StatusOr<absl::string_view> Storage(const std::string& key) override {
    if (key == key_ && !bytes_.empty()) return bytes_;
    const std::string member = absl::StrCat(prefix_, "data/", key);
    if (archive_->sizes().count(member) == 0) return Missing(key);
    FOLDFARM_ASSIGN_OR_RETURN(bytes_, archive_->Read(member));
    key_ = key;
    return bytes_;
  }

  const std::unique_ptr<ZipArchive> archive_;
  const std::string prefix_;
  // The newest: some files keep all tensors in one storage.
  std::string key_, bytes_;
};

class LegacyFile : public PytorchFile {
 public:
  // `places` are in `bytes`.
  LegacyFile(std::string path, std::map<std::string, StoredTensor> stored,
             std::unique_ptr<const std::string> bytes,
             std::map<std::string, absl::string_view> places)
      : PytorchFile(std::move(path), std::move(stored)),
        bytes_(std::move(bytes)),
        places_(std::move(places)) {}

 private:
  absl::StatusOr<absl::string_view> Storage(const std::string& key) override {
    const auto it = places_.find(key);
    if (it == places_.end()) return Missing(key);
    return it->second;
  }

  const std::unique_ptr<const std::string> bytes_;
  const std::map<std::string, absl::string_view> places_;
};

absl::StatusOr<PickleTree> NextPickle(absl::string_view& rest,
                                      const std::string& path) {
  FOLDFARM_ASSIGN_OR_RETURN(
      PickleTree tree,
      ParsePickle(rest.substr(0, kMaxPickleBytes), IsStateDictGlobal, path));
  rest.remove_prefix(tree.size_bytes);
  return tree;
}

// The storages that follow the pickles, in the order of `keys`.
absl::StatusOr<std::map<std::string, absl::string_view>> LocateStorages(
    absl::string_view rest, const PickleTree& keys,
    const std::map<std::string, DType>& dtypes, const std::string& path) {
  std::map<std::string, absl::string_view> places;
  for (const uint32_t place : keys.at(keys.root).children) {
    const std::string& key = keys.at(place).text;
    const auto dtype = dtypes.find(key);
    if (dtype == dtypes.end()) {
      return Malformed(path, absl::StrCat("storage ", QuoteName(key),
                                          " belongs to no tensor"));
    }
    uint64_t numel = 0;
    if (rest.size() < sizeof(numel)) return Malformed(path, "cut short");
    std::memcpy(&numel, rest.data(), sizeof(numel));
    rest.remove_prefix(sizeof(numel));
    const auto size = static_cast<uint64_t>(DTypeSize(dtype->second));
    if (numel > rest.size() / size) {
      return Malformed(path, absl::StrCat("cut short: storage ", QuoteName(key),
                                          " has ", numel, " values, ",
                                          rest.size(), " bytes are left"));
    }
    places[key] = rest.substr(0, numel * size);
    rest.remove_prefix(numel * size);
  }
  return places;
}

}  // namespace

absl::StatusOr<std::unique_ptr<WeightsFile>> OpenPytorchZip(
    const std::string& path) {
  FOLDFARM_ASSIGN_OR_RETURN(auto archive, ZipArchive::Open(path));
  constexpr absl::string_view kPickle = "data.pkl";
  std::string prefix, pickle;
  for (const auto& [member, size] : archive->sizes()) {
    if (!absl::EndsWith(member, kPickle)) continue;
    const std::string before = member.substr(0, member.size() - kPickle.size());
    if (before.find('/') != std::string::npos &&
        before.find('/') + 1 != before.size()) {
      continue;
    }
    if (size > kMaxPickleBytes) {
      return Malformed(
          path, absl::StrCat(member, " has ", size, " bytes, expected at most ",
                             kMaxPickleBytes));
    }
    prefix = before;
    FOLDFARM_ASSIGN_OR_RETURN(pickle, archive->Read(member));
    break;
  }
  if (pickle.empty()) {
    return Malformed(path, "the archive has no data.pkl");
  }
  const std::string order = absl::StrCat(prefix, "byteorder");
  if (archive->sizes().count(order) > 0) {
    FOLDFARM_ASSIGN_OR_RETURN(const std::string text, archive->Read(order));
    if (text != "little") {
      return Malformed(path, absl::StrCat("its byte order is ", QuoteName(text),
                                          ", expected 'little'"));
    }
  }
  FOLDFARM_ASSIGN_OR_RETURN(const PickleTree tree,
                            ParsePickle(pickle, IsStateDictGlobal, path));
  FOLDFARM_ASSIGN_OR_RETURN(auto stored, ParseStateDict(tree, path));
  return std::make_unique<ZipFile>(path, std::move(stored), std::move(archive),
                                   std::move(prefix));
}

absl::StatusOr<std::unique_ptr<WeightsFile>> OpenPytorchLegacy(
    const std::string& path) {
  FOLDFARM_ASSIGN_OR_RETURN(std::string read, ReadFile(path));
  auto bytes = std::make_unique<const std::string>(std::move(read));
  absl::string_view rest = *bytes;
  FOLDFARM_ASSIGN_OR_RETURN(const PickleTree magic, NextPickle(rest, path));
  if (magic.at(magic.root).text != kMagic) {
    return Malformed(path, "it is a pickle, but not one of torch.save");
  }
  FOLDFARM_ASSIGN_OR_RETURN(const PickleTree version, NextPickle(rest, path));
  if (version.at(version.root).integer != kLegacyVersion) {
    return Malformed(path,
                     absl::StrCat("version ", version.at(version.root).integer,
                                  ", expected ", kLegacyVersion));
  }
  FOLDFARM_ASSIGN_OR_RETURN(const PickleTree machine, NextPickle(rest, path));
  const std::vector<uint32_t>& items = machine.at(machine.root).children;
  for (size_t i = 0; i + 1 < items.size(); i += 2) {
    if (machine.at(items[i]).text == "little_endian" &&
        machine.at(items[i + 1]).integer == 0) {
      return Malformed(path, "its bytes are big-endian");
    }
  }
  FOLDFARM_ASSIGN_OR_RETURN(const PickleTree object, NextPickle(rest, path));
  FOLDFARM_ASSIGN_OR_RETURN(auto stored, ParseStateDict(object, path));
  FOLDFARM_ASSIGN_OR_RETURN(const PickleTree keys, NextPickle(rest, path));
  FOLDFARM_ASSIGN_OR_RETURN(
      auto places, LocateStorages(rest, keys, StoragesOf(object), path));
  return std::make_unique<LegacyFile>(path, std::move(stored), std::move(bytes),
                                      std::move(places));
}

}  // namespace foldfarm
