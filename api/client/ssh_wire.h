// SSH's data types (RFC 4251): strings with a length, numbers, big numbers.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace kiln::api {

void PutU32(uint32_t number, std::string* out);
void PutString(std::string_view text, std::string* out);
// Big-endian and unsigned; leading zeros go, and one comes where the sign bit would be set.
void PutMpint(std::string_view bytes, std::string* out);

// Reads from the front. After a read beyond the end `ok` is false, and reads give nothing.
class SshReader {
 public:
  explicit SshReader(std::string_view bytes) : rest_(bytes) {}
  uint32_t U32();
  std::string_view String();
  std::string_view Take(size_t count);
  bool ok() const { return ok_; }
  bool empty() const { return rest_.empty(); }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

}  // namespace kiln::api
