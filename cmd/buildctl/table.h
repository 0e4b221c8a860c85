// Table: columns lined up as Go's text/tabwriter does with tabs.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace kiln::buildctl {

// Cells end with '\t'; what follows the last one is no part of a column. Widths
// hold for adjoining lines that have the column.
class Table {
 public:
  // `tabs`: fill with tabs of 8, at least one; otherwise with single blanks.
  explicit Table(bool tabs = true) : tabs_(tabs) {}
  void Add(std::string_view lines);  // ends with '\n'
  // What was added since the last call, lined up.
  std::string Flush();

 private:
  using Line = std::vector<std::string>;
  void Format(size_t from, size_t to, std::vector<size_t>& widths, std::string* out, size_t* done);
  void Print(size_t from, size_t to, const std::vector<size_t>& widths, std::string* out) const;

  bool tabs_;
  std::vector<Line> lines_;
};

}  // namespace kiln::buildctl
