// Entries of image archives. See image_archive.h.
#include "worker/exporter/image_archive.h"

#include <map>

#include "base/go_json.h"
#include "oci/manifest.h"
#include "oci/reference.h"
#include "oci/tar.h"
#include "worker/exporter/image_commit.h"

namespace kiln::worker {
namespace {

using oci::Descriptor;

std::string BlobPath(const Digest& digest) {
  return StrCat("blobs/", digest.algorithm(), "/", digest.hex());
}

// The part of a name after the path: "latest", or all of it without a tag.
std::string RefName(const std::string& name) {
  size_t slash = name.find('/');
  size_t start = slash == std::string::npos ? 0 : slash;
  size_t mark = name.find_first_of(":@", start);
  if (mark == std::string::npos || name[mark] == '@') return name;
  return name.substr(mark + 1);
}

std::string LayoutIndex(const ImageArchive& archive) {
  oci::Index index{.media_type = std::string(oci::kOciIndex)};
  for (const std::string& name : archive.names) {
    Descriptor named = archive.root;
    named.annotations["io.containerd.image.name"] = name;
    named.annotations["org.opencontainers.image.ref.name"] = RefName(name);
    index.manifests.push_back(std::move(named));
  }
  if (archive.names.empty()) index.manifests.push_back(archive.root);
  return oci::IndexJson(index);
}

StatusOr<std::string> DockerManifest(cache::BlobSource& blobs, const ImageArchive& archive) {
  ASSIGN_OR_RETURN(std::string bytes, cache::ReadBlob(blobs, archive.root));
  ASSIGN_OR_RETURN(oci::Manifest manifest, oci::ParseManifest(bytes));
  std::vector<std::string> tags, layers;
  for (const std::string& name : archive.names) {
    ASSIGN_OR_RETURN(oci::Reference reference, oci::ParseReference(name));
    tags.push_back(oci::WithDefaultTag(reference).Familiar());
  }
  for (const Descriptor& layer : manifest.layers) layers.push_back(BlobPath(layer.digest));
  GoJsonObject object;
  object.String("Config", BlobPath(manifest.config.digest));
  object.Raw("RepoTags", tags.empty() ? "null" : GoJsonArray(tags));
  object.Raw("Layers", layers.empty() ? "null" : GoJsonArray(layers));
  return StrCat("[", object.Finish(), "]");
}

Status WriteText(oci::TarWriter& tar, const std::string& name, int64_t mode,
                 const std::string& text) {
  oci::TarHeader header;
  header.name = name;
  header.mode = mode;
  header.size = static_cast<int64_t>(text.size());
  RETURN_IF_ERROR(tar.WriteHeader(header));
  return tar.Write(text);
}

Status WriteFolder(oci::TarWriter& tar, const std::string& name) {
  oci::TarHeader header;
  header.type = '5';
  header.name = name;
  header.mode = 0755;
  return tar.WriteHeader(header);
}

Status WriteBlobEntry(oci::TarWriter& tar, cache::BlobSource& blobs, const Descriptor& blob) {
  oci::TarHeader header;
  header.name = BlobPath(blob.digest);
  header.mode = 0444;
  header.size = blob.size;
  StatusOr<std::unique_ptr<cache::BlobReader>> reader = blobs.Open(blob);
  if (!reader.ok()) return Annotate(reader.status(), "failed to get reader");
  RETURN_IF_ERROR(tar.WriteHeader(header));
  std::string buffer(256 << 10, '\0');
  Sha256 hash;
  uint64_t offset = 0;
  for (;;) {
    ASSIGN_OR_RETURN(size_t count,
                     (*reader)->ReadAt(offset, std::as_writable_bytes(std::span<char>(buffer))));
    if (count == 0) break;
    std::string_view bytes = std::string_view(buffer).substr(0, count);
    hash.Update(bytes);
    RETURN_IF_ERROR(tar.Write(bytes));
    offset += count;
  }
  Digest digest = hash.Finish();
  if (digest != blob.digest && blob.digest.algorithm() == "sha256") {
    return DataLossError(StrCat("unexpected digest ", digest.text(), " copied"));
  }
  return OkStatus();
}

}  // namespace

Status WriteImageArchive(cache::BlobSource& blobs, const ImageArchive& archive,
                         const oci::WriteFn& out) {
  ASSIGN_OR_RETURN(std::vector<Descriptor> found, BlobsOf(blobs, archive.root));
  std::map<std::string, Descriptor> by_path;  // archives are sorted by name
  std::map<std::string, bool> algorithms;
  for (Descriptor& blob : found) {
    algorithms[std::string(blob.digest.algorithm())] = true;
    by_path.emplace(BlobPath(blob.digest), std::move(blob));
  }
  oci::TarWriter tar(out);
  RETURN_IF_ERROR(WriteFolder(tar, "blobs/"));
  for (const auto& [algorithm, unused] : algorithms) {
    RETURN_IF_ERROR(WriteFolder(tar, StrCat("blobs/", algorithm, "/")));
    for (const auto& [path, blob] : by_path) {
      if (blob.digest.algorithm() != algorithm) continue;
      RETURN_IF_ERROR(WriteBlobEntry(tar, blobs, blob));
    }
  }
  RETURN_IF_ERROR(WriteText(tar, "index.json", 0644, LayoutIndex(archive)));
  if (archive.docker && oci::IsManifestType(archive.root.media_type)) {
    ASSIGN_OR_RETURN(std::string manifest, DockerManifest(blobs, archive));
    RETURN_IF_ERROR(WriteText(tar, "manifest.json", 0644, manifest));
  }
  RETURN_IF_ERROR(WriteText(tar, "oci-layout", 0444, R"({"imageLayoutVersion":"1.0.0"})"));
  return tar.Close();
}

}  // namespace kiln::worker
