#include <map>

#include "base/strings.h"
#include "worker/proxy/proxy_config.h"

namespace kiln::worker::proxy {

void ProxyCapture::Add(ProxyMaterial material) {
  std::lock_guard lock(mutex_);
  materials_.push_back(std::move(material));
}

void ProxyCapture::Add(ProxyRequest request) {
  std::lock_guard lock(mutex_);
  requests_.push_back(std::move(request));
}

void ProxyCapture::Add(ProxyGap gap) {
  std::lock_guard lock(mutex_);
  gaps_.push_back(std::move(gap));
}

std::vector<ProxyMaterial> ProxyCapture::Materials() const {
  std::lock_guard lock(mutex_);
  std::vector<ProxyMaterial> out = materials_;
  std::map<std::string, Digest> known;
  for (const ProxyMaterial& material : out) known[material.url] = material.digest;
  // A chain of redirects may have been walked in any order.
  for (bool added = true; added;) {
    added = false;
    for (const ProxyRequest& request : requests_) {
      if (request.redirect.empty() || known.contains(request.url)) continue;
      auto target = known.find(request.redirect);
      if (target == known.end()) continue;
      out.push_back({request.url, target->second});
      known.emplace(request.url, target->second);
      added = true;
    }
  }
  return out;
}

std::vector<ProxyRequest> ProxyCapture::Requests() const {
  std::lock_guard lock(mutex_);
  return requests_;
}

std::vector<ProxyGap> ProxyCapture::Gaps() const {
  std::lock_guard lock(mutex_);
  return gaps_;
}

std::string ProxyCapture::LogText() const {
  std::lock_guard lock(mutex_);
  if (requests_.empty()) return "";
  std::string text = "proxy network requests:\n";
  for (const ProxyRequest& request : requests_) {
    text += StrCat("- ", request.method, " ", request.url);
    if (request.status != 0) text += StrCat(" -> ", request.status);
    text += "\n";
  }
  return text;
}

}  // namespace kiln::worker::proxy
