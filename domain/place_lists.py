"""The names of places that need more care than their folder, as data: what is listed, in which group, and why.

An entry is one name or several in a row (`.git/config`), in lower case, with `*` for any part of a name. A path is on
the list when the entry occurs anywhere in it, so what lies inside a listed folder is listed too; an entry that ends in
`/.` is about that name alone. How names are compared is in `places.py`.
"""

from typing import Final, NamedTuple


class Listed(NamedTuple):
    """Entries that are on a list for one reason."""

    entries: tuple[str, ...]
    why: str


class PlaceGroup(NamedTuple):
    """A part of a list, with its heading in the reference."""

    title: str
    listed: tuple[Listed, ...]


_GIT_HOOKS: Final = (
    *("applypatch-msg", "pre-applypatch", "post-applypatch", "pre-commit", "pre-merge-commit", "prepare-commit-msg"),
    *("commit-msg", "post-commit", "pre-rebase", "post-checkout", "post-merge", "pre-push", "pre-receive", "update"),
    *("proc-receive", "post-receive", "post-update", "reference-transaction", "push-to-checkout", "pre-auto-gc"),
    *("post-rewrite", "sendemail-validate", "fsmonitor-watchman", "post-index-change"),
)
"""Every hook that git knows of, but those of its bridge to Perforce. A repository without files has any name."""

EXECUTED_PLACES: Final[tuple[PlaceGroup, ...]] = (
    PlaceGroup(
        "Git and other version control",
        (
            Listed(("*.git/hooks",), "git runs them; `x.git` is what a repository without files is called by custom"),
            Listed(
                ("*.git/config", "*.git/config.worktree"),
                "names programs that git runs: pager, editor, filters, hooks, remote helpers",
            ),
            Listed(
                (".git/.",), "a file of that name sends git to another repository, with hooks and settings of its own"
            ),
            Listed(
                ("*.git/commondir", "*.git/modules", "*.git/worktrees"), "more hooks and settings, or where they are"
            ),
            Listed(
                ("*.git/rebase-merge", "*.git/sequencer"), "what an interrupted rebase goes on with, commands included"
            ),
            Listed(tuple(f"hooks/{name}" for name in _GIT_HOOKS), "a git hook, wherever the repository has its folder"),
            Listed((".gitmodules",), "which repositories are fetched, and from where"),
            Listed((".gitconfig", ".config/git"), "a person's settings of git"),
            Listed((".hg/hgrc", ".hgrc", ".jj/repo", ".svn/hooks"), "hooks and settings of other version control"),
        ),
    ),
    PlaceGroup(
        "Hooks that a repository brings along",
        (
            Listed((".githooks", ".husky", ".huskyrc*"), "the usual folders that `core.hooksPath` names"),
            Listed((".pre-commit-config.yaml", ".pre-commit-hooks.yaml"), "what `pre-commit` runs at each commit"),
            Listed(
                ("lefthook.*", "lefthook-local.*", ".lefthook*", ".overcommit.yml", ".lintstagedrc*"),
                "what other hook runners run",
            ),
        ),
    ),
    PlaceGroup(
        "Servers that build what is pushed",
        (
            Listed((".github/workflows", ".github/actions"), "run on a server, with its secrets, at the next push"),
            Listed((".gitlab-ci.y*ml", ".circleci", ".travis.yml", "jenkinsfile"), "the same on other servers"),
            Listed(("azure-pipelines*.y*ml", "bitbucket-pipelines.yml", ".woodpecker*"), "the same on other servers"),
            Listed((".buildkite", ".drone.yml", ".forgejo", ".gitea"), "the same on other servers"),
        ),
    ),
    PlaceGroup(
        "Editors",
        (
            Listed((".vscode", ".vs", "*.code-workspace"), "tasks, debuggers, interpreters and servers of VS Code"),
            Listed((".idea", ".fleet", ".run"), "the same of the JetBrains editors"),
            Listed((".zed", ".nova", ".theia"), "the same of other editors"),
            Listed((".devcontainer*", ".gitpod.yml"), "what is run when the folder is opened in a container"),
            Listed(
                (".vim*", ".exrc", ".nvim*", ".gvimrc", ".config/nvim"),
                "read by vim at its start, some from the folder",
            ),
            Listed(
                (".emacs*", ".dir-locals*.el", ".spacemacs*"), "read by Emacs at its start or with a file beside it"
            ),
        ),
    ),
    PlaceGroup(
        "Agents",
        (
            Listed((".mcp.json", "mcp.json", ".mcp"), "programs that an agent starts"),
            Listed((".claude*", "claude.md", "claude.local.md"), "instructions, hooks and permissions of Claude Code"),
            Listed(("agents.md", "agents.override.md", "agent.md", ".agents", ".agent"), "instructions of many agents"),
            Listed((".codex", ".copilot", ".github/copilot-instructions.md"), "settings and instructions of agents"),
            Listed((".github/instructions", ".github/prompts", ".github/agents"), "instructions of Copilot"),
            Listed(
                (".cursor*", ".windsurf*", ".continue*", ".amazonq", ".kiro"),
                "rules, hooks and servers of editors' agents",
            ),
            Listed((".gemini", "gemini.md", ".qwen", "qwen.md"), "settings and instructions of agents"),
            Listed(
                (".cline*", ".roo", ".roorules*", ".roomodes", ".kilocode*", ".augment*", ".junie", ".trae"),
                "rules of agents inside editors",
            ),
            Listed(
                (
                    ".aider*",
                    ".opencode",
                    "opencode.json*",
                    ".goose",
                    ".goosehints",
                    ".crush*",
                    "crush.json",
                    "crush.md",
                ),
                "settings of agents",
            ),
            Listed(("skill.md", "warp.md"), "instructions that an agent reads when it finds them"),
        ),
    ),
    PlaceGroup(
        "Shells, and what is read on entering a folder",
        (
            Listed((".bash*", ".profile", ".inputrc"), "run at the start or the end of bash"),
            Listed((".zsh*", ".zlogin", ".zlogout", ".zprofile", ".oh-my-zsh"), "the same of zsh"),
            Listed(
                (".config/fish", ".kshrc", ".mkshrc", ".cshrc", ".tcshrc", ".login", ".logout"), "the same of others"
            ),
            Listed(("profile.ps1", "*_profile.ps1"), "the same of PowerShell"),
            Listed((".envrc", ".direnv", ".config/direnv"), "run by direnv on entering the folder"),
            Listed(
                ("mise.toml", "mise.*.toml", ".mise*", ".config/mise", ".autoenv*"),
                "read by other programs on entering the folder",
            ),
            Listed((".tmux.conf", ".config/tmux", ".screenrc"), "run by what holds a person's terminals"),
        ),
    ),
    PlaceGroup(
        "Log-in, desktop and timers",
        (
            Listed((".ssh",), "`rc` is run at log-in; keys and hosts that are trusted"),
            Listed((".gnupg",), "names the program that asks for pass phrases"),
            Listed((".pam_environment", ".xinitrc", ".xprofile", ".xsession*"), "read at log-in"),
            Listed(
                (".config/environment.d", ".config/systemd", ".local/share/systemd"), "services and timers of a person"
            ),
            Listed(("systemd/system", "systemd/user"), "services and timers of the machine"),
            Listed(
                (".config/autostart", "*.desktop", ".config/plasma-workspace"),
                "started with the desktop, or by a click",
            ),
            Listed((".local/bin",), "comes before the system's programs where commands are looked for"),
            Listed(
                (
                    "crontab",
                    "crontabs",
                    "cron.d",
                    "cron.hourly",
                    "cron.daily",
                    "cron.weekly",
                    "cron.monthly",
                    "spool/cron",
                ),
                "what timers run",
            ),
            Listed(
                ("profile.d", "init.d", "rc.local", "ld.so.preload", "sudoers", "sudoers.d", "pam.d"),
                "what the machine runs or obeys",
            ),
            Listed(("launchagents", "launchdaemons"), "started with a Mac"),
            Listed(("autorun.inf", "programs/startup"), "started with Windows"),
        ),
    ),
    PlaceGroup(
        "Interpreters, debuggers and package managers",
        (
            Listed(
                ("sitecustomize", "sitecustomize.*", "usercustomize", "usercustomize.*"),
                "imported by Python at every start",
            ),
            Listed(
                ("*.pth", "python*._pth", "pyvenv.cfg"), "read by Python at every start; a line of a `.pth` may be code"
            ),
            Listed((".pdbrc*", ".pythonrc*", ".ipython", ".jupyter"), "run when Python is used by hand"),
            Listed(
                (".gdbinit", ".lldbinit", ".irbrc", ".pryrc", ".rprofile", ".psqlrc"), "run when that program starts"
            ),
            Listed(
                (".npmrc", ".yarnrc*", ".yarn", ".pnpmfile*"), "where packages come from, and code that installing runs"
            ),
            Listed((".pypirc", "pip.conf", "pip.ini", ".condarc"), "where packages come from, and go to"),
            Listed((".cargo/config*", ".gemrc", ".bundle", ".mvn"), "programs and places that builders use unasked"),
        ),
    ),
)
"""What is run or obeyed without a person asking for this file: on opening a folder, a shell, an editor, at a push.

Not listed is what runs only when a person builds, tests or starts the work itself (sources, `Makefile`, `package.json`,
`conftest.py`, `Dockerfile`): it is the work, and whoever starts it means to.
"""

SENSITIVE_PLACES: Final[tuple[PlaceGroup, ...]] = (
    PlaceGroup(
        "Credentials",
        (
            Listed((".env*", "secrets"), "environment of programs, with passwords and tokens by custom"),
            Listed((".netrc", "_netrc", ".pgpass", ".git-credentials", "credentials", "credentials.json"), "passwords"),
            Listed((".npmrc", ".pypirc", ".aws"), "tokens of registries and clouds"),
        ),
    ),
    PlaceGroup(
        "Keys",
        (
            Listed(("id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*", ".ssh"), "keys of SSH"),
            Listed(("*.pem", "*.key", "*.p12", "*.pfx", "*.keystore", ".gnupg"), "private keys and stores of them"),
            Listed(("*.kdbx",), "a password manager's store"),
        ),
    ),
)
"""Credentials and keys: their content is never read or written by default."""


def entries_of(groups: tuple[PlaceGroup, ...]) -> tuple[str, ...]:
    """Return every entry of a list once, in its order."""
    return tuple(dict.fromkeys(entry for group in groups for listed in group.listed for entry in listed.entries))
