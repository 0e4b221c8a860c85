// Which request is which. The documents are made in their own files.
#include "frontend/dockerfile/build/subrequest.h"

#include "base/strings.h"
#include "frontend/dockerfile/build/source_error.h"
#include "frontend/dockerfile/build/subrequest_json.h"

namespace kiln::dockerfile {

StatusOr<frontend::Result> AnswerSubrequest(Client& client, const ConvertOptions& options) {
  const std::string id = client.opts().at("requestid");
  if (id == "frontend.subrequests.describe") return DescribeResult();
  if (id == "frontend.outline") {
    ASSIGN_OR_RETURN(const Outline outline, ConvertToOutline(options));
    return OutlineResult(outline, *options.source_map);
  }
  if (id == "frontend.targets") return TargetsResult(*options.source_map);
  if (id == "frontend.lint") return LintResult(options);
  if (id == "frontend.convertllb") return LlbResult(options);
  Status error = UnknownError(StrCat("unsupported request ", id));
  error.AddDetail("github.com/moby/buildkit/errdefs.Subrequest+json", StringField(1, id));
  return error;
}

}  // namespace kiln::dockerfile
