"""SHL-01, 02, 03: what was not granted is not there, can't be written to, and is not told."""

import pytest

from cowork.domain.action import Action
from tests.acceptance.sandbox.commands import Writes, argv, code, shell
from tests.acceptance.sandbox.field import Field
from tests.acceptance.sandbox.playing import play

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("writes", ["none", "staged"])
async def test_nothing_outside_the_granted_folder_is_seen(field: Field, account: str, writes: Writes) -> None:
    (field.grant / "link").symlink_to(field.out / "secret.txt")
    (field.grant / "up").symlink_to("../out")
    line = """
        base=$1 home=$2
        for file in out/secret.txt grant-evil/f grant2/other.txt state/planted.txt state/events.db \\
            home/.ssh/id_ed25519; do
          for way in "$base/$file" "../$file" "/proc/self/root$base/$file" "/proc/1/root$base/$file" \\
              "/proc/self/cwd/../$file" "/dev/fd/../../../$base/$file" "$base/grant/../$file" "/tmp/../$base/$file"; do
            try_it cat "$way"
            try_it cp "$way" /tmp/copy
            try_it ln "$way" /tmp/link
            try_line "head -c 9 < '$way'"
          done
        done
        try_it cat link; try_it cat up/secret.txt; try_it ls up/
        for folder in ~/.ssh "$home" "$home/.ssh" /root /home /mnt /srv /opt /boot /sys /var/log /run/user /etc/ssh; do
          try_line "ls -A '$folder' | grep ."
        done
        for file in /etc/shadow /etc/hostname /etc/machine-id /proc/kcore /dev/mem /dev/kmsg /dev/sda /dev/vda; do
          try_it head -c 1 "$file"
        done
        ls "$base"; ls "$base/.." | wc -l
        """
    played = await play(field, shell(field, line, str(field.base), str(field.home), writes=writes))
    assert played.only.word == "completed", played.only.err
    assert played.only.out == "grant\n1\n"


async def test_a_command_that_asks_for_a_file_outside_fails(field: Field) -> None:
    commands: list[Action] = [
        argv(field, "cat", f"{field.out}/secret.txt"),
        argv(field, "ls", f"{field.home}/.ssh"),
        shell(field, "ls ~/.ssh"),
        shell(field, "ls /home/*/.ssh /root/.ssh"),
        code(field, f"open('{field.out}/secret.txt')"),
        argv(field, "tar", "-cf", "-", str(field.out)),
        argv(field, "find", str(field.base), "-path", "*secret*", "-exec", "cat", "{}", "+", "-quit", "-bad"),
    ]
    played = await play(field, *commands)
    assert {ran.word for ran in played.actions} == {"failed/exit"}
    assert {ran.command.exit_code for ran in played.actions} - {1, 2} == set()
    assert "".join(ran.out for ran in played.actions).strip("\0") == ""


WRITING = """
import os, shutil, stat, subprocess, sys
base = sys.argv[1]
def tried(what, deed, *arguments):
    try:
        deed(*arguments)
    except OSError:
        return
    print("worked:", what, *arguments)
def write(path, flags):
    os.write(os.open(path, flags, 0o666), b"evil")
FOLDERS = ["/etc", "/usr", "/usr/bin", "/usr/lib", "/usr/local/bin", "/bin", "/lib", "/sbin", "/", "/root", "/home",
           "/var", "/run", "/run/cowork", "/proc", "/proc/1", "/proc/sys/kernel", "/sys", "/dev", base]
FOLDERS += [base + "/" + name for name in ("out", "grant2", "grant-evil", "state", "home", "grant/../out")]
for folder in FOLDERS:
    x = folder + "/x"
    tried("create", write, x, os.O_WRONLY | os.O_CREAT)
    tried("unnamed", write, folder, os.O_WRONLY | os.O_TMPFILE)
    tried("folder", os.mkdir, x)
    tried("link", os.symlink, "/tmp", x)
    tried("second name", os.link, "/usr/bin/env", x)
    tried("pipe", os.mkfifo, x)
    tried("device", os.mknod, x, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    tried("move", os.rename, "/tmp/mine", x)
    tried("owner", os.chown, folder, 12345, 12345)
    if not folder.startswith("/proc"):
        # It is the command's own, and root's where the engine is: its folders' times and modes are nobody else's.
        tried("mode", os.chmod, folder, 0o777)
        tried("time", os.utime, folder, (0, 0))
    tried("attribute", os.setxattr, folder, "user.x", b"x")
    tried("remove", os.rmdir, folder)
FILES = ["/usr/bin/env", "/usr/bin/python3", "/etc/passwd", "/etc/group", "/etc/hosts", "/etc/ld.so.cache",
         "/run/cowork/code.py", "/proc/sysrq-trigger", "/proc/self/mem", "/proc/self/uid_map", "/proc/1/mem",
         base + "/out/secret.txt", base + "/grant-evil/f", base + "/state/events.db", base + "/grant2/other.txt"]
for file in FILES:
    tried("append", write, file, os.O_WRONLY | os.O_APPEND)
    tried("truncate", os.truncate, file, 0)
    tried("remove", os.unlink, file)
    tried("move away", os.rename, file, "/tmp/away")
    tried("mode", os.chmod, file, 0o4777)
for folder in (base + "/grant", base, "/usr", "/etc"):
    tried("move", os.rename, folder, "/tmp/folder")
    tried("move within", os.rename, folder, folder + "2")
line = "echo evil >/etc/x || echo evil >$1/out/x || touch /usr/x || cp /bin/sh /usr/x || rm -rf /usr/share/doc"
print(subprocess.run(["sh", "-c", line, "sh", base], stderr=subprocess.DEVNULL).returncode != 0)
for place in ("/tmp/x", "/dev/shm/x"):
    write(place, os.O_WRONLY | os.O_CREAT)
    print(open(place).read())
"""


@pytest.mark.parametrize("writes", ["none", "staged"])
async def test_nothing_outside_is_written(field: Field, account: str, writes: Writes) -> None:
    played = await play(field, code(field, WRITING, str(field.base), writes=writes))
    assert played.only.word == "completed", played.only.err
    assert played.only.out == "True\nevil\nevil\n"


@pytest.mark.parametrize("writes", ["none", "staged"])
async def test_neither_the_engines_environment_nor_its_places_are_told(
    field: Field, account: str, writes: Writes
) -> None:
    line = """
        env
        cat /proc/self/environ /proc/1/environ /proc/1/cmdline /proc/self/mountinfo /proc/1/mountinfo /proc/mounts
        cat /proc/1/stat /proc/1/status /proc/1/maps /proc/self/maps /proc/1/mem /proc/1/cgroup /proc/self/cgroup
        ls -l /proc/1/fd /proc/1/cwd /proc/1/exe /proc/1/root /proc/self/fd /proc/self/task
        for p in /proc/[0-9]*; do cat "$p/environ" "$p/cmdline" "$p/comm" "$p/mounts"; done
        set; true
        """
    source = "import os, sys, __main__\nprint(os.environ, sys.argv, sys.path, vars(__main__), os.getcwd())"
    played = await play(field, shell(field, line, writes=writes), code(field, source, writes=writes))
    for ran in played.actions:
        assert ran.word == "completed", ran.err
        told = ran.out + ran.err
        assert "COWORK_TEST" not in told
        assert str(field.state) not in told
        assert str(field.home) not in told
    names = {line.partition("=")[0] for line in played.first.out.partition("\0")[0].splitlines() if "=" in line}
    allowed = {"PATH", "HOME", "TMPDIR", "USER", "LOGNAME", "SHELL", "LANG", "PYTHONDONTWRITEBYTECODE", "PWD"}
    assert names <= allowed | {"OLDPWD"}, names - allowed
