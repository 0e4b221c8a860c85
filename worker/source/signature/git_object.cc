// Commits carry their signature in a header, tags at the end of the message
// (gitformat-signature).
#include "worker/source/signature/git_object.h"

#include <set>
#include <vector>

#include "base/strings.h"

namespace kiln::worker {
namespace {

Status CheckHeaders(const SignedObject& object, const std::set<std::string, std::less<>>& names) {
  const std::vector<std::string_view> needed =
      object.is_tag ? std::vector<std::string_view>{"object", "type", "tag", "tagger"}
                    : std::vector<std::string_view>{"tree", "author", "committer"};
  for (std::string_view name : needed) {
    if (names.contains(name)) continue;
    return UnknownError(StrCat("invalid ", object.is_tag ? "tag" : "commit", " object: missing ",
                               name, " header"));
  }
  return OkStatus();
}

}  // namespace

StatusOr<SignedObject> ParseSignedObject(std::string_view raw) {
  SignedObject object;
  object.is_tag = raw.starts_with("object ");
  std::set<std::string, std::less<>> names;
  std::vector<std::string_view> signature, data;
  enum { kHeaders, kSignatureHeader, kMessage, kTagSignature } place = kHeaders;
  for (std::string_view line : StrSplit(raw, '\n')) {
    if (place == kSignatureHeader) {
      if (line.starts_with(' ')) {
        signature.push_back(line.substr(1));
        continue;
      }
      place = kHeaders;
    }
    if (place == kHeaders && !object.is_tag &&
        (line.starts_with("gpgsig ") || line.starts_with("gpgsig-sha256 "))) {
      signature.push_back(line.substr(line.find(' ') + 1));
      place = kSignatureHeader;
      continue;
    }
    if (place == kMessage && object.is_tag &&
        (line == "-----BEGIN PGP SIGNATURE-----" || line == "-----BEGIN SSH SIGNATURE-----")) {
      place = kTagSignature;
    }
    if (place == kTagSignature) {
      signature.push_back(line);
      continue;
    }
    data.push_back(line);
    if (place != kHeaders) continue;
    if (line.empty()) place = kMessage;
    if (size_t space = line.find(' '); space != std::string_view::npos) {
      names.emplace(line.substr(0, space));
    }
  }
  object.signature = StrJoin(signature, "\n");
  object.data = StrJoin(data, "\n");
  if (object.is_tag) object.data += "\n";
  RETURN_IF_ERROR(CheckHeaders(object, names));
  return object;
}

}  // namespace kiln::worker
