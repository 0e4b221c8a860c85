// RUN: command line, here-documents, mounts, secrets, limits.
#include "base/file.h"
#include "base/strings.h"
#include "base/utf8.h"
#include "frontend/dockerfile/ast.h"
#include "frontend/dockerfile/convert/dispatch.h"
#include "frontend/dockerfile/convert/go_format.h"
#include "frontend/dockerfile/convert/state_env.h"
#include "frontend/dockerfile/ui/context.h"

namespace kiln::dockerfile {
namespace {

constexpr char kCommandKey[] = "com.docker.dockerfile.v1.command";

// Variables that come from secrets show as stars: to say so, not to hide anything.
class MaskedEnv : public Env {
 public:
  MaskedEnv(const RunCommand& c, const Env& base) : base_(base) {
    for (const Mount& mount : c.mounts) {
      if (mount.type == "secret" && mount.env) masked_.Set(*mount.env, "****");
    }
  }
  std::optional<std::string> Get(std::string_view name) const override {
    std::optional<std::string> mask = masked_.Get(name);
    return mask ? mask : base_.Get(name);
  }
  std::vector<std::string> Keys() const override {
    std::vector<std::string> keys;
    for (std::string& key : base_.Keys()) {
      if (!masked_.Get(key)) keys.push_back(std::move(key));
    }
    for (std::string& key : masked_.Keys()) keys.push_back(std::move(key));
    return keys;
  }

 private:
  const Env& base_;
  llb::EnvList masked_;
};

// First line of a document, with dots if there are more.
std::string Summary(std::string_view document) {
  const std::string text = ReplaceAll(TrimUnicodeSpace(document), "\r\n", "\n");
  const size_t end = text.find('\n');
  return end == std::string::npos ? text : text.substr(0, end) + "...";
}

std::string BaseOfPath(const std::string& path) { return kiln::BaseName(path); }

llb::CacheSharing SharingOf(const Mount& mount) {
  if (mount.cache_sharing == "private") return llb::CacheSharing::kPrivate;
  if (mount.cache_sharing == "locked") return llb::CacheSharing::kLocked;
  return llb::CacheSharing::kShared;
}

bool HasOwner(const Mount& mount) { return mount.uid || mount.gid || mount.mode; }

// An empty directory with the owner and mode that the mount asks for.
llb::State WithCacheDir(const Mount& mount, const llb::State& state) {
  llb::Mkdir mkdir;
  mkdir.path = "/cache";
  mkdir.mode = static_cast<int32_t>(mount.mode.value_or(0755));
  mkdir.owner = llb::ChownOpt{llb::UserOpt{static_cast<uint32_t>(mount.uid.value_or(0)), ""},
                              llb::UserOpt{static_cast<uint32_t>(mount.gid.value_or(0)), ""}};
  llb::Constraints constraints;
  constraints.Named("[internal] setting cache mount permissions");
  return state.File(llb::FileAction(std::move(mkdir)), std::move(constraints));
}

}  // namespace

Status Dispatcher::RunHeredocs(const RunCommand& c, std::vector<std::string>* args,
                               std::string* shown_name, llb::Exec* exec) {
  if (c.line.files.empty()) return OkStatus();
  if (args->size() != 1 || !c.line.prepend_shell) {
    return UnknownError(StrCat("parsing produced an invalid run command: ", GoList(*args)));
  }
  const ShellInlineFile& first = c.line.files[0];
  Heredoc head;
  if (!ParseHeredocHead((*args)[0], &head)) {
    // Documents among other words: the shell reads them itself.
    for (const ShellInlineFile& file : c.line.files) {
      (*args)[0] += StrCat("\n", file.data, file.name);
    }
    return OkStatus();
  }
  const std::string data = first.chomp ? ChompHeredocContent(first.data) : first.data;
  *shown_name += StrCat(" (", Summary(first.data), ")");
  if (stage_.image.platform.os == "windows" || !data.starts_with("#!")) {
    *args = {data};
    return OkStatus();
  }
  // A script that names its interpreter becomes a file and is run itself.
  llb::Mkfile mkfile;
  mkfile.path = first.name;
  mkfile.mode = 0755;
  mkfile.data = data;
  llb::Constraints constraints;
  constraints.Named(InternalName("preparing inline document"));
  constraints.platform = stage_.platform;
  llb::Mount mount;
  mount.target = "/dev/pipes/";
  mount.source =
      llb::State().File(llb::FileAction(std::move(mkfile)), std::move(constraints)).output();
  mount.selector = "/";
  mount.read_only = true;
  exec->mounts.push_back(std::move(mount));
  *args = {CleanPath("/dev/pipes/" + first.name)};
  return OkStatus();
}

Status Dispatcher::AddSecret(const Mount& mount, const std::vector<Range>& location,
                             llb::Exec* exec) {
  std::string id = mount.source.empty() ? mount.cache_id : mount.source;
  if (id.empty()) {
    if (mount.target.empty()) return UnknownError("one of source, target required");
    id = BaseOfPath(mount.target);
  }
  llb::Secret secret;
  secret.id = id;
  if (!mount.target.empty()) {
    secret.target = mount.target;
  } else if (!mount.env) {
    secret.target = "/run/secrets/" + BaseOfPath(id);
  }
  secret.env = mount.env;
  secret.optional = !mount.required;
  if (HasOwner(mount)) {
    secret.uid = static_cast<uint32_t>(mount.uid.value_or(0));
    secret.gid = static_cast<uint32_t>(mount.gid.value_or(0));
    secret.mode = static_cast<uint32_t>(mount.mode.value_or(0400));
  }
  stage_.outline.secrets.try_emplace(id, RequiredUse{mount.required, location});
  exec->secrets.push_back(std::move(secret));
  return OkStatus();
}

Status Dispatcher::AddSsh(const Mount& mount, const std::vector<Range>& location,
                          llb::Exec* exec) {
  if (!mount.source.empty()) return UnknownError("ssh does not support source");
  llb::Ssh ssh;
  ssh.id = mount.cache_id;
  ssh.target = mount.target;
  ssh.optional = !mount.required;
  if (HasOwner(mount)) {
    ssh.uid = static_cast<uint32_t>(mount.uid.value_or(0));
    ssh.gid = static_cast<uint32_t>(mount.gid.value_or(0));
    ssh.mode = static_cast<uint32_t>(mount.mode.value_or(0600));
  }
  stage_.outline.ssh.try_emplace(ssh.id.empty() ? "default" : ssh.id,
                                 RequiredUse{mount.required, location});
  exec->ssh.push_back(std::move(ssh));
  return OkStatus();
}

Status Dispatcher::AddMounts(const RunCommand& c, const StageCommand& command, llb::Exec* exec) {
  for (size_t i = 0; i < c.mounts.size(); ++i) {
    Mount mount = c.mounts[i];
    if (mount.from.empty() && mount.type == "cache") mount.from = "scratch";
    StageState* source = mount.from.empty() ? nullptr : command.sources[i];
    if (source != nullptr && !source->dispatched) {
      return UnknownError(StrCat("cannot mount from stage ", Quote(mount.from), " to ",
                                 Quote(mount.target),
                                 ", stage needs to be defined before current command"));
    }
    if (mount.type == "secret") {
      RETURN_IF_ERROR(AddSecret(mount, c.location, exec));
    } else if (mount.type == "ssh") {
      RETURN_IF_ERROR(AddSsh(mount, c.location, exec));
    } else {
      RETURN_IF_ERROR(AddMount(mount, source, exec));
    }
  }
  return OkStatus();
}

Status Dispatcher::AddMount(const Mount& mount, StageState* source, llb::Exec* exec) {
  llb::State state = source != nullptr ? source->state : context_.build_context;
  llb::Mount added;
  if (mount.type == "tmpfs") {
    state = llb::State();
    added.tmpfs = true;
    added.tmpfs_size = mount.size_limit;
  }
  added.read_only = mount.read_only;
  added.no_output = !mount.read_only && mount.type == "bind" &&
                    context_.caps(llb::kCapExecMountBindReadWriteNoOutput);
  if (mount.type == "cache") {
    const std::string id = mount.cache_id.empty() ? CleanPath(mount.target) : mount.cache_id;
    added.cache_id = StrCat(context_.config.cache_id_namespace, "/", id);
    added.cache_sharing = SharingOf(mount);
  }
  added.target = mount.target;
  if (!mount.target.starts_with("/")) {
    added.target = CleanPath(StrCat("/", stage_.state.meta().dir, "/", mount.target));
  }
  if (added.target == "/") {
    return UnknownError(StrCat("invalid mount target ", Quote(added.target)));
  }
  const std::string path = CleanPath("/" + mount.source);
  if (path != "/") {
    added.selector = path;
  } else if (HasOwner(mount)) {
    state = WithCacheDir(mount, state);
    added.selector = "/cache";
  }
  added.source = state.output();
  exec->mounts.push_back(std::move(added));
  (source != nullptr ? *source->paths : stage_.ctx_paths).insert(path);
  return OkStatus();
}

Status Dispatcher::AddDevices(const RunCommand& c, llb::Exec* exec) {
  if (!context_.caps(llb::kCapExecMetaCdi)) return OkStatus();
  if (!c.devices.empty() && !context_.labs) {
    return UnknownError(
        "device feature is only supported in Dockerfile frontend 1.14.0-labs or later");
  }
  for (const Device& device : c.devices) exec->devices.push_back({device.name, !device.required});
  return OkStatus();
}

void Dispatcher::ApplyLimits(llb::ExecMeta* meta, llb::Exec* exec) {
  const Config& config = context_.config;
  meta->extra_hosts = config.extra_hosts;
  if (context_.caps(llb::kCapExecMetaUlimit)) meta->ulimits = config.ulimits;
  if (config.shm_size > 0 && context_.caps(llb::kCapExecMountTmpfsSize)) {
    llb::Mount shm;
    shm.target = "/dev/shm";
    shm.tmpfs = true;
    shm.tmpfs_size = config.shm_size;
    exec->mounts.push_back(std::move(shm));
  }
  if (!config.cgroup_parent.empty() && context_.caps(llb::kCapExecMetaCgroupParent)) {
    meta->cgroup_parent = config.cgroup_parent;
  }
  if (config.linux_resources && context_.caps(llb::kCapExecMetaLinuxResources)) {
    exec->constraints.linux_resources = config.linux_resources;
  }
}

std::string Dispatcher::RunName(const RunCommand& c, const std::string& shown_name) {
  ShellLex lex = context_.lex;
  lex.raw_quotes = true;
  lex.skip_unset_env = true;
  const StateEnv env(stage_.state.meta().env);
  const MaskedEnv masked(c, env);
  return Prefixed(ShownName(lex, shown_name, masked), stage_.state.meta().platform, env);
}

std::string Dispatcher::RunHistory(const std::vector<std::string>& args) const {
  std::vector<std::string> words;
  std::map<std::string, size_t> index;
  for (const ArgPair& arg : stage_.build_args) {
    const std::string value =
        stage_.state.meta().env.Get(arg.key).value_or(arg.value.value_or(""));
    auto [entry, added] = index.try_emplace(arg.key, words.size());
    if (added) words.emplace_back();
    words[entry->second] = StrCat(arg.key, "=", value);
  }
  if (!words.empty()) words.insert(words.begin(), StrCat("|", words.size()));
  words.insert(words.end(), args.begin(), args.end());
  return StrJoin(words, " ");
}

Status Dispatcher::Run(const RunCommand& c, const StageCommand& command) {
  RETURN_IF_ERROR(context_.Spend(DispatchContext::kVariableSize *
                                 (stage_.build_args.size() + stage_.state.meta().env.size())));
  // A process may read anything of the stage.
  stage_.paths->insert("/");
  llb::Exec exec;
  std::vector<std::string> args = c.line.args;
  std::string shown_name = c.code;
  RETURN_IF_ERROR(RunHeredocs(c, &args, &shown_name, &exec));
  if (c.line.prepend_shell) args = WithShell(args);
  exec.constraints.description[kCommandKey] = c.code;
  exec.constraints.locations = Locate(c.location);
  exec.constraints.ignore_cache = stage_.ignore_cache;
  exec.proxy = context_.proxy;
  RETURN_IF_ERROR(AddMounts(c, command, &exec));
  llb::State on = stage_.state;
  llb::ExecMeta& meta = on.mutable_meta();
  meta.args = args;
  meta.security = c.security == "insecure" ? llb::SecurityMode::kInsecure
                                           : llb::SecurityMode::kSandbox;
  if (c.network == "none") meta.network = llb::NetMode::kNone;
  if (c.network == "host") meta.network = llb::NetMode::kHost;
  RETURN_IF_ERROR(AddDevices(c, &exec));
  exec.constraints.Named(RunName(c, shown_name));
  ApplyLimits(&meta, &exec);
  const std::string history = RunHistory(args);
  stage_.state = llb::Run(stage_.state, on, std::move(exec)).root();
  Commit("RUN " + history, true, true);
  return OkStatus();
}

}  // namespace kiln::dockerfile
