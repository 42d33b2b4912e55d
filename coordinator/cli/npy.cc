#include "coordinator/cli/npy.h"

#include <bit>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"

namespace foldfarm {
namespace {

static_assert(std::endian::native == std::endian::little,
              "values are written as they lie in memory");

std::string Npy(absl::string_view type, const std::vector<int64_t>& shape,
                absl::string_view bytes) {
  constexpr size_t kBeforeHeader = 10;
  constexpr size_t kAlignment = 64;
  // A tuple of one needs its comma.
  std::string header = absl::StrCat(
      "{'descr': '", type, "', 'fortran_order': False, 'shape': (",
      absl::StrJoin(shape, ", "), shape.size() == 1 ? "," : "", "), }");
  const size_t unpadded = kBeforeHeader + header.size() + 1;
  header.append((kAlignment - unpadded % kAlignment) % kAlignment, ' ');
  header += '\n';
  const auto size = static_cast<uint16_t>(header.size());
  std::string file("\x93NUMPY\x01\x00", 8);
  file += static_cast<char>(size & 0xFF);
  file += static_cast<char>(size >> 8);
  absl::StrAppend(&file, header, bytes);
  return file;
}

template <typename T>
absl::string_view Bytes(absl::Span<const T> values) {
  return {reinterpret_cast<const char*>(values.data()),
          values.size() * sizeof(T)};
}

}  // namespace

std::string NpyF64(const std::vector<int64_t>& shape,
                   absl::Span<const double> values) {
  return Npy("<f8", shape, Bytes(values));
}

std::string NpyI32(const std::vector<int64_t>& shape,
                   absl::Span<const int32_t> values) {
  return Npy("<i4", shape, Bytes(values));
}

}  // namespace foldfarm
