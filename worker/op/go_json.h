// JSON of LLB messages exactly as Go's encoding/json writes the reference's structs.
//
// Cache keys are digests of this text, so that every byte counts: members in the
// order of the .proto, zero values left out, `<`, `>` and `&` escaped.
#pragma once

#include <string>
#include <string_view>

namespace google::protobuf {
class Message;
}

namespace kiln::worker {

std::string GoJson(const google::protobuf::Message& message);
// A JSON string with its quotes.
std::string GoJsonString(std::string_view text);

}  // namespace kiln::worker
