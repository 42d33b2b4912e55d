#include <algorithm>
#include <cassert>
#include <nlohmann/json.hpp>
#include <utility>

#include "common/base/json_text.h"
#include "common/base/status_macros.h"
#include "common/tensorfile/tensorfile.h"

namespace foldfarm {
namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kSizeBytes = 8;

template <typename T>
absl::string_view BytesOf(absl::Span<const T> values) {
  return {reinterpret_cast<const char*>(values.data()),
          values.size() * sizeof(T)};
}

int64_t SizeOf(DType dtype, const std::vector<int64_t>& shape) {
  int64_t size = DTypeSize(dtype);
  for (const int64_t n : shape) size *= n;
  return size;
}

}  // namespace

void TensorFileWriter::SetMetadata(const std::string& key,
                                   const std::string& value) {
  metadata_[key] = value;
}

void TensorFileWriter::Add(const std::string& name, DType dtype,
                           std::vector<int64_t> shape,
                           absl::string_view bytes) {
  const auto size_bytes = static_cast<int64_t>(bytes.size());
  assert(size_bytes == SizeOf(dtype, shape));
  entries_[name] =
      Entry{dtype, std::move(shape), std::string(bytes), {}, size_bytes};
}

void TensorFileWriter::AddBorrowed(const std::string& name, DType dtype,
                                   std::vector<int64_t> shape,
                                   std::vector<absl::string_view> pieces) {
  const int64_t size_bytes = SizeOf(dtype, shape);
  entries_[name] =
      Entry{dtype, std::move(shape), "", std::move(pieces), size_bytes};
}

void TensorFileWriter::AddF32(const std::string& name,
                              std::vector<int64_t> shape,
                              absl::Span<const float> values) {
  Add(name, DType::kF32, std::move(shape), BytesOf(values));
}
void TensorFileWriter::AddF64(const std::string& name,
                              std::vector<int64_t> shape,
                              absl::Span<const double> values) {
  Add(name, DType::kF64, std::move(shape), BytesOf(values));
}
void TensorFileWriter::AddI64(const std::string& name,
                              std::vector<int64_t> shape,
                              absl::Span<const int64_t> values) {
  Add(name, DType::kI64, std::move(shape), BytesOf(values));
}
void TensorFileWriter::AddU8(const std::string& name,
                             std::vector<int64_t> shape,
                             absl::Span<const uint8_t> values) {
  Add(name, DType::kU8, std::move(shape), BytesOf(values));
}

std::string TensorFileWriter::Serialize() const {
  std::string out;
  // The sink cannot fail.
  SerializeTo([&](absl::string_view piece) {
    out.append(piece.data(), piece.size());
    return absl::OkStatus();
  }).IgnoreError();
  return out;
}

absl::Status TensorFileWriter::SerializeTo(
    absl::FunctionRef<absl::Status(absl::string_view)> sink) const {
  using Item = std::pair<const std::string, Entry>;
  std::vector<const Item*> order;
  for (const Item& item : entries_) order.push_back(&item);
  std::stable_sort(
      order.begin(), order.end(), [](const Item* a, const Item* b) {
        return DTypeSize(a->second.dtype) > DTypeSize(b->second.dtype);
      });
  // Keeps the order of insertion: metadata, then tensors as they are stored.
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata_.empty()) header["__metadata__"] = metadata_;
  size_t offset = 0;
  for (const Item* item : order) {
    const Entry& entry = item->second;
    const size_t end = offset + static_cast<size_t>(entry.size_bytes);
    header[item->first] = {{"dtype", std::string(DTypeName(entry.dtype))},
                           {"shape", entry.shape},
                           {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text = JsonText(header);
  const size_t used = (kSizeBytes + text.size()) % kAlignment;
  if (used != 0) text.append(kAlignment - used, ' ');
  std::string first(kSizeBytes, '\0');
  const uint64_t size = text.size();
  std::copy_n(reinterpret_cast<const char*>(&size), kSizeBytes, first.begin());

  FOLDFARM_RETURN_IF_ERROR(sink(first + text));
  for (const Item* item : order) {
    FOLDFARM_RETURN_IF_ERROR(sink(item->second.owned));
    for (absl::string_view piece : item->second.pieces) {
      FOLDFARM_RETURN_IF_ERROR(sink(piece));
    }
  }
  return absl::OkStatus();
}

}  // namespace foldfarm
