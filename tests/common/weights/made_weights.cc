#include "tests/common/weights/made_weights.h"

#include <zip.h>

#include <cstdio>
#include <cstdlib>

#include "absl/strings/str_cat.h"

namespace foldfarm {
namespace {

std::string LittleEndian(uint64_t value, int size) {
  std::string bytes;
  for (int i = 0; i < size; ++i) {
    bytes += static_cast<char>(value >> (8 * i) & 0xff);
  }
  return bytes;
}

void Require(bool good, const char* what) {
  if (good) return;
  std::fprintf(stderr, "cannot make a file: %s\n", what);
  std::abort();
}

}  // namespace

MadePickle& MadePickle::Raw(absl::string_view bytes) {
  absl::StrAppend(&bytes_, bytes);
  return *this;
}
MadePickle& MadePickle::Text(absl::string_view text) {
  return Raw("X").Raw(LittleEndian(text.size(), 4)).Raw(text);
}
MadePickle& MadePickle::Int(int64_t value) {
  return Raw("\x8a\x08").Raw(LittleEndian(static_cast<uint64_t>(value), 8));
}
MadePickle& MadePickle::Ints(const std::vector<int64_t>& values) {
  Raw("(");
  for (const int64_t value : values) Int(value);
  return Raw("t");
}
MadePickle& MadePickle::Global(absl::string_view module,
                               absl::string_view name) {
  return Raw(absl::StrCat("c", module, "\n", name, "\n"));
}
MadePickle& MadePickle::Tensor(absl::string_view storage, absl::string_view key,
                               int64_t numel, int64_t offset,
                               const std::vector<int64_t>& shape,
                               const std::vector<int64_t>& strides) {
  Global("torch._utils", "_rebuild_tensor_v2").Raw("(");
  Raw("(").Text("storage").Global("torch", storage).Text(key).Text("cpu");
  Int(numel).Raw("tQ");
  Int(offset).Ints(shape).Ints(strides).Raw("\x89");
  return Global("collections", "OrderedDict").Raw(")RtR");
}

std::vector<int64_t> RowMajor(const std::vector<int64_t>& shape) {
  std::vector<int64_t> strides(shape.size(), 1);
  for (size_t i = shape.size(); i-- > 1;) {
    strides[i - 1] = strides[i] * shape[i];
  }
  return strides;
}

std::string FloatBytes(const std::vector<float>& values) {
  return std::string(reinterpret_cast<const char*>(values.data()),
                     values.size() * sizeof(float));
}

std::string MadeStateDict(const std::vector<MadeTensor>& tensors) {
  MadePickle pickle;
  pickle.Global("collections", "OrderedDict").Raw(")R(");
  for (size_t i = 0; i < tensors.size(); ++i) {
    const MadeTensor& tensor = tensors[i];
    pickle.Text(tensor.name)
        .Tensor("FloatStorage", absl::StrCat(i),
                static_cast<int64_t>(tensor.values.size()), 0, tensor.shape,
                RowMajor(tensor.shape));
  }
  return pickle.Raw("u").Done();
}

std::map<std::string, std::string> MadeMembers(
    const std::vector<MadeTensor>& tensors, const std::string& prefix) {
  std::map<std::string, std::string> members;
  members[prefix + "data.pkl"] = MadeStateDict(tensors);
  members[prefix + "version"] = "3\n";
  for (size_t i = 0; i < tensors.size(); ++i) {
    members[absl::StrCat(prefix, "data/", i)] = FloatBytes(tensors[i].values);
  }
  return members;
}

void WriteZip(const std::string& path,
              const std::map<std::string, std::string>& members,
              bool compress) {
  int error = 0;
  zip_t* archive = zip_open(path.c_str(), ZIP_CREATE | ZIP_TRUNCATE, &error);
  Require(archive != nullptr, "zip_open");
  for (const auto& [name, bytes] : members) {
    zip_source_t* source =
        zip_source_buffer(archive, bytes.data(), bytes.size(), 0);
    const zip_int64_t index =
        zip_file_add(archive, name.c_str(), source, ZIP_FL_ENC_UTF_8);
    Require(index >= 0, "zip_file_add");
    zip_set_file_compression(archive, static_cast<zip_uint64_t>(index),
                             compress ? ZIP_CM_DEFLATE : ZIP_CM_STORE, 0);
  }
  Require(zip_close(archive) == 0, "zip_close");
}

std::string MadeLegacy(const std::string& pickle,
                       const std::map<std::string, std::string>& storages,
                       int value_size) {
  std::string bytes = MadePickle()
                          .Raw("\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8")
                          .Raw("\x50\x19")
                          .Done();
  bytes += MadePickle().Int(1001).Done();
  bytes += MadePickle().Raw("}(").Text("little_endian").Raw("\x88u").Done();
  bytes += pickle;
  MadePickle keys;
  keys.Raw("](");
  for (const auto& item : storages) keys.Text(item.first);
  bytes += keys.Raw("e").Done();
  for (const auto& item : storages) {
    bytes +=
        LittleEndian(item.second.size() / static_cast<size_t>(value_size), 8);
    bytes += item.second;
  }
  return bytes;
}

std::string MadeLegacy(const std::vector<MadeTensor>& tensors) {
  std::map<std::string, std::string> storages;
  for (size_t i = 0; i < tensors.size(); ++i) {
    storages[absl::StrCat(i)] = FloatBytes(tensors[i].values);
  }
  return MadeLegacy(MadeStateDict(tensors), storages);
}

}  // namespace foldfarm
