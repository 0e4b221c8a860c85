// The commands, one factory each; main.cc puts them into a tree.
#pragma once

#include "cmd/buildctl/command.h"

namespace kiln::buildctl {

Command BuildCommand();
Command DiskUsageCommand();
Command PruneCommand();
Command PruneHistoriesCommand();
Command DialStdioCommand();
// debug …
Command DumpLlbCommand();
Command DumpMetadataCommand();
Command WorkersCommand();
Command InfoCommand();
Command MonitorCommand();
Command LogsCommand();
Command CtlCommand();
Command GetCommand();
Command HistoriesCommand();
Command ExplainCommand();

}  // namespace kiln::buildctl
