// The roles of session-peer; each gives the exit status of the program.
#pragma once

#include <string>
#include <vector>

namespace kiln {

// A build of an image, about which the client is asked. See session_peer.cc for the words.
int BeAsked(const std::string& address, const std::string& image,
            const std::vector<std::string>& answers);
// A build of a file "hello", with an exporter that the client names when it is asked.
int BeExporter(const std::string& address, const std::string& answer,
               const std::vector<std::string>& attrs);
// A session that answers `checks` health checks and then no more.
int BeSilent(const std::string& address, const std::string& timeout, int checks);

}  // namespace kiln
