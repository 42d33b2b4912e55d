// Arrays in a file: the safetensors format, our one container for datasets,
// weights, optimizer state and predictions.
//
// Layout: 8 bytes little-endian header size, a JSON header (name -> dtype,
// shape, data_offsets; "__metadata__" -> strings), then the bytes. Data, never
// code: reading a file runs nothing. Files of others (timm's) read as well.
//
// A TensorFile is immutable and thread-safe; a TensorFileWriter is not.
#ifndef FOLDFARM_COMMON_TENSORFILE_TENSORFILE_H_
#define FOLDFARM_COMMON_TENSORFILE_TENSORFILE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace foldfarm {

enum class DType { kBool, kU8, kI8, kI16, kI32, kI64, kF16, kBF16, kF32, kF64 };

// "F32" and its kin, as the format spells them.
absl::string_view DTypeName(DType dtype);
int64_t DTypeSize(DType dtype);

// A tensor inside a TensorFile; the bytes are valid as long as that is.
struct TensorView {
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  absl::string_view bytes;  // Row-major, little-endian, aligned for its dtype.
};

class TensorFile {
 public:
  // Maps the file. Errors: those of opening; INVALID_ARGUMENT naming the file
  // and what is malformed (header size, JSON, dtype, shape against offsets,
  // overlap, hole, end of file). Tensors that lie unaligned are copied.
  static absl::StatusOr<std::shared_ptr<const TensorFile>> Open(
      const std::string& path);

  // The same for bytes in memory; `name` stands in messages.
  static absl::StatusOr<std::shared_ptr<const TensorFile>> Parse(
      std::string bytes, const std::string& name);

  // Reads header and metadata only of a file that may be large.
  static absl::StatusOr<std::map<std::string, std::string>> ReadMetadata(
      const std::string& path);

  virtual ~TensorFile() = default;

  const std::map<std::string, std::string>& metadata() const {
    return metadata_;
  }
  // The metadata value, or NOT_FOUND naming file and key.
  absl::StatusOr<std::string> Metadata(const std::string& key) const;

  const std::map<std::string, TensorView>& tensors() const { return tensors_; }

  // NOT_FOUND names file and tensor.
  absl::StatusOr<TensorView> Get(const std::string& name) const;

  // A tensor's values, checked for dtype and shape; -1 in `shape` fits any
  // size. Errors: NOT_FOUND; INVALID_ARGUMENT naming got and expected.
  absl::StatusOr<absl::Span<const float>> F32(
      const std::string& name, const std::vector<int64_t>& shape) const;
  absl::StatusOr<absl::Span<const double>> F64(
      const std::string& name, const std::vector<int64_t>& shape) const;
  absl::StatusOr<absl::Span<const int64_t>> I64(
      const std::string& name, const std::vector<int64_t>& shape) const;
  absl::StatusOr<absl::Span<const uint8_t>> U8(
      const std::string& name, const std::vector<int64_t>& shape) const;

 protected:
  TensorFile() = default;
  std::string name_;
  std::map<std::string, std::string> metadata_;
  std::map<std::string, TensorView> tensors_;

 private:
  // Fills the members from a whole file. `bytes` must live as long as this.
  absl::Status Load(absl::string_view bytes, const std::string& name);
  template <typename T>
  absl::StatusOr<absl::Span<const T>> Typed(
      const std::string& name, DType dtype,
      const std::vector<int64_t>& shape) const;

  std::vector<std::unique_ptr<char[]>>
      aligned_;  // Copies of unaligned tensors.
};

// Collects tensors and writes them by falling dtype size, then by name, as the
// reference writer does. The header is padded with spaces so that the data
// begins at a multiple of 64 bytes; there are no holes between tensors (the
// reference reader refuses them), so each is aligned for its dtype. Same input,
// same bytes.
class TensorFileWriter {
 public:
  void SetMetadata(const std::string& key, const std::string& value);

  // `bytes` is copied. REQUIRES: its size is that of dtype and shape.
  void Add(const std::string& name, DType dtype, std::vector<int64_t> shape,
           absl::string_view bytes);
  void AddF32(const std::string& name, std::vector<int64_t> shape,
              absl::Span<const float> values);
  void AddF64(const std::string& name, std::vector<int64_t> shape,
              absl::Span<const double> values);
  void AddI64(const std::string& name, std::vector<int64_t> shape,
              absl::Span<const int64_t> values);
  void AddU8(const std::string& name, std::vector<int64_t> shape,
             absl::Span<const uint8_t> values);

  // The same for large data, in pieces that follow each other: they must
  // outlive the writer, unchanged.
  void AddBorrowed(const std::string& name, DType dtype,
                   std::vector<int64_t> shape,
                   std::vector<absl::string_view> pieces);

  std::string Serialize() const;

  // Hands out the bytes of Serialize in order, in pieces, without copying the
  // tensors. Stops at the first error and returns it.
  absl::Status SerializeTo(
      absl::FunctionRef<absl::Status(absl::string_view)> sink) const;

 private:
  struct Entry {
    DType dtype;
    std::vector<int64_t> shape;
    std::string owned;
    std::vector<absl::string_view> pieces;  // After `owned`.
    int64_t size_bytes = 0;
  };
  std::map<std::string, std::string> metadata_;
  std::map<std::string, Entry> entries_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_TENSORFILE_TENSORFILE_H_
