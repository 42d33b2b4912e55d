#include "coordinator/cli/tfevents.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <bit>

#include "common/base/crc32c.h"

namespace foldfarm {
namespace {

using google::protobuf::io::CodedOutputStream;
using google::protobuf::io::StringOutputStream;

// A message's bytes, field by field.
class MessageWriter {
 public:
  MessageWriter() : stream_(&bytes_), out_(&stream_) {}

  MessageWriter& Varint(int field, uint64_t value) {
    out_.WriteVarint32(Key(field, 0));
    out_.WriteVarint64(value);
    return *this;
  }
  MessageWriter& Double(int field, double value) {
    out_.WriteVarint32(Key(field, 1));
    out_.WriteLittleEndian64(std::bit_cast<uint64_t>(value));
    return *this;
  }
  MessageWriter& Float(int field, float value) {
    out_.WriteVarint32(Key(field, 5));
    out_.WriteLittleEndian32(std::bit_cast<uint32_t>(value));
    return *this;
  }
  // A string or a message.
  MessageWriter& Bytes(int field, absl::string_view value) {
    out_.WriteVarint32(Key(field, 2));
    out_.WriteVarint64(value.size());
    out_.WriteRaw(value.data(), static_cast<int>(value.size()));
    return *this;
  }
  std::string Finish() {
    out_.Trim();
    return bytes_;
  }

 private:
  static uint32_t Key(int field, uint32_t wire_type) {
    return static_cast<uint32_t>(field) << 3 | wire_type;
  }

  std::string bytes_;
  StringOutputStream stream_;
  CodedOutputStream out_;
};

std::string LittleEndian(uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) {
    text += static_cast<char>(value >> (8 * i) & 0xFF);
  }
  return text;
}

// Rotated and offset, so that the checksum of data that hold a checksum stays
// strong.
std::string MaskedCrc(absl::string_view data) {
  const uint32_t crc = Crc32c(data);
  return LittleEndian((crc >> 15 | crc << 17) + 0xA282EAD8u, 4);
}

std::string Record(const std::string& data) {
  const std::string size = LittleEndian(data.size(), 8);
  return size + MaskedCrc(size) + data + MaskedCrc(data);
}

constexpr int kFileVersion = 3;  // Fields of Event.
constexpr int kSummary = 5;
constexpr int kString = 7;  // DT_STRING of types.proto.

}  // namespace

EventFile::EventFile(absl::Time begin) {
  AddEvent(begin, 0, kFileVersion, "brain.Event:2");
}

void EventFile::AddEvent(absl::Time time, int64_t step, int field,
                         absl::string_view content) {
  const double seconds = absl::ToDoubleSeconds(time - absl::UnixEpoch());
  bytes_ += Record(MessageWriter()
                       .Double(1, seconds)
                       .Varint(2, static_cast<uint64_t>(step))
                       .Bytes(field, content)
                       .Finish());
}

void EventFile::AddScalars(
    absl::Time time, int64_t step,
    const std::vector<std::pair<std::string, double>>& values) {
  if (values.empty()) return;
  MessageWriter summary;
  for (const auto& [tag, value] : values) {
    summary.Bytes(1, MessageWriter()
                         .Bytes(1, tag)
                         .Float(2, static_cast<float>(value))
                         .Finish());
  }
  AddEvent(time, step, kSummary, summary.Finish());
}

void EventFile::AddText(absl::Time time, int64_t step, absl::string_view tag,
                        absl::string_view markdown) {
  // A tensor of one string, shape [1].
  const std::string shape =
      MessageWriter().Bytes(2, MessageWriter().Varint(1, 1).Finish()).Finish();
  const std::string tensor = MessageWriter()
                                 .Varint(1, kString)
                                 .Bytes(2, shape)
                                 .Bytes(8, markdown)
                                 .Finish();
  const std::string metadata =
      MessageWriter()
          .Bytes(1, MessageWriter().Bytes(1, "text").Finish())
          .Finish();
  const std::string value = MessageWriter()
                                .Bytes(1, tag)
                                .Bytes(8, tensor)
                                .Bytes(9, metadata)
                                .Finish();
  AddEvent(time, step, kSummary, MessageWriter().Bytes(1, value).Finish());
}

}  // namespace foldfarm
