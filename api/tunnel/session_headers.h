// Names of the headers that travel with Control.Session and with calls inside it.
#pragma once

#include <string_view>

namespace kiln::api {

// gRPC sends and receives header names in lower case.
inline constexpr std::string_view kSessionId = "x-docker-expose-session-uuid";
inline constexpr std::string_view kSessionName = "x-docker-expose-session-name";
inline constexpr std::string_view kSessionSharedKey = "x-docker-expose-session-sharedkey";
// Repeated: one per method that the client serves.
inline constexpr std::string_view kSessionMethod = "x-docker-expose-session-grpc-method";
// Milliseconds; replaces interval and time limit of the health check.
inline constexpr std::string_view kSessionHealthTimeout =
    "x-buildkit-session-health-custom-timeout";
// Ties a call of LLBBridge to the build whose Solve is open.
inline constexpr std::string_view kBuildId = "buildkit-controlapi-buildid";

// Both directions, as the reference sets it on server, client and session.
inline constexpr int kMaxMessageBytes = 16 << 20;

}  // namespace kiln::api
