// Protobuf messages as Go's encoding/json prints the generated structs.
#pragma once

#include <nlohmann/json.hpp>

namespace google::protobuf {
class Message;
}

namespace kiln::buildctl {

// Members that are unset or zero are left out; numbers stay numbers, bytes are base64.
// A oneof is a member of its own ("Op": {"exec": …}).
nlohmann::ordered_json MessageJson(const google::protobuf::Message& message);

}  // namespace kiln::buildctl
