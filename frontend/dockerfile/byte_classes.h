// ByteClasses: a text as ANTLR's input, one character for each byte. Included by the
// two users of ANTLR only.
#pragma once

#include <antlr4-runtime.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

namespace kiln::dockerfile {

// What the grammar sees may differ from the text byte by byte, never in length, except
// that more may be seen at the end. One thread at a time.
class ByteClasses : public antlr4::CharStream {
 public:
  // `text` must outlive the use; `classes` are bytes below 0x80.
  void Set(std::string_view text, std::string classes) {
    text_ = text;
    classes_ = std::move(classes);
    at_ = 0;
  }

  void consume() override { ++at_; }
  size_t LA(ssize_t i) override {
    if (i == 0) return 0;
    const auto index = static_cast<ssize_t>(at_) + (i > 0 ? i - 1 : i);
    if (index < 0 || index >= static_cast<ssize_t>(classes_.size())) return IntStream::EOF;
    return static_cast<unsigned char>(classes_[static_cast<size_t>(index)]);
  }
  ssize_t mark() override { return -1; }
  void release(ssize_t) override {}
  size_t index() override { return at_; }
  void seek(size_t index) override { at_ = std::min(index, classes_.size()); }
  size_t size() override { return classes_.size(); }
  std::string getSourceName() const override { return "line"; }
  std::string getText(const antlr4::misc::Interval& interval) override {
    const auto first = static_cast<size_t>(interval.a);
    return std::string(text_.substr(std::min(first, text_.size()),
                                    static_cast<size_t>(interval.b - interval.a + 1)));
  }
  std::string toString() const override { return std::string(text_); }

 private:
  std::string_view text_;
  std::string classes_;
  size_t at_ = 0;
};

}  // namespace kiln::dockerfile
