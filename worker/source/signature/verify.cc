#include "worker/source/signature/verify.h"

#include <cstdlib>
#include <vector>

#include "base/file.h"
#include "base/process.h"
#include "base/strings.h"
#include "worker/source/signature/git_object.h"

namespace kiln::worker {
namespace {

constexpr std::string_view kPgpSignature = "-----BEGIN PGP SIGNATURE-----";
constexpr std::string_view kSshSignature = "-----BEGIN SSH SIGNATURE-----";

std::vector<std::string> Environment() {
  const char* path = std::getenv("PATH");
  return {StrCat("PATH=", path == nullptr ? "" : path), "LC_ALL=C"};
}

StatusOr<CommandOutput> Run(const char* program, std::vector<std::string> args,
                            std::string_view input) {
  StatusOr<std::string> found = LookPath(program);
  if (!found.ok()) {
    return FailedPreconditionError(StrCat("signatures cannot be checked: ", found.status().message()));
  }
  ProcessOptions options;
  options.argv = std::move(args);
  options.argv.insert(options.argv.begin(), *found);
  options.env = Environment();
  return RunCommand(std::move(options), input, {});
}

// gpgv's numbers are those of RFC 4880, sections 9.1 and 9.4.
Status CheckAlgorithms(std::string_view key, std::string_view hash) {
  if (hash != "8" && hash != "9" && hash != "10") {
    return UnknownError(StrCat("rejecting weak/unknown hash: ", hash));
  }
  if (key != "1" && key != "3" && key != "19" && key != "22") {
    return UnknownError(StrCat("rejecting unsupported pubkey algorithm: ", key));
  }
  return OkStatus();
}

// What gpgv said on its status stream (doc/DETAILS of GnuPG).
Status Judge(const std::string& told, const SignaturePolicy& policy) {
  Status verdict = UnknownError("openpgp: signature made by unknown entity");
  for (std::string_view line : StrSplit(told, '\n')) {
    std::vector<std::string_view> words = StrSplit(TrimPrefix(line, "[GNUPG:] "), ' ');
    if (words.size() < 2) continue;
    if (words[0] == "REVKEYSIG") return UnknownError("key revoked");
    if (words[0] == "EXPKEYSIG" && policy.reject_expired) return UnknownError("openpgp: key expired");
    if (words[0] == "BADSIG") {
      return UnknownError(
          StrCat("signature by ", words[1], ": openpgp: invalid signature: hash tag doesn't match"));
    }
    if (words[0] == "ERRSIG" || words[0] == "NO_PUBKEY") {
      verdict = UnknownError(
          StrCat("signature by ", words[1], ": openpgp: signature made by unknown entity"));
    }
    if (words[0] == "VALIDSIG" && words.size() > 8) verdict = CheckAlgorithms(words[7], words[8]);
  }
  return verdict;
}

// The first key of an authorized_keys text: "type base64".
StatusOr<std::string> SshKey(std::string_view text) {
  for (std::string_view line : StrSplit(text, '\n')) {
    std::vector<std::string_view> words = StrSplit(TrimSpace(line), ' ');
    if (words.front().starts_with('#')) continue;
    for (size_t i = 0; i + 1 < words.size(); ++i) {
      std::string bytes;
      bool known = words[i].starts_with("ssh-") || words[i].starts_with("ecdsa-") ||
                   words[i].starts_with("sk-");
      if (known && Base64Decode(words[i + 1], &bytes) && Contains(bytes, words[i])) {
        return StrCat(words[i], " ", words[i + 1]);
      }
    }
  }
  return UnknownError("failed to parse ssh public key: ssh: no key found");
}

Status VerifySsh(const SignedObject& object, std::string_view keys, const std::string& temp_dir) {
  ASSIGN_OR_RETURN(std::string key, SshKey(keys));
  ASSIGN_OR_RETURN(std::string dir, MakeTempDir(temp_dir, "signature-"));
  TempDir cleanup(dir);
  const std::string signers = JoinPath(dir, "signers"), signature = JoinPath(dir, "signature");
  RETURN_IF_ERROR(WriteFileAtomic(signers, StrCat("signer ", key, "\n"), 0600));
  RETURN_IF_ERROR(WriteFileAtomic(signature, StrCat(object.signature, "\n"), 0600));
  ASSIGN_OR_RETURN(CommandOutput output,
                   Run("ssh-keygen", {"-Y", "verify", "-f", signers, "-I", "signer", "-n", "git",
                                      "-s", signature},
                       object.data));
  if (output.exit_code == 0) return OkStatus();
  return UnknownError(StrCat("failed to verify ssh signature: ", TrimSpace(output.err)));
}

Status VerifyPgpText(const SignedObject& object, std::string_view keys,
                     const SignaturePolicy& policy, const std::string& temp_dir) {
  ASSIGN_OR_RETURN(std::string dir, MakeTempDir(temp_dir, "signed-"));
  TempDir cleanup(dir);
  const std::string path = JoinPath(dir, "data");
  RETURN_IF_ERROR(WriteFileAtomic(path, object.data, 0600));
  return VerifyPgp(path, object.signature, keys, policy, temp_dir);
}

// The base64 text of one block; `rest` goes on behind it. False if there is none.
bool NextBlock(std::string_view* rest, std::string_view* type, std::string* base64) {
  constexpr std::string_view kBegin = "-----BEGIN ";
  size_t begin = rest->find(kBegin);
  if (begin == std::string_view::npos) return false;
  std::string_view text = rest->substr(begin + kBegin.size());
  size_t end = text.find("-----END ");
  size_t head = text.find("-----");
  if (end == std::string_view::npos || head >= end) return false;
  *type = text.substr(0, head);
  *rest = text.substr(end + 1);
  for (std::string_view line : StrSplit(text.substr(head + 5, end - head - 5), '\n')) {
    line = TrimSpace(line);
    if (line.starts_with('=')) break;        // the checksum, which Go ignores as well
    if (Contains(line, ": ")) continue;      // "Version: …"
    base64->append(line);
  }
  return true;
}

}  // namespace

StatusOr<std::string> DearmorKeys(std::string_view keys) {
  std::string all;
  std::string_view rest = keys, type;
  for (std::string base64; NextBlock(&rest, &type, &base64); base64.clear()) {
    if (type != "PGP PUBLIC KEY BLOCK" && type != "PGP PRIVATE KEY BLOCK") {
      return UnknownError(StrCat("expected public or private key block, got: ", type));
    }
    std::string bytes;
    if (!Base64Decode(base64, &bytes) || bytes.empty()) {
      return UnknownError("failed to read armored public key: invalid base64");
    }
    all += bytes;
  }
  if (all.empty()) {
    return UnknownError("failed to read armored public key: no armored data found");
  }
  return all;
}

Status VerifyPgp(const std::string& path, std::string_view signature, std::string_view keys,
                 const SignaturePolicy& policy, const std::string& temp_dir) {
  if (!Contains(signature, kPgpSignature)) {
    return UnknownError("failed to decode armored signature: EOF");
  }
  ASSIGN_OR_RETURN(std::string ring, DearmorKeys(keys));
  ASSIGN_OR_RETURN(std::string dir, MakeTempDir(temp_dir, "signature-"));
  TempDir cleanup(dir);
  const std::string ring_file = JoinPath(dir, "ring.gpg"), sig_file = JoinPath(dir, "data.asc");
  RETURN_IF_ERROR(WriteFileAtomic(ring_file, ring, 0600));
  RETURN_IF_ERROR(WriteFileAtomic(sig_file, StrCat(signature, "\n"), 0600));
  ASSIGN_OR_RETURN(CommandOutput output,
                   Run("gpgv", {"--homedir", dir, "--status-fd", "1", "--keyring", ring_file,
                                sig_file, path},
                       ""));
  return Judge(output.out, policy);
}

Status VerifyGitObject(std::string_view raw, std::string_view keys, const SignaturePolicy& policy,
                       const std::string& temp_dir) {
  ASSIGN_OR_RETURN(SignedObject object, ParseSignedObject(raw));
  if (object.signature.empty()) return UnknownError("git object is not signed");
  if (object.signature.starts_with(kPgpSignature)) {
    return VerifyPgpText(object, keys, policy, temp_dir);
  }
  if (object.signature.starts_with(kSshSignature)) return VerifySsh(object, keys, temp_dir);
  return UnknownError("invalid signature format");
}

}  // namespace kiln::worker
