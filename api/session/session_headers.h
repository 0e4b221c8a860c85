// Headers of calls to a client, made of what users wrote.
//
// gRPC ends the process over a header that HTTP/2 cannot carry, so nothing that
// comes from outside is added without a look.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace grpc {
class ClientContext;
}

namespace kiln::api {

// INTERNAL in the reference's words for names and values that cannot be sent.
Status CheckHeader(std::string_view key, std::string_view value);
// Adds the header, or nothing if CheckHeader refuses it.
Status AddHeader(grpc::ClientContext& context, const std::string& key, std::string_view value);

}  // namespace kiln::api
