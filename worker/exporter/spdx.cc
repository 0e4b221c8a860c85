// The members of each object are tables: what is not in them is dropped, and the
// order is theirs. See spdx.h.
#include "worker/exporter/spdx.h"

#include <nlohmann/json.hpp>
#include <set>
#include <span>

#include "base/go_json.h"
#include "base/strings.h"

namespace kiln::worker {
namespace {

using Json = nlohmann::json;

enum class Kind {
  kText,     // always there
  kSome,     // a text, left out if empty
  kTexts,    // a list of texts, left out if empty
  kMust,     // a list of texts, null if missing
  kFlag,     // always there
  kNumber,   // left out if zero
  kObject,   // always there
  kMaybe,    // an object, left out if missing
  kObjects,  // left out if empty
  kMustObjects,  // null if missing
};
struct Member {
  const char* name;
  Kind kind;
  std::span<const Member> members = {};
};

constexpr Member kChecksum[] = {{"algorithm", Kind::kText}, {"checksumValue", Kind::kText}};
constexpr Member kAnnotation[] = {{"annotator", Kind::kText},
                                  {"annotationDate", Kind::kText},
                                  {"annotationType", Kind::kText},
                                  {"comment", Kind::kText}};
constexpr Member kDocumentRef[] = {{"externalDocumentId", Kind::kText},
                                   {"spdxDocument", Kind::kText},
                                   {"checksum", Kind::kObject, kChecksum}};
constexpr Member kCreation[] = {{"licenseListVersion", Kind::kSome},
                                {"creators", Kind::kMust},
                                {"created", Kind::kText},
                                {"comment", Kind::kSome}};
constexpr Member kArtifactOf[] = {
    {"name", Kind::kText}, {"homePage", Kind::kText}, {"URI", Kind::kText}};
constexpr Member kFile[] = {{"fileName", Kind::kText},
                            {"SPDXID", Kind::kText},
                            {"fileTypes", Kind::kTexts},
                            {"checksums", Kind::kMustObjects, kChecksum},
                            {"licenseConcluded", Kind::kSome},
                            {"licenseInfoInFiles", Kind::kTexts},
                            {"licenseComments", Kind::kSome},
                            {"copyrightText", Kind::kText},
                            {"artifactOfs", Kind::kObjects, kArtifactOf},
                            {"comment", Kind::kSome},
                            {"noticeText", Kind::kSome},
                            {"fileContributors", Kind::kTexts},
                            {"attributionTexts", Kind::kTexts},
                            {"fileDependencies", Kind::kTexts},
                            {"annotations", Kind::kObjects, kAnnotation}};
constexpr Member kVerification[] = {{"packageVerificationCodeValue", Kind::kText},
                                    {"packageVerificationCodeExcludedFiles", Kind::kTexts}};
constexpr Member kExternalRef[] = {{"referenceCategory", Kind::kText},
                                   {"referenceType", Kind::kText},
                                   {"referenceLocator", Kind::kText},
                                   {"comment", Kind::kSome}};
constexpr Member kPackage[] = {{"name", Kind::kText},
                               {"SPDXID", Kind::kText},
                               {"versionInfo", Kind::kSome},
                               {"packageFileName", Kind::kSome},
                               {"supplier", Kind::kSome},
                               {"originator", Kind::kSome},
                               {"downloadLocation", Kind::kText},
                               {"filesAnalyzed", Kind::kFlag},
                               {"packageVerificationCode", Kind::kMaybe, kVerification},
                               {"checksums", Kind::kObjects, kChecksum},
                               {"homepage", Kind::kSome},
                               {"sourceInfo", Kind::kSome},
                               {"licenseConcluded", Kind::kSome},
                               {"licenseInfoFromFiles", Kind::kTexts},
                               {"licenseDeclared", Kind::kSome},
                               {"licenseComments", Kind::kSome},
                               {"copyrightText", Kind::kSome},
                               {"summary", Kind::kSome},
                               {"description", Kind::kSome},
                               {"comment", Kind::kSome},
                               {"externalRefs", Kind::kObjects, kExternalRef},
                               {"attributionTexts", Kind::kTexts},
                               {"primaryPackagePurpose", Kind::kSome},
                               {"releaseDate", Kind::kSome},
                               {"builtDate", Kind::kSome},
                               {"validUntilDate", Kind::kSome},
                               {"files", Kind::kObjects, kFile},
                               {"annotations", Kind::kObjects, kAnnotation}};
constexpr Member kLicense[] = {{"licenseId", Kind::kText},
                               {"extractedText", Kind::kText},
                               {"name", Kind::kSome},
                               {"seeAlsos", Kind::kTexts},
                               {"comment", Kind::kSome}};
constexpr Member kRelationship[] = {{"spdxElementId", Kind::kText},
                                    {"relatedSpdxElement", Kind::kText},
                                    {"relationshipType", Kind::kText},
                                    {"comment", Kind::kSome}};
constexpr Member kPointer[] = {
    {"offset", Kind::kNumber}, {"lineNumber", Kind::kNumber}, {"reference", Kind::kText}};
constexpr Member kRange[] = {{"startPointer", Kind::kObject, kPointer},
                             {"endPointer", Kind::kObject, kPointer}};
constexpr Member kSnippet[] = {{"SPDXID", Kind::kText},
                               {"snippetFromFile", Kind::kText},
                               {"ranges", Kind::kMustObjects, kRange},
                               {"licenseConcluded", Kind::kSome},
                               {"licenseInfoInSnippets", Kind::kTexts},
                               {"licenseComments", Kind::kSome},
                               {"copyrightText", Kind::kText},
                               {"comment", Kind::kSome},
                               {"name", Kind::kSome}};
constexpr Member kDocument[] = {{"spdxVersion", Kind::kText},
                                {"dataLicense", Kind::kText},
                                {"SPDXID", Kind::kText},
                                {"name", Kind::kText},
                                {"documentNamespace", Kind::kText},
                                {"externalDocumentRefs", Kind::kObjects, kDocumentRef},
                                {"comment", Kind::kSome},
                                {"creationInfo", Kind::kObject, kCreation},
                                {"packages", Kind::kObjects, kPackage},
                                {"files", Kind::kObjects, kFile},
                                {"hasExtractedLicensingInfos", Kind::kObjects, kLicense},
                                {"relationships", Kind::kObjects, kRelationship},
                                {"annotations", Kind::kObjects, kAnnotation},
                                {"snippets", Kind::kObjects, kSnippet}};

std::string TextOf(const Json& value) {
  return value.is_string() ? value.get<std::string>() : std::string();
}
const Json& At(const Json& object, const char* name) {
  static const Json kNull;
  auto member = object.is_object() ? object.find(name) : object.end();
  return member == object.end() ? kNull : *member;
}

std::string Write(const Json& object, std::span<const Member> members);

std::string WriteList(const Json& list, std::span<const Member> members) {
  std::vector<std::string> items;
  for (const Json& item : list) {
    items.push_back(members.empty() ? GoJsonString(TextOf(item)) : Write(item, members));
  }
  return StrCat("[", StrJoin(items, ","), "]");
}

std::string Write(const Json& object, std::span<const Member> members) {
  GoJsonObject out;
  for (const Member& member : members) {
    const Json& value = At(object, member.name);
    bool some = value.is_array() && !value.empty();
    switch (member.kind) {
      case Kind::kText: out.String(member.name, TextOf(value)); break;
      case Kind::kSome: out.OmitString(member.name, TextOf(value)); break;
      case Kind::kFlag: out.Bool(member.name, value.is_boolean() && value.get<bool>()); break;
      case Kind::kNumber:
        out.OmitInt(member.name, value.is_number_integer() ? value.get<int64_t>() : 0);
        break;
      case Kind::kObject: out.Raw(member.name, Write(value, member.members)); break;
      case Kind::kMaybe:
        if (value.is_object()) out.Raw(member.name, Write(value, member.members));
        break;
      case Kind::kTexts:
      case Kind::kObjects:
        if (some) out.Raw(member.name, WriteList(value, member.members));
        break;
      case Kind::kMust:
      case Kind::kMustObjects:
        out.Raw(member.name, value.is_array() ? WriteList(value, member.members) : "null");
    }
  }
  return out.Finish();
}

// Short forms that older documents use, as relationships.
void AddRelationships(Json* document) {
  Json& list = (*document)["relationships"];
  if (!list.is_array()) list = Json::array();
  std::set<std::string> known;
  auto text = [](std::string from, std::string to, std::string type) {
    if (type == "CONTAINED_BY" || type == "DESCRIBED_BY") {
      std::swap(from, to);
      type = type == "CONTAINED_BY" ? "CONTAINS" : "DESCRIBES";
    }
    return StrCat(from, "-", type, "->", to);
  };
  Json kept = Json::array();
  for (Json& item : list) {
    if (!item.is_object()) continue;
    known.insert(text(TextOf(At(item, "spdxElementId")), TextOf(At(item, "relatedSpdxElement")),
                      TextOf(At(item, "relationshipType"))));
    kept.push_back(std::move(item));
  }
  list = std::move(kept);
  auto add = [&](const std::string& from, const Json& targets, const char* type) {
    if (!targets.is_array()) return;
    for (const Json& target : targets) {
      std::string to = TextOf(target);
      if (!known.insert(text(from, to, type)).second) continue;
      list.push_back({{"spdxElementId", from}, {"relatedSpdxElement", to},
                      {"relationshipType", type}});
    }
  };
  add(TextOf(At(*document, "SPDXID")), At(*document, "documentDescribes"), "DESCRIBES");
  for (const Json& package : At(*document, "packages")) {
    add(TextOf(At(package, "SPDXID")), At(package, "hasFiles"), "CONTAINS");
  }
}

Status Comment(Json* files, const LayerOfFile& layer_of) {
  if (!files->is_array()) return OkStatus();
  for (Json& file : *files) {
    // What is there is the scanner's own.
    if (!file.is_object() || !TextOf(At(file, "comment")).empty()) continue;
    ASSIGN_OR_RETURN(auto layer, layer_of(TextOf(At(file, "fileName"))));
    if (layer) file["comment"] = StrCat("layerID: ", *layer);
  }
  return OkStatus();
}

// "Tool:x" and "Tool: x" are the same.
void Tidy(Json* creators) {
  for (Json& creator : *creators) {
    std::string whole = TextOf(creator);
    std::string_view type, name;
    if (StrCut(whole, ":", &type, &name)) creator = StrCat(TrimSpace(type), ": ", TrimSpace(name));
  }
}

}  // namespace

StatusOr<std::optional<std::string>> SupplementSpdx(std::string_view text, std::string_view tool,
                                                    const LayerOfFile& layer_of) {
  Json document = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  std::string version = document.is_object() ? TextOf(At(document, "spdxVersion")) : "";
  if (version != "SPDX-2.1" && version != "SPDX-2.2" && version != "SPDX-2.3") {
    return std::optional<std::string>();
  }
  document["spdxVersion"] = "SPDX-2.3";
  AddRelationships(&document);
  if (document.contains("files")) RETURN_IF_ERROR(Comment(&document["files"], layer_of));
  if (document.contains("packages") && document["packages"].is_array()) {
    for (Json& package : document["packages"]) {
      if (!package.is_object()) continue;
      if (!package.contains("filesAnalyzed")) package["filesAnalyzed"] = true;
      if (package.contains("files")) RETURN_IF_ERROR(Comment(&package["files"], layer_of));
      if (!package.contains("externalRefs") || !package["externalRefs"].is_array()) continue;
      for (Json& ref : package["externalRefs"]) {
        if (ref.is_object()) {
          ref["referenceCategory"] = ReplaceAll(TextOf(At(ref, "referenceCategory")), "_", "-");
        }
      }
    }
  }
  Json& creation = document["creationInfo"];
  if (!creation.is_object()) creation = Json::object();
  if (!creation["creators"].is_array()) creation["creators"] = Json::array();
  creation["creators"].push_back(StrCat("Tool: ", tool));
  Tidy(&creation["creators"]);
  return std::optional<std::string>(Write(document, kDocument));
}

}  // namespace kiln::worker
