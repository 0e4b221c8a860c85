// EnvList: environment variables in the order in which they were last set.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kiln::llb {

// A value. Not thread-safe while it is changed. Set and Get cost O(log n).
class EnvList {
 public:
  // A name that was set before moves to the end.
  void Set(std::string_view key, std::string value);
  void Delete(std::string_view key);
  std::optional<std::string> Get(std::string_view key) const;
  size_t size() const { return index_.size(); }
  std::vector<std::string> Keys() const;
  // "K=V" texts.
  std::vector<std::string> ToArray() const;

 private:
  struct Entry {
    std::string key;
    std::string value;
    bool live = true;
  };
  void Compact();

  std::vector<Entry> entries_;
  std::map<std::string, size_t, std::less<>> index_;
};

}  // namespace kiln::llb
