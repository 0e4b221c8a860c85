// errdefs.Source{info = 1, ranges = 2}.
#include "frontend/dockerfile/build/source_error.h"

#include "llb/proto/ops.pb.h"

namespace kiln::dockerfile {
namespace {

constexpr char kSourceUrl[] = "github.com/moby/buildkit/errdefs.Source+json";

}  // namespace

std::string StringField(int number, std::string_view bytes) {
  std::string out(1, static_cast<char>((number << 3) | 2));
  size_t length = bytes.size();
  for (; length >= 0x80; length >>= 7) out += static_cast<char>((length & 0x7F) | 0x80);
  out += static_cast<char>(length);
  out += bytes;
  return out;
}

bool HasSource(const Status& error) { return error.FindDetail(kSourceUrl) != nullptr; }

Status WithSource(const Status& error, const llb::SourceMap& map,
                  const std::vector<Range>& ranges) {
  pb::SourceInfo info;
  info.set_filename(map.filename);
  info.set_language(map.language);
  info.set_data(map.data);
  if (map.definition != nullptr) *info.mutable_definition() = *map.definition;
  std::string bytes = StringField(1, info.SerializeAsString());
  for (const Range& range : ranges) {
    pb::Range written;
    written.mutable_start()->set_line(range.start.line);
    written.mutable_start()->set_character(range.start.character);
    written.mutable_end()->set_line(range.end.line);
    written.mutable_end()->set_character(range.end.character);
    bytes += StringField(2, written.SerializeAsString());
  }
  Status status = error;
  status.AddDetail(kSourceUrl, std::move(bytes));
  return status;
}

Status WithSources(const Status& error, const llb::SourceMap& map) {
  Status status = error;
  for (const std::vector<Range>& group : Locations(error)) {
    status = WithSource(status, map, group);
  }
  return status;
}

}  // namespace kiln::dockerfile
