// Reads a PNG back, to look at its pixels.
#ifndef FOLDFARM_TESTS_TESTING_PNG_IMAGE_H_
#define FOLDFARM_TESTS_TESTING_PNG_IMAGE_H_

#include <cairo.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>

#include "coordinator/cli/contact_sheet.h"

namespace foldfarm {

class PngImage {
 public:
  explicit PngImage(const std::string& bytes)
      : surface_(nullptr, cairo_surface_destroy) {
    Source source{bytes, 0};
    surface_.reset(cairo_image_surface_create_from_png_stream(&Read, &source));
  }
  // False for what is not a PNG.
  bool ok() const {
    return cairo_surface_status(surface_.get()) == CAIRO_STATUS_SUCCESS;
  }
  int width() const { return cairo_image_surface_get_width(surface_.get()); }
  int height() const { return cairo_image_surface_get_height(surface_.get()); }
  Rgb At(int x, int y) const {
    uint32_t pixel = 0;
    std::memcpy(&pixel,
                cairo_image_surface_get_data(surface_.get()) +
                    y * cairo_image_surface_get_stride(surface_.get()) + 4 * x,
                sizeof pixel);
    return {static_cast<unsigned char>(pixel >> 16),
            static_cast<unsigned char>(pixel >> 8),
            static_cast<unsigned char>(pixel)};
  }

 private:
  struct Source {
    const std::string& bytes;
    size_t at;
  };
  static cairo_status_t Read(void* closure, unsigned char* data,
                             unsigned int size) {
    auto* source = static_cast<Source*>(closure);
    if (source->bytes.size() - source->at < size) {
      return CAIRO_STATUS_READ_ERROR;
    }
    std::memcpy(data, source->bytes.data() + source->at, size);
    source->at += size;
    return CAIRO_STATUS_SUCCESS;
  }

  std::unique_ptr<cairo_surface_t, void (*)(cairo_surface_t*)> surface_;
};

inline bool operator==(const Rgb& a, const Rgb& b) {
  return a.red == b.red && a.green == b.green && a.blue == b.blue;
}

}  // namespace foldfarm

#endif  // FOLDFARM_TESTS_TESTING_PNG_IMAGE_H_
