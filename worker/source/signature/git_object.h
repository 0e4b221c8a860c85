// A commit or a tag of git as its signature sees it. Text only.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace kiln::worker {

struct SignedObject {
  bool is_tag = false;
  std::string signature;  // armored; "" if it is not signed
  std::string data;       // what the signature is over
};

// UNKNOWN "invalid commit object: missing tree header" and the like.
StatusOr<SignedObject> ParseSignedObject(std::string_view raw);

}  // namespace kiln::worker
